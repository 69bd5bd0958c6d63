#!/usr/bin/python3
"""What a cluster's orchestrator costs, on this machine's Docker engine: `make image`, and then one of

    bench/orchestrators.py render [--image mobyray] [--rounds 3] [--workers 2] [--size 960x540] [--spp 64] [-o FILE.json]
    bench/orchestrators.py join [--image mobyray] [--times 15] [-o FILE.json]

render: one picture on Compose and on a Swarm of one node, in turns, from these files of ours: as many workers with as much CPU, the same state on disk. Seconds from the command
(`up`, `stack deploy`) to the picture, and of them those of the render, as the coordinator reports. The Swarm's secrets are there before; Compose makes its keys in that time.
join: `docker run IMAGE worker --join TOKEN` and a process `mobyray worker --join TOKEN`, in turns, one at a time, beside one worker that renders: seconds from the command until the
coordinator has it as joined, and until its first result is in."""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request

from autoscale import ROOT, run, until

MOBYRAY = ROOT / "build" / "mobyray"
NAME = f"mobyraybench{os.getpid()}"
CPUS = 1.0
SCENE = "scenes/mobydock"
FAST_POLL_S = 0.01
ENDLESS = ("--size", "480x270", "--spp", "65536")
COMPOSE = f"services: {{worker: {{cpus: {CPUS}}}}}\n"
STACK = f"""version: "3.8"
services:
  coordinator:
    command: [coordinator, /{SCENE}, --http, "0.0.0.0:8080"]
    environment: {{MOBYRAY_SIZE: "${{MOBYRAY_SIZE}}", MOBYRAY_SPP: "${{MOBYRAY_SPP}}", MOBYRAY_REPORT: report.json, MOBYRAY_OUTPUT: picture.png}}
  worker: {{deploy: {{resources: {{limits: {{cpus: "{CPUS}"}}}}}}}}
"""


def succeeds(*command):
    """A network, for one, cannot go before Swarm has seen its last task go."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# ---- the same render ----

def coordinator_of(labels):
    found = run("docker", "ps", "-q", *(word for label in labels for word in ("--filter", f"label={label}"))).split()
    return found[0] if found else None


def wait_for_picture(*labels):
    """The coordinator's container, when it has said that the picture is written."""
    def written():
        container = coordinator_of(labels)
        done = subprocess.run(["docker", "logs", container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False) if container else None
        return done and b"the picture is in" in done.stdout
    until(written, "the picture")
    return coordinator_of(labels)


def result_of(container, folder, seconds):
    for name in ("picture.png", "report.json"):
        run("docker", "cp", f"{container}:/out/{name}", folder / name)
    report = json.loads((folder / "report.json").read_text())
    return {"total_s": seconds, "render_s": report["seconds"], "samples_per_s": report["samples_per_s"], "workers": report["workers_seen"],
            "picture": hashlib.sha256((folder / "picture.png").read_bytes()).hexdigest()}


def on_compose(arguments, folder):
    (folder / "compose.yaml").write_text((ROOT / "compose.yaml").read_text())
    (folder / "bench.yaml").write_text(COMPOSE)
    environment = {**os.environ, "COMPOSE_PROJECT_NAME": NAME, "MOBYRAY_IMAGE": arguments.image, "MOBYRAY_HTTP_PORT": "0", "MOBYRAY_SCENE": SCENE, "MOBYRAY_SIZE": arguments.size,
                   "MOBYRAY_SPP": str(arguments.spp), "MOBYRAY_REPORT": "report.json", "MOBYRAY_OUTPUT": "picture.png", "MOBYRAY_STATE": "/out/state"}
    compose = ["docker-compose", "-f", "compose.yaml", "-f", "bench.yaml"]
    try:
        begun = time.monotonic()
        run(*compose, "up", "-d", "--no-build", "--scale", f"worker={arguments.workers}", cwd=folder, env=environment)
        container = wait_for_picture(f"com.docker.compose.project={NAME}", "com.docker.compose.service=coordinator")
        return result_of(container, folder, time.monotonic() - begun)
    finally:
        run(*compose, "down", "--volumes", "--timeout", "5", cwd=folder, env=environment)


def on_swarm(arguments, folder):
    (folder / "bench.yaml").write_text(STACK)
    environment = {**os.environ, "MOBYRAY_IMAGE": arguments.image, "MOBYRAY_SECRETS": NAME, "MOBYRAY_WORKERS": str(arguments.workers), "MOBYRAY_SIZE": arguments.size,
                   "MOBYRAY_SPP": str(arguments.spp), "MOBYRAY_PORT": "25555", "MOBYRAY_HTTP_PORT": "28080"}
    try:
        begun = time.monotonic()
        run("docker", "stack", "deploy", "--resolve-image", "never", "-c", ROOT / "docker/swarm/stack.yaml", "-c", folder / "bench.yaml", NAME, env=environment)
        container = wait_for_picture(f"com.docker.swarm.service.name={NAME}_coordinator")
        return result_of(container, folder, time.monotonic() - begun)
    finally:
        until(lambda: succeeds("docker", "stack", "rm", NAME) and not run("docker", "ps", "-aq", "--filter", f"label=com.docker.stack.namespace={NAME}"), "the stack's end", 1)
        until(lambda: succeeds("docker", "volume", "rm", f"{NAME}_out"), "the volume's end")
        until(lambda: not run("docker", "network", "ls", "-q", "--filter", f"name={NAME}"), "the network's end")


@contextlib.contextmanager
def swarm(folder):
    """A Swarm of this node alone, with the secrets that the stack wants."""
    run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        run(MOBYRAY, "keygen", folder / "keys")
        for secret, file in (("coordinator", "coordinator/coordinator.key"), ("allowed", "coordinator/allowed"), ("worker", "worker/worker.key")):
            run("docker", "secret", "create", f"{NAME}-{secret}", folder / "keys" / file)
        yield
    finally:
        run("docker", "swarm", "leave", "--force")


def render(arguments):
    results = {"compose": [], "swarm": []}
    with tempfile.TemporaryDirectory() as name, swarm(pathlib.Path(name)):
        for number in range(arguments.rounds):
            for kind, function in (("compose", on_compose), ("swarm", on_swarm)):
                folder = pathlib.Path(name) / f"{kind}-{number}"
                folder.mkdir()
                results[kind].append(function(arguments, folder))
    for kind, rounds in results.items():
        print(f"{kind}: " + "; ".join(f"{one['total_s']:.2f} s from command to picture, {one['render_s']:.2f} s the render" for one in rounds))
    pictures = {one["picture"] for rounds in results.values() for one in rounds}
    print("the same bytes" if len(pictures) == 1 else f"{len(pictures)} different pictures")
    return results


# ---- joining by one word ----

def workers_of(url):
    with urllib.request.urlopen(url + "/api/v1/workers", timeout=30) as answer:
        return {worker["id"]: worker for worker in json.load(answer)}


def follow(url, known, begin, end):
    """begin(): the command; end(what it returned). Seconds until another worker is there, and until it has brought something."""
    took = {}
    begun = time.monotonic()
    started = begin()

    def look():
        new = [worker for number, worker in workers_of(url).items() if number not in known]
        if new:
            took.setdefault("joined_s", time.monotonic() - begun)
        if any(worker["tiles"] for worker in new):
            took["first_result_s"] = time.monotonic() - begun
        return "first_result_s" in took
    try:
        until(look, "a worker's first result", FAST_POLL_S)
    finally:
        end(started)
    return took


def gateway():
    """This machine as containers see it."""
    (bridge,) = json.loads(run("ip", "-json", "-4", "address", "show", "docker0"))
    return bridge["addr_info"][0]["local"]


def join(arguments):
    results = {"process": [], "container": []}
    endpoint, http = f"tcp://{gateway()}:25555", "127.0.0.1:28080"
    with tempfile.TemporaryDirectory() as name:
        folder, processes = pathlib.Path(name), []

        def start(*command):
            processes.append(subprocess.Popen([MOBYRAY, *command], cwd=folder, stderr=subprocess.DEVNULL))
            return processes[-1]

        def stop(process):
            process.terminate()
            process.wait()
        run(MOBYRAY, "keygen", folder / "keys")
        token = run(MOBYRAY, "token", folder / "keys", "--endpoint", endpoint)
        word = folder / "word"
        word.touch(0o600)
        word.write_text(token)
        try:
            start("coordinator", ROOT / SCENE, "--key", folder / "keys", "--listen", "tcp://0.0.0.0:25555", "--http", http, *ENDLESS)
            start("worker", "--coordinator", "tcp://127.0.0.1:25555", "--key", folder / "keys", "--threads", "1")
            until(lambda: any(worker["tiles"] for worker in workers_of(f"http://{http}").values()), "the first result")
            ways = {"process": (lambda: start("worker", "--join", word, "--threads", "1"), stop),
                    "container": (lambda: run("docker", "run", "-d", "--cpus", "1", arguments.image, "worker", "--join", token, "--threads", "1"), lambda one: run("docker", "rm", "-f", one))}
            for _ in range(arguments.times):
                for kind, (begin, end) in ways.items():
                    results[kind].append(follow(f"http://{http}", set(workers_of(f"http://{http}")), begin, end))
        finally:
            for process in processes:
                process.kill()
                process.wait()
    for kind, all_of_it in results.items():
        print(f"{kind}: " + "; ".join(f"{what} p50 {statistics.median(times):.3f}, p99 {max(times):.3f} s" for what, times in
              ((what.removesuffix("_s"), [one[what] for one in all_of_it]) for what in ("joined_s", "first_result_s"))) + f" ({len(all_of_it)} times; with fewer than a hundred, p99 is the longest)")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("render", "join"))
    parser.add_argument("--image", default="mobyray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--spp", type=int, default=64)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("-o", "--output", type=pathlib.Path)
    arguments = parser.parse_args()
    results = {"render": render, "join": join}[arguments.what](arguments)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

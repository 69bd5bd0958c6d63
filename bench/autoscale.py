#!/usr/bin/python3
"""The autoscaler's scorecard on this machine's Docker engine: make an image (`make docker`), then

    bench/autoscale.py [--image mobyray] [--rounds 3] [--starts 20] [--max 6] [--cpus 0.3] [-o FILE.json]

Each round gives a job to an idle cluster of one worker and follows it to its end and until all workers are gone: how long until the most workers had joined, how many were
wished for beyond what was right, worker-seconds paid and used, tiles lost. Then workers are started one by one into a running render: from the engine's order to start to the first tile that
is in. Workers get `--cpus` of a core each, so that they do not share what there is."""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OVERRIDE = """
services:
  coordinator: {{command: [coordinator, --http, "0.0.0.0:8080"], environment: {{MOBYRAY_LEASE: "10000"}}}}
  worker: {{cpus: {cpus}}}
"""
POLL_S = 0.05
LIMIT_S = 200


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


class Cluster:
    """A Compose project with the autoscaler."""

    def __init__(self, arguments, folder):
        self.name = f"mobyraybench{os.getpid()}"
        self.folder = folder
        self.override = folder / "bench.yaml"
        (folder / "compose.yaml").write_text((ROOT / "compose.yaml").read_text())
        self.override.write_text(OVERRIDE.format(cpus=arguments.cpus))
        self.environment = {**os.environ, "COMPOSE_PROJECT_NAME": self.name, "MOBYRAY_IMAGE": arguments.image, "MOBYRAY_MAX_WORKERS": str(arguments.max),
                            "MOBYRAY_TARGET_SECONDS": str(arguments.target), "MOBYRAY_COOL_DOWN": "3", "MOBYRAY_HTTP_PORT": "0"}

    def compose(self, *arguments):
        return run("docker-compose", "-f", "compose.yaml", "-f", "bench.yaml", "--profile", "autoscale", *arguments, cwd=self.folder, env=self.environment)

    def id(self, service):
        return run("docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={self.name}", "--filter", f"label=com.docker.compose.service={service}").split()[0]

    def up(self):
        self.compose("up", "-d", "--no-build", "--scale", "worker=1")
        self.coordinator = self.id("coordinator")
        networks = json.loads(run("docker", "inspect", self.coordinator))[0]["NetworkSettings"]["Networks"]
        self.url = f"http://{next(iter(networks.values()))['IPAddress']}:8080"
        until(lambda: self.metrics()['mobyray_workers{state="idle"}'] == 1, "the first worker")

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read().decode()

    def json(self, path):
        return json.loads(self.ask(path))

    def metrics(self):
        return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{[^\n]*\})?) (\S+)$", self.ask("/metrics"), re.MULTILINE)}

    def submit(self, size, spp):
        return int(run("docker", "exec", self.coordinator, "mobyray", "submit", "/scenes/mobydock", "--key", "/keys/coordinator", "--size", size, "--spp", str(spp),
                       "--cluster", "tcp://127.0.0.1:5555"))

    def running(self, job):
        return self.json(f"/api/v1/jobs/{job}")["state"] in ("queued", "running")


def until(condition, what, poll_s=POLL_S):
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(poll_s)
    raise SystemExit(f"waited in vain for {what}")


def one_round(cluster, arguments):
    """A job from an idle cluster to an idle cluster."""
    before = cluster.metrics()
    begun = last = time.monotonic()
    job = cluster.submit(arguments.size, arguments.spp)
    seen = {"up_s": None, "most": 0, "peak": 0, "paid_s": 0.0, "done_s": None}

    def follow():
        nonlocal last
        state = cluster.json("/api/v1/cluster")
        now = time.monotonic()
        seen["paid_s"] += state["workers"] * (now - last)
        last = now
        seen["peak"] = max(seen["peak"], state["desired_workers"] or 0)
        if state["workers"] > seen["most"]:
            seen["most"], seen["up_s"] = state["workers"], now - begun
        if seen["done_s"] is None and not cluster.running(job):
            seen["done_s"] = now - begun
        return seen["done_s"] is not None and state["workers"] == 0
    until(follow, "the end of a round")
    after = cluster.metrics()
    used_s = after["mobyray_tile_seconds_sum"] - before["mobyray_tile_seconds_sum"]
    right = min(arguments.max, max(1, -int(-used_s // arguments.target)))  # by the work as it turned out
    lost = 'mobyray_tiles_redone_total{cause="lost"}'
    left = [name for name in after if name.startswith("mobyray_tiles_redone_total")]
    return {**seen, "right": right, "overshoot": max(0, seen["peak"] / right - 1), "down_s": time.monotonic() - begun - seen["done_s"], "used_s": used_s,
            "wasted_s": seen["paid_s"] - used_s, "tiles_lost": after[lost] - before[lost], "tiles_handed_back": sum(after[name] - before[name] for name in left if name != lost)}


def starts(cluster, arguments, image):
    """Seconds from the engine's order to a worker's first tile."""
    run("docker", "kill", cluster.id("autoscale"))
    job = cluster.submit(arguments.size, 65536)
    model = run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={cluster.name}", "--filter", "label=com.docker.compose.service=worker").split()[0]
    run("docker", "start", model)
    until(lambda: cluster.json(f"/api/v1/jobs/{job}")["samples_done"] > 0, "the first tile")
    took = []
    for _ in range(arguments.starts):
        one = run("docker", "create", "--network", f"{cluster.name}_default", "-v", f"{cluster.name}_keys-worker:/keys/worker:ro", "-e", "MOBYRAY_COORDINATOR=tcp://coordinator:5555",
                  "-e", "MOBYRAY_KEY=/keys/worker", "-e", "MOBYRAY_THREADS=1", "--cpus", "1", "--read-only", image, "worker")
        begun = time.monotonic()
        run("docker", "start", one)
        until(lambda host=one[:12]: any(worker["host"] == host and worker["tiles"] for worker in cluster.json("/api/v1/workers")), "a worker's first tile")
        took.append(time.monotonic() - begun)
        run("docker", "stop", "-t", "20", one)
        run("docker", "rm", one)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="mobyray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--max", type=int, default=6)
    parser.add_argument("--cpus", type=float, default=0.3)
    parser.add_argument("--target", type=int, default=4)
    parser.add_argument("--size", default="480x270")
    parser.add_argument("--spp", type=int, default=64)
    parser.add_argument("-o", "--output", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(arguments, pathlib.Path(name))
        try:
            cluster.up()
            rounds = [one_round(cluster, arguments) for _ in range(arguments.rounds)]
            took = starts(cluster, arguments, arguments.image) if arguments.starts else []
        finally:
            cluster.compose("down", "--volumes", "--timeout", "5")
    for number, result in enumerate(rounds, 1):
        print(f"round {number}: {result['most']} workers after {result['up_s']:.1f} s, done after {result['done_s']:.1f} s, all gone {result['down_s']:.1f} s later; "
              f"at most {result['peak']} wished for, {result['right']} right; {result['paid_s']:.1f} worker-seconds paid, {result['used_s']:.1f} used; {result['tiles_lost']:.0f} tiles lost, "
              f"{result['tiles_handed_back']:.0f} handed back")
    if took:
        took.sort()
        print(f"order to start to first tile, {len(took)} workers: p50 {statistics.median(took):.2f} s, p99 {took[min(len(took) - 1, int(len(took) * 0.99))]:.2f} s")
    if arguments.output:
        arguments.output.write_text(json.dumps({"rounds": rounds, "start_to_first_tile_s": took}, indent=1) + "\n")


if __name__ == "__main__":
    main()

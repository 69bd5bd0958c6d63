"""docker/swarm/stack.yaml on Swarm: deployed, scaled and updated in mid-render, the picture byte for byte that of --workers 0.

On one node; with CHAOS=1 (make chaos) on three as well, which takes a minute and a half more."""

import json
import os
import re
import socket
import subprocess

import pytest

import swarm
import waiting
from containers import IMAGE, run, succeeds
from faults import FULL, samples_a_second
from running import ROOT

STACK_FILE = ROOT / "docker" / "swarm" / "stack.yaml"
LIMIT_S = 180
RENDER = ("/scenes/cornell", "--size", "256x256", "--tile", "16")
SECRETS = {"coordinator": "coordinator/coordinator.key", "allowed": "coordinator/allowed", "worker": "worker/worker.key"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Stack:
    """The deployed stack, seen from its first node, where the coordinator is."""

    def __init__(self, nodes, name, images):
        self.nodes, self.manager, self.name, self.images, self.http_port = nodes, nodes[0], name, images, free_port()

    def deploy(self, keys, workers):
        for secret, file in SECRETS.items():
            self.manager("secret", "create", f"{self.name}-{secret}", keys / file)
        self.manager("stack", "deploy", "--resolve-image", "never", "-c", STACK_FILE, self.name, environment={
            "MOBYRAY_IMAGE": self.images[0], "MOBYRAY_SECRETS": self.name, "MOBYRAY_WORKERS": str(workers),
            "MOBYRAY_PORT": str(free_port()), "MOBYRAY_HTTP_PORT": str(self.http_port), "MOBYRAY_MIN_WORKERS": "1", "MOBYRAY_COOL_DOWN": "1"})

    def remove(self):
        self.manager("stack", "rm", self.name)
        waiting.until(lambda: not any(node("ps", "-q", "--filter", f"label=com.docker.stack.namespace={self.name}") for node in self.nodes), "its end", LIMIT_S)
        for secret in SECRETS:
            self.manager("secret", "rm", f"{self.name}-{secret}")
        for kind in ("network", "volume"):
            ids = self.manager(kind, "ls", "-q", "--filter", f"label=com.docker.stack.namespace={self.name}").split()
            if ids:
                waiting.until(lambda kind=kind, ids=ids: self.manager.succeeds(kind, "rm", *ids) or not self.manager(
                    kind, "ls", "-q", "--filter", f"label=com.docker.stack.namespace={self.name}").split(), f"the {kind}'s end", 60)

    def coordinator(self):
        def look():
            return self.manager("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={self.name}_coordinator").strip()
        return waiting.until(look, "the coordinator's container", LIMIT_S)

    def log(self):
        done = subprocess.run(["docker", "logs", self.coordinator()], env=self.manager.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return done.stdout.decode(errors="replace")

    def log_has(self, pattern, times=1):
        try:
            waiting.until(lambda: len(re.findall(pattern, self.log())) >= times, f"{times} times '{pattern}'", LIMIT_S)
        except AssertionError as late:
            raise AssertionError(f"{late} in\n{self.log()}") from late

    def tasks(self):
        """The workers' tasks: [(node, image, state)], those that are over left out."""
        found = self.manager.json("service", "ps", f"{self.name}_worker", "--filter", "desired-state=running", "--no-trunc")
        return [(task["Node"], task["Image"], task["CurrentState"].split()[0]) for task in found]

    def workers(self):
        """The ids of the workers' containers, of a swarm of one node."""
        return set(self.manager("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={self.name}_worker").split())

    def running(self, count, image=None):
        def look():
            tasks = self.tasks()
            return len(tasks) == count and all(state == "Running" and (image is None or name == image) for _, name, state in tasks)
        waiting.until(look, f"{count} running workers: {self.tasks()}", LIMIT_S)


def render_in(node, image, folder, *options):
    """A picture by --workers 0, in a container of the same image."""
    run("docker", "run", "--rm", "--user", f"{os.geteuid()}:{os.getegid()}", "-v", f"{folder}:/out", "-w", "/out", image, "render", *options, "--workers", "0",
        "--quiet", "-o", "reference.png", env=node.environment)
    return (folder / "reference.png").read_bytes()


@pytest.fixture(scope="module")
def images(image):
    """Two images that differ in nothing but a label: the version before a roll-out and the one after."""
    second = f"{IMAGE}:rolled"
    run("docker", "build", "-q", "-t", second, "-", input=f"FROM {IMAGE}\nLABEL rolled=yes\n")
    yield f"{IMAGE}:latest", second
    waiting.until(lambda: succeeds("docker", "rmi", second), "the end of the containers of a swarm that was left", 60)


def submit(stack, spp):
    stack.manager("exec", stack.coordinator(), "mobyray", "submit", *RENDER, "--spp", spp, "--cluster", "tcp://127.0.0.1:5555")


def job(stack):
    jobs = json.loads(stack.manager("exec", stack.coordinator(), "mobyray", "status", "--json", "--cluster", "tcp://127.0.0.1:5555"))
    (one,) = jobs["jobs"] if isinstance(jobs, dict) else jobs
    return one


def still_renders(stack):
    assert job(stack)["state"] in ("queued", "running"), "the render was over too soon: give it more samples"


def picture_of(stack, folder):
    stack.log_has(r"job \d+: .*/out/job-")
    stack.manager("cp", f"{stack.coordinator()}:/out/.", folder)
    (picture,) = folder.glob("job-*.png")
    return picture.read_bytes()


def scaled_by_itself(stack, mobyray, folder):
    """Of three idle workers the coordinator sends two home, and Swarm removes those two: it neither takes the third one nor starts others in their place."""
    token, workers, left = folder / "http-token", stack.workers(), len(re.findall(r"worker \d+ .* left", stack.log()))
    joined = len(re.findall(r"worker \d+ .* joined", stack.log()))
    token.write_text(re.findall(r"#token=(\S+)", stack.log())[-1])
    scaler = mobyray.start("autoscale", "--swarm", f"{stack.name}_worker", "--api", f"http://127.0.0.1:{stack.http_port}", "--http-token", token)
    waiting.until(lambda: "-> 1 replicas" in scaler.log(), f"one replica\n{scaler.log()}", LIMIT_S)
    assert "2 idle and 0 busy ones are told to finish" in scaler.log()
    stack.running(1)
    waiting.until(lambda: len(stack.workers()) == 1, "one container", LIMIT_S)
    scaler.signal(15)
    scaler.wait()
    assert stack.workers() < workers
    assert (len(re.findall(r"worker \d+ .* left", stack.log())), len(re.findall(r"worker \d+ .* joined", stack.log()))) == (left + 2, joined)


NODES = {"one node": (swarm.one_node, 1), **({"three nodes": (swarm.three_nodes, 3)} if FULL else {})}


@pytest.mark.parametrize("make, count", NODES.values(), ids=NODES.keys())
def test_scaled_and_updated_in_mid_render(make, count, mobyray, images, tmp_path):
    """2 -> 3 workers, all of them replaced by another image; on one node the coordinator dies, too, and another goes on with its volume. One render."""
    mobyray("keygen", "keys")
    spp = str(max(64, int((30 if count == 1 else 20) * 2 * samples_a_second() / 256 ** 2)))  # some 20 s on two cores
    with make() as nodes:
        if count > 1:
            run("docker", "save", "-o", tmp_path / "images.tar", *images)
            for node in nodes:
                node("load", "-q", "-i", tmp_path / "images.tar")
        stack = Stack(nodes, f"mobyraytest{os.getpid()}", images)
        try:
            stack.deploy(tmp_path / "keys", workers=2)
            stack.log_has(r"worker \d+ .* joined", 2)
            coordinator = stack.coordinator()
            submit(stack, spp)

            stack.manager("service", "scale", "-d", f"{stack.name}_worker=3")
            stack.running(3)
            stack.log_has(r"worker \d+ .* joined", 3)
            assert len({node for node, _, _ in stack.tasks()}) == count, "the workers are not spread over the nodes"

            stack.manager("service", "update", "-d", "--no-resolve-image", "--image", images[1], f"{stack.name}_worker")
            stack.running(3, images[1])
            stack.log_has(r"worker \d+ .* joined", 6)
            stack.log_has(r"worker \d+ .* left", 3)  # with a goodbye, what they had not begun was handed back
            assert stack.coordinator() == coordinator, "the coordinator was disturbed"
            log, redone = stack.log(), job(stack)["tiles_redone"]
            still_renders(stack)
            print(f"\nswarm, {count} nodes: 2 -> 3 workers, all replaced by another image in mid-render: {redone} tiles redone, "
                  f"{len(re.findall(r'is (lost|silent)', log))} workers lost without a goodbye")
            if count == 1:
                stack.manager("kill", coordinator)
                waiting.until(lambda: stack.coordinator() != coordinator, "another coordinator", LIMIT_S)
                stack.log_has("going on with 1 job")
            assert picture_of(stack, tmp_path / "out") == render_in(swarm.Node(), IMAGE, tmp_path, *RENDER, "--spp", spp)
            assert job(stack)["state"] == "done"
            if count == 1:
                scaled_by_itself(stack, mobyray, tmp_path)
        finally:
            stack.remove()

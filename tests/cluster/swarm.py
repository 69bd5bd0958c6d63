"""Swarms for the tests: the real engine as a swarm of one node, or three engines in network namespaces of this machine.

Three nodes are three dockerd processes, each in a network namespace (a node's network) and a mount namespace (its own /run) of its own, with its own
data folder, joined by a bridge that lives in a fourth namespace, where the machine's firewall does not see it. What Swarm puts on top (overlay
networks, its own DNS, Raft) is real. They share this machine's kernel and cores. Needs root, `ip`, `nsenter` and `unshare`."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import waiting
from containers import run, succeeds, unavailable

NODES = 3


class Node:
    """An engine, and what the tests ask of it. socket: None is the machine's own engine."""

    def __init__(self, socket=None, address="127.0.0.1"):
        self.environment = dict(os.environ) if socket is None else {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
        self.address = address

    def __call__(self, *arguments, environment=None, **options):
        return run("docker", *map(str, arguments), env={**self.environment, **(environment or {})}, **options)

    def succeeds(self, *arguments):
        return subprocess.run(["docker", *arguments], env=self.environment, capture_output=True, check=False).returncode == 0

    def json(self, *arguments):
        return [json.loads(line) for line in self(*arguments, "--format", "{{json .}}").splitlines()]


@contextlib.contextmanager
def one_node():
    """The machine's engine. Makes the swarm and leaves it again, unless there is one: then that is used, and kept."""
    node = Node()
    state = node("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}").split()
    if state[0] == "active":
        if state[1] != "true":
            unavailable("this engine is in a swarm, but not as a manager")
        yield [node]
        return
    node("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        yield [node]
    finally:
        node("swarm", "leave", "--force")


def start_engine(folder, number, bridge):
    """dockerd as node `number`, in namespaces that are named after this process."""
    space, home = f"{bridge}-{number}", folder / str(number)
    home.mkdir()
    run("ip", "netns", "add", space)
    run("ip", "link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", f"v{number}", "netns", bridge)
    run("ip", "-n", bridge, "link", "set", f"v{number}", "master", "br0", "up")
    run("ip", "-n", space, "addr", "add", f"10.231.7.{number}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        run("ip", "-n", space, "link", "set", link, "up")
    (home / "daemon.json").write_text("{}")
    (home / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody answers there: a registry is not waited for
    script = (f"hostname node{number}; mount -t tmpfs tmpfs /run; mkdir -p /run/docker; mount --bind {home}/resolv.conf $(readlink -f /etc/resolv.conf); "
              f"exec dockerd --config-file {home}/daemon.json --data-root {home}/data --exec-root /run/docker --pidfile /run/docker.pid "
              f"--host unix://{home}/docker.sock --storage-driver vfs --bridge none --mtu 1400")
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{space}", "unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", script],
                                   stdout=log, stderr=log)
    return process, Node(home / "docker.sock", f"10.231.7.{number}")


@contextlib.contextmanager
def three_nodes():
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("dockerd", "ip", "nsenter", "unshare")):
        unavailable("three engines in namespaces need root, dockerd, ip, nsenter and unshare")
    bridge = f"mrswarm{os.getpid()}"
    processes, nodes = [], []
    with tempfile.TemporaryDirectory(prefix="mobyray-swarm-", ignore_cleanup_errors=True) as name:
        try:
            run("ip", "netns", "add", bridge)
            run("ip", "-n", bridge, "link", "add", "br0", "type", "bridge")
            run("ip", "-n", bridge, "link", "set", "br0", "up")
            for number in range(1, NODES + 1):
                process, node = start_engine(pathlib.Path(name), number, bridge)
                processes.append(process)
                nodes.append(node)
            for process, node in zip(processes, nodes):
                waiting.until(lambda process=process, node=node: process.poll() is not None or node.succeeds("info"), "an engine", 60)
                assert process.poll() is None, (pathlib.Path(name) / str(nodes.index(node) + 1) / "log").read_text()[-2000:]
            nodes[0]("swarm", "init", "--advertise-addr", nodes[0].address)
            token = nodes[0]("swarm", "join-token", "-q", "worker").strip()
            for node in nodes[1:]:
                node("swarm", "join", "--token", token, "--advertise-addr", node.address, f"{nodes[0].address}:2377")
            yield nodes
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
            for number in range(1, NODES + 1):
                subprocess.run(["ip", "netns", "del", f"{bridge}-{number}"], stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["ip", "netns", "del", bridge], stderr=subprocess.DEVNULL, check=False)


def works_here():
    return succeeds("docker", "info")

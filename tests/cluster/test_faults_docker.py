"""Faults 5 and 15 on the real Docker engine: the coordinator's container is replaced; workers are scaled up and down while half of them speak an older protocol."""

import base64
import json
import re
import shutil
import subprocess
import time

import pytest

import faults
import waiting
from containers import IMAGE, UP_LIMIT_S, run
from faults import full_or_short, say
from running import ROOT

OLD_IMAGE = f"{IMAGE}-old"
OLD_WORKERS = """
services:
  old:
    image: {image}
    read_only: true
    cap_drop: [ALL]
    command: [worker]
    volumes: ["keys-worker:/keys/worker:ro"]
    environment: {{MOBYRAY_COORDINATOR: "tcp://coordinator:5555", MOBYRAY_KEY: /keys/worker, MOBYRAY_THREADS: "1"}}
    restart: on-failure
"""


@pytest.fixture(scope="module")
def old_image(image, tmp_path_factory):
    """The same program, but of the protocol version before: built here from the objects that are there, put over the image's own."""
    version = int(re.search(r"WIRE_VERSION = (\d+)", (ROOT / "wire" / "limits.h").read_text())[1])
    folder = tmp_path_factory.mktemp("old")
    for name in ("Makefile", "tracer", "wire", "coordinator", "worker", "cli", "bench", "docker", "scenes", "build"):
        if (ROOT / name).exists():
            run("cp", "-a", ROOT / name, folder / name)
    limits = folder / "wire" / "limits.h"
    limits.write_text(limits.read_text().replace(f"WIRE_VERSION = {version}", f"WIRE_VERSION = {version - 1}"))
    run("make", "-C", folder, "-j2", "build/mobyray", timeout=900)
    context = folder / "context"
    (context / "root" / "lib").mkdir(parents=True)
    (context / "root" / "usr" / "bin").mkdir(parents=True)
    shutil.copy(folder / "build" / "mobyray", context / "root" / "usr" / "bin" / "mobyray")
    for library in re.findall(r"=> (/\S+)", run("ldd", folder / "build" / "mobyray")):  # the image has no more than its own program needs
        shutil.copy(library, context / "root" / "lib")
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY root/ /\n")
    run("docker", "build", "-q", "-t", OLD_IMAGE, context)
    return version


def test_scaled_with_old_workers(project, container_reference, old_image):
    """15: 1 -> many -> 1 worker again and again in one render; every second one is refused, with a message."""
    rounds, many = full_or_short((10, 16), (1, 4))
    options = {"MOBYRAY_SIZE": "640x360", "MOBYRAY_SPP": str(full_or_short(2048, 192))}
    (project.folder / "old.yaml").write_text(OLD_WORKERS.format(image=OLD_IMAGE))

    def compose(*arguments):
        return project("-f", "compose.yaml", "-f", "old.yaml", *arguments, variables=options)

    compose("up", "-d", "--scale", "worker=1", "--scale", "old=0")
    project.wait_log("coordinator", r"[1-9]\d*/\d+ tiles")
    coordinator = project.containers("coordinator")
    refusal = f"speaks protocol version {old_image}, you speak {old_image - 1}"
    for _ in range(rounds):
        before = len(re.findall("joined", project.log("coordinator")))
        compose("up", "-d", "--scale", f"worker={many // 2}", "--scale", f"old={many // 2}")
        waiting.until(lambda before=before: len(re.findall("joined", project.log("coordinator"))) >= before + many // 2 - 1, "the new workers", UP_LIMIT_S)
        waiting.until(lambda: refusal in compose("logs", "--no-color", "old"), "the old ones' refusal", UP_LIMIT_S)
        assert "the picture is in" not in project.log("coordinator"), "the render was over too soon: give it more samples"
        compose("up", "-d", "--scale", "worker=1", "--scale", "old=0")
    assert project.containers("coordinator") == coordinator, "the coordinator was disturbed"
    project.wait_log("coordinator", "the picture is in")
    log = project.log("coordinator")
    picture = run("base64", project.out / "mobydock.png", **project.as_caller())
    assert base64.b64decode(picture) == container_reference(options)
    figures = re.search(r"done: .*", log)[0]
    say(15, f"{rounds} times 1 -> {many} -> 1 containers, {many // 2} of them of protocol version {old_image - 1}: each of those refused; "
            f"{len(re.findall(' joined', log))} joined, {len(re.findall(' left', log))} left, {len(re.findall(' is (lost|silent)', log))} lost; {figures}")


def test_replaced_coordinator(project, container_reference):
    """5: the coordinator's container is killed and another comes, with another address."""
    options = {"MOBYRAY_SIZE": "640x360", "MOBYRAY_SPP": str(full_or_short(256, 96)), "MOBYRAY_STATE": "/out/state"}

    def address():
        (one,) = project.containers("coordinator")
        networks = json.loads(run("docker", "inspect", one))[0]["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    project("up", "-d", "--scale", "worker=3", variables=options)
    project.wait_log("coordinator", r"[1-9]\d*/\d+ tiles")
    first, network = address(), f"{project.name}_default"
    (container,) = project.containers("coordinator")
    run("docker", "kill", container)
    run("docker", "rm", container)
    squatter = run("docker", "run", "-d", "--network", network, IMAGE, "worker", "--coordinator", "tcp://127.0.0.1:1")  # takes the address that is free now
    try:
        project("up", "-d", "--no-recreate", "--scale", "worker=3", variables=options)
        start = time.monotonic()
        waiting.until(lambda: len(re.findall(r"worker \d+ .* joined", project.log("coordinator"))) >= 3, "all workers' return", UP_LIMIT_S)
        took = time.monotonic() - start
        second = address()
        assert second != first, "it has the same address again"
        project.wait_log("coordinator", "the picture is in")
        log = project.log("coordinator")
        assert re.search(r"going on with 1 job, [1-9]\d* tiles are in", log)
        picture = run("base64", project.out / "mobydock.png", **project.as_caller())
        assert base64.b64decode(picture) == container_reference(options)
        say(5, f"the coordinator's container replaced, {first} -> {second}: all three workers back at most {took:.1f} s after it was up")
        if faults.FULL:
            assert took < 5
    finally:
        run("docker", "rm", "-f", squatter.strip())
        subprocess.run(["rm", "-rf", project.out / "state"], check=True)

"""The closed loop on the real engine: a job comes and 1 worker becomes 6, it ends and they are gone again; the autoscaler is killed in the middle of it."""

import base64
import json
import os
import re
import time
import urllib.request

import pytest

import waiting
from containers import run

# Workers with a third of a core each: six of them do not share what there is, and none starves long enough to count as lost.
OVERRIDE = """
services:
  coordinator: {command: [coordinator, --http, "0.0.0.0:8080"], environment: {MOBYRAY_LEASE: "10000"}}
  worker: {cpus: 0.3}
"""
WISH = {"MOBYRAY_TARGET_SECONDS": "2", "MOBYRAY_MAX_WORKERS": "6", "MOBYRAY_COOL_DOWN": "1"}
PICTURE = {"MOBYRAY_SIZE": "480x270", "MOBYRAY_SPP": "128"}  # far more than six such workers do in the target
SMALL = {"MOBYRAY_SIZE": "320x180", "MOBYRAY_SPP": "16"}
LIMIT_S = 240


class Loop:
    """A project whose workers the autoscaler rules."""

    def __init__(self, project):
        self.project = project
        (project.folder / "autoscale.yaml").write_text(OVERRIDE)

    def __call__(self, *arguments):
        return self.project("-f", "compose.yaml", "-f", "autoscale.yaml", "--profile", "autoscale", *arguments, variables=WISH)

    def container(self, service):
        (one,) = self.containers(service)
        return one

    def containers(self, service, *, stopped=False):
        return run("docker", "ps", "-q", *(["-a"] if stopped else []), "--filter", f"label=com.docker.compose.project={self.project.name}",
                   "--filter", f"label=com.docker.compose.service={service}").split()

    def ask(self, path):
        networks = json.loads(run("docker", "inspect", self.container("coordinator")))[0]["NetworkSettings"]["Networks"]
        with urllib.request.urlopen(f"http://{next(iter(networks.values()))['IPAddress']}:8080{path}", timeout=30) as answer:
            return answer.read().decode()

    def metric(self, pattern):
        return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", self.ask("/metrics"), re.MULTILINE))

    def has_a_worker(self):
        try:
            return self.metric('mobyray_workers{state="idle"}') == 1
        except OSError:
            return False  # the coordinator is still starting

    def submit(self, picture):
        number = run("docker", "exec", self.container("coordinator"), "mobyray", "submit", "/scenes/mobydock", "--key", "/keys/coordinator", "--size", picture["MOBYRAY_SIZE"],
                     "--spp", picture["MOBYRAY_SPP"], "--cluster", "tcp://127.0.0.1:5555")
        return int(number)

    def job(self, number):
        return json.loads(self.ask(f"/api/v1/jobs/{number}"))

    def wait_workers(self, count, *, exactly=False):
        """Until so many are running."""
        waiting.until(lambda: (lambda here: here == count if exactly else here >= count)(len(self.containers("worker"))), f"{count} workers", LIMIT_S)

    def wait_done(self, number):
        waiting.until(lambda: self.job(number)["state"] not in ("queued", "running"), "the end of the job", LIMIT_S)
        assert self.job(number)["state"] == "done"

    def picture(self, number):
        return base64.b64decode(run("base64", self.project.out / f"job-{number}-mobydock.png", **self.project.as_caller()))


@pytest.fixture
def loop(project):
    made = Loop(project)
    yield made
    made("down", "--volumes", "--timeout", "5")


def say(text):
    if os.environ.get("CHAOS"):
        print(text)


def test_closed_loop(loop, container_reference):
    reference, small = container_reference(PICTURE), container_reference(SMALL)
    loop("up", "-d", "--scale", "worker=1")
    waiting.until(loop.has_a_worker, "the first worker", LIMIT_S)
    assert len(loop.containers("worker")) == 1

    # A job comes: one becomes six. The autoscaler dies as soon as there is a second one.
    begun = time.monotonic()
    job = loop.submit(PICTURE)
    loop.wait_workers(2)
    run("docker", "kill", loop.container("autoscale"))
    assert loop.job(job)["state"] == "running", "the render was over before the autoscaler could be killed: give it more samples"
    loop("up", "-d", "--no-recreate", "--no-deps", "autoscale")
    loop.wait_workers(6)
    say(f"six workers {time.monotonic() - begun:.1f} s after the job came, the autoscaler killed meanwhile")

    # It ends: back to the minimum, which is none. Everyone was told to finish; nobody was killed, and no tile was lost.
    loop.wait_done(job)
    loop.wait_workers(0, exactly=True)
    waiting.until(lambda: len(loop.containers("worker", stopped=True)) == 1, "the others to be removed, and one to be kept")
    assert loop.picture(job) == reference
    assert loop.metric('mobyray_workers_gone_total{how="left"}') == loop.metric("mobyray_workers_joined_total") == 6
    assert loop.metric('mobyray_tiles_redone_total{cause="lost"}') == 0
    assert "it is killed" not in loop("logs", "--no-color", "autoscale")

    # From none to what another job takes, and back.
    job = loop.submit(SMALL)
    loop.wait_workers(1)
    loop.wait_done(job)
    loop.wait_workers(0, exactly=True)
    assert loop.picture(job) == small
    assert loop.metric('mobyray_tiles_redone_total{cause="lost"}') == 0

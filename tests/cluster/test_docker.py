"""compose.yaml on the real Docker engine: scaled up and down in mid-render, the picture byte for byte that of --workers 0."""

import base64
import json
import subprocess
import time
import urllib.request

import pytest

import waiting
from containers import IMAGE, PICTURE, SHORT, run


def cluster_of(project):
    """What the coordinator says over HTTP, by the port that Compose publishes on this machine."""
    with urllib.request.urlopen(f"http://{project('port', 'coordinator', '8080').strip()}/api/v1/cluster", timeout=60) as answer:
        return json.load(answer)


def test_scaled_in_mid_render(project, container_reference):
    project("up", "-d", "--scale", "worker=2")
    project.wait_log("coordinator", r"[1-9]\d*/\d+ tiles")
    coordinator, two = project.containers("coordinator"), project.containers("worker")
    assert len(coordinator) == 1 and len(two) == 2

    project("up", "-d", "--scale", "worker=4")
    project.wait_log("coordinator", "4 workers")
    assert cluster_of(project)["workers"] == 4
    four = project.containers("worker")
    assert len(four) == 4 and two.items() <= four.items(), "the first two were disturbed"
    assert project.containers("coordinator") == coordinator

    project("up", "-d", "--scale", "worker=1")
    one = project.containers("worker")
    assert len(one) == 1 and one.items() <= four.items(), "the last worker was disturbed"
    assert project.containers("coordinator") == coordinator
    assert "the picture is in" not in project.log("coordinator"), "the render was over too soon: give it more samples"

    project.wait_log("coordinator", "the picture is in")
    picture = run("base64", project.out / "mobydock.png", **project.as_caller())
    assert base64.b64decode(picture) == container_reference(PICTURE)

    # It stays up for further jobs, and is healthy.
    waiting.until(lambda: healthy(coordinator), "the coordinator's health")
    assert project.containers("coordinator") == coordinator
    project("exec", "-T", "coordinator", "mobyray", "render", "/scenes/cornell", "--size", "64x64", "--spp", "2", "--cluster",
            "tcp://127.0.0.1:5555", "-o", "/out/cornell.png")
    project.remove_as_caller("cornell.png")


def healthy(containers):
    states = json.loads(run("docker", "inspect", *containers))
    return all(state["State"]["Health"]["Status"] == "healthy" for state in states)


def test_exit_when_done(project, container_reference):
    assert not project.out.exists() or not list(project.out.iterdir())
    variables = {**SHORT, "MOBYRAY_EXIT_WHEN_DONE": "1", "MOBYRAY_REPORT": "report.json"}
    project("up", "--scale", "worker=2", variables=variables)  # in the foreground: returns when all have ended
    assert (project.out / "mobydock.png").read_bytes() == container_reference(SHORT)
    assert json.loads((project.out / "report.json").read_text())["width"] == 160
    ended = json.loads(run("docker", "inspect", *project("ps", "-aq" if "docker" == project.command[0] else "-q").split()))
    assert ended and all(state["State"]["ExitCode"] == 0 for state in ended)
    run("rm", "-r", project.out, **project.as_caller())  # the folder, too, is the caller's


def test_image_runs_without_rights_and_knows_its_health(image):
    settings = json.loads(run("docker", "image", "inspect", IMAGE))[0]["Config"]
    assert settings["User"].split(":")[0] not in ("", "0", "root")
    assert settings["Healthcheck"]["Test"] == ["CMD", "mobyray", "ping"]


@pytest.mark.parametrize("command", (["coordinator"], ["worker", "--coordinator", "tcp://127.0.0.1:1"]))
def test_process_1_stops_at_once(image, command):
    container = run("docker", "run", "-d", IMAGE, *command).strip()
    try:
        waiting.until(lambda: logs(container), "its log")
        start = time.monotonic()
        run("docker", "stop", "--time", "60", container)
        assert time.monotonic() - start < 30, "it was killed, not stopped"
        assert json.loads(run("docker", "inspect", container))[0]["State"]["ExitCode"] == 0
    finally:
        run("docker", "rm", "-f", container)


def logs(container):
    return subprocess.run(["docker", "logs", container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout

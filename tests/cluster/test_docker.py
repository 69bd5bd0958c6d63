"""compose.yaml on the real Docker engine: scaled up and down in mid-render, the picture byte for byte that of --workers 0.

The base image is made once with debootstrap from this machine's Debian mirror (images from a registry are not needed) and
kept as mobyray-test-base:bookworm. Without an engine the tests are skipped, but in CI that is a failure. As root,
with dockerd installed but not running, they start one and end it."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import waiting
from running import ROOT

BASE_IMAGE = "mobyray-test-base:bookworm"
IMAGE = "mobyray-test"
CALLER = 12345  # a user who is not root
PICTURE = {"MOBYRAY_SIZE": "640x360", "MOBYRAY_SPP": "128"}
SHORT = {"MOBYRAY_SIZE": "160x90", "MOBYRAY_SPP": "4"}
UP_LIMIT_S = 240


def unavailable(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def succeeds(*command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A running engine: the machine's, or one started for these tests."""
    if succeeds("docker", "info"):
        yield
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        unavailable("no Docker engine runs here")
    log = tmp_path_factory.mktemp("dockerd") / "log"
    with open(log, "wb") as stream:
        daemon = subprocess.Popen(["dockerd"], stdout=stream, stderr=stream)
    try:
        waiting.until(lambda: succeeds("docker", "info") or daemon.poll() is not None, "dockerd", 60)
        if daemon.poll() is not None:
            unavailable(f"dockerd does not start: {log.read_text()[-500:]}")
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture(scope="module")
def compose_command(engine):
    for command in (["docker-compose"], ["docker", "compose"]):
        if succeeds(*command, "version"):
            return command
    return unavailable("no Compose is installed")


def mirror():
    """The Debian mirror that this machine's apt uses."""
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("debian*"))]:
        if path.exists():
            for word in path.read_text().split():
                if word.startswith(("http://", "https://")) and word.rstrip("/").endswith("debian"):
                    return word
    return "http://deb.debian.org/debian"


@pytest.fixture(scope="module")
def base_image(engine, tmp_path_factory):
    """BASE_IMAGE from the environment, or a minimal Debian of our own making."""
    if os.environ.get("BASE_IMAGE"):
        return os.environ["BASE_IMAGE"]
    if not succeeds("docker", "image", "inspect", BASE_IMAGE):
        if not shutil.which("debootstrap") or os.geteuid() != 0:
            unavailable(f"{BASE_IMAGE} can be made only by root with debootstrap")
        folder = tmp_path_factory.mktemp("base") / "root"
        run("debootstrap", "--variant=minbase", "bookworm", folder, mirror())
        archive = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        run("docker", "import", "-c", 'CMD ["bash"]', "-", BASE_IMAGE, stdin=archive.stdout)
        assert archive.wait() == 0
    return BASE_IMAGE


class Project:
    """A checkout of a caller who is not root, and its containers."""

    def __init__(self, command, folder, base_image):
        self.command = command
        self.folder = folder
        self.name = f"mobyraytest{os.getpid()}"
        self.base_image = base_image
        self.out = folder / "out"

    def as_caller(self):
        """subprocess options that make the command the caller's; he may talk to the engine, as members of its group may."""
        if os.geteuid() != 0:
            return {}
        group = os.stat("/var/run/docker.sock").st_gid
        return {"user": CALLER, "group": CALLER, "extra_groups": [group]}

    def environment(self, variables):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MOBYRAY_", "COMPOSE_"))}
        return {**kept, "HOME": str(self.folder), "BASE_IMAGE": self.base_image, "MOBYRAY_IMAGE": IMAGE,
                "COMPOSE_PROJECT_NAME": self.name, **variables}

    def __call__(self, *arguments, variables=PICTURE, timeout=UP_LIMIT_S):
        return run(*self.command, *arguments, cwd=self.folder, env=self.environment(variables), timeout=timeout, **self.as_caller())

    def containers(self, service):
        """{id: start time} of a service's running containers."""
        ids = self("ps", "-q", service).split()
        states = json.loads(run("docker", "inspect", *ids)) if ids else []
        return {state["Id"]: state["State"]["StartedAt"] for state in states if state["State"]["Running"]}

    def log(self, service):
        return self("logs", "--no-color", service)

    def wait_log(self, service, pattern):
        return waiting.until(lambda: re.search(pattern, self.log(service)), f"'{pattern}' in the log of {service}", UP_LIMIT_S)

    def remove_as_caller(self, name):
        run("rm", self.out / name, **self.as_caller())


def copy_checkout(folder):
    """What git would give, as the caller's own."""
    files = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if os.geteuid() == 0:
        run("chown", "-R", f"{CALLER}:{CALLER}", folder)


@pytest.fixture(scope="module")
def image(compose_command, base_image, tmp_path_factory):
    """The project with its image built, as the caller would."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)  # pytest's folders are closed to others
    project = Project(compose_command, folder, base_image)
    project("build", timeout=900)
    return project


@pytest.fixture
def project(image):
    yield image
    image("down", "--volumes", "--timeout", "5")
    if image.out.exists():
        for path in image.out.iterdir():
            image.remove_as_caller(path.name)


@pytest.fixture(scope="module")
def container_reference(image):
    """mobydock by --workers 0 in a container of the same image."""
    def render(picture):
        return subprocess.run(
            ["docker", "run", "--rm", "--entrypoint", "/bin/sh", IMAGE, "-c",
             f"mobyray render /scenes/mobydock --workers 0 --quiet --size {picture['MOBYRAY_SIZE']} --spp {picture['MOBYRAY_SPP']} "
             "-o /tmp/a.png && cat /tmp/a.png"], stdout=subprocess.PIPE, check=True).stdout
    return render


def test_scaled_in_mid_render(project, container_reference):
    project("up", "-d", "--scale", "worker=2")
    project.wait_log("coordinator", r"[1-9]\d*/\d+ tiles")
    coordinator, two = project.containers("coordinator"), project.containers("worker")
    assert len(coordinator) == 1 and len(two) == 2

    project("up", "-d", "--scale", "worker=4")
    project.wait_log("coordinator", "4 workers")
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

"""What the tests on a real Docker engine share: the engine, a base image, mobyray's own image, built once a session, and Compose projects.

The base image is made once with debootstrap from this machine's Debian mirror (images from a registry are not needed) and
kept as mobyray-test-base:bookworm. Without an engine the tests are skipped, but in CI that is a failure. As root,
with dockerd installed but not running, they start one and end it. conftest.py gives the fixtures to every test: `engine`, `compose_command`,
`base_image`, `image` (a Project whose image is built), `project` (the same, taken down after each test), `container_reference`."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import zlib

import pytest

import waiting
from running import ROOT

BASE_IMAGE = "mobyray-test-base:bookworm"
IMAGE = f"mobyray-test-{zlib.crc32(str(ROOT).encode()):08x}"  # one a checkout: several can be tested at once
BUILT = {"COMMIT": "0123abc", "SOURCE_DATE_EPOCH": "1700000000", "CREATED": "2023-11-14T22:13:20Z"}  # what the image says of itself
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
                "COMPOSE_PROJECT_NAME": self.name, "MOBYRAY_HTTP_PORT": "0", **variables}

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


@pytest.fixture(scope="session")
def image(compose_command, base_image):
    """The project with its image built, as the caller would."""
    with tempfile.TemporaryDirectory(prefix="mobyray-checkout-") as name:  # not one of pytest's folders: they are closed to others
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        copy_checkout(folder)
        project = Project(compose_command, folder, base_image)
        project("build", variables=BUILT, timeout=900)
        yield project


@pytest.fixture
def project(image):
    yield image
    image("down", "--volumes", "--timeout", "5")
    if image.out.exists():
        for path in image.out.iterdir():
            image.remove_as_caller(path.name)


@pytest.fixture(scope="session")
def container_reference(image, tmp_path_factory):
    """mobydock by --workers 0 in a container of the same image."""
    folder = tmp_path_factory.mktemp("container-reference")

    def render(picture):
        run("docker", "run", "--rm", "--user", f"{os.geteuid()}:{os.getegid()}", "-v", f"{folder}:/out", "-w", "/out", IMAGE, "render", "/scenes/mobydock",
            "--workers", "0", "--quiet", "--size", picture["MOBYRAY_SIZE"], "--spp", picture["MOBYRAY_SPP"], "-o", "a.png")
        return (folder / "a.png").read_bytes()
    return render

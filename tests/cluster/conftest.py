"""What the cluster tests share: running mobyray, reference pictures, clusters on free ports."""

import socket

import pytest

import waiting
from containers import base_image, compose_command, container_reference, engine, image, project  # noqa: F401 (fixtures for every test)
from running import MEDDLER, MOBYRAY, ROOT, Runner


@pytest.fixture(scope="session")
def scenes():
    return ROOT / "scenes"


@pytest.fixture
def mobyray(tmp_path):
    """Runs mobyray; whatever it started is ended with the test."""
    runner = Runner(tmp_path)
    started = []
    start = runner.start
    start_other = runner.start_other
    runner.start = lambda *arguments, **environment: started.append(start(*arguments, **environment)) or started[-1]
    runner.start_other = lambda *arguments: started.append(start_other(*arguments)) or started[-1]
    yield runner
    for watched in started:
        watched.end()


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The bytes of a scene's picture by --workers 0: what every cluster must give. Rendered once for each set of options."""
    folder = tmp_path_factory.mktemp("reference")
    pictures = {}

    def render(scene, *options):
        key = (str(scene), *map(str, options))
        if key not in pictures:
            name = f"{len(pictures)}.png"
            Runner(folder)("render", scene, *options, "--workers", 0, "-o", name, "--quiet")
            pictures[key] = (folder / name).read_bytes()
        return pictures[key]

    return render


@pytest.fixture
def endpoint():
    """A TCP endpoint whose port was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def cluster(mobyray, endpoint):
    return Cluster(mobyray, endpoint)


class Cluster:
    """Starts coordinators and workers that find each other."""

    meddlers = 0

    def __init__(self, mobyray, endpoint):
        self.mobyray = mobyray
        self.endpoint = endpoint

    def coordinator(self, *arguments):
        watched = self.mobyray.start("coordinator", *arguments, "--listen", self.endpoint)
        waiting.log_has(watched, "listening on")
        return watched

    def meddler(self, mode, number, *key):
        """A worker that is slow, lies, or dies of a unit: tests/cluster/meddler.c."""
        Cluster.meddlers += 1
        mine = f"ipc://{self.mobyray.folder}/meddler-{Cluster.meddlers}"
        return self.mobyray.start_other(MEDDLER, *key, self.endpoint, mine, mode, number, "--", MOBYRAY, "worker", "--coordinator", mine, "--threads", 1)

    def worker(self, **environment):
        return self.mobyray.start("worker", "--coordinator", self.endpoint, "--threads", 1, **environment)

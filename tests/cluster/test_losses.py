"""Workers and coordinators that come, go, die and hang: the picture stays the same."""

import json
import os
import signal

import pytest

import waiting
from faults import picture

PICTURE = picture(8)
SMALL = ("--size", "64x64", "--spp", "4")


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


def same(mobyray, reference, scene, options=PICTURE, name="out.png"):
    assert (mobyray.folder / name).read_bytes() == reference(scene, *options)


def test_killed_worker_of_an_embedded_cluster_is_replaced(mobyray, reference, cornell):
    render = mobyray.start("render", cornell, *PICTURE, "--workers", 2, "-o", "out.png", "--report", "report.json")
    waiting.in_mid_render(render)
    os.kill(waiting.children(render.pid)[0], signal.SIGKILL)
    render.wait()
    assert "ended by signal 9; another takes its place" in render.log()
    assert json.loads((mobyray.folder / "report.json").read_text())["workers_seen"] == 3
    same(mobyray, reference, cornell)


def test_killed_worker(cluster, mobyray, reference, cornell):
    workers = [cluster.worker(), cluster.worker()]
    coordinator = cluster.coordinator(cornell, *PICTURE, "-o", "out.png", "--exit-when-done")
    waiting.in_mid_render(coordinator)
    workers[0].signal(signal.SIGKILL)
    coordinator.wait()
    workers[1].wait()
    same(mobyray, reference, cornell)


def test_worker_told_to_stop_leaves_cleanly(cluster, mobyray, reference, cornell):
    workers = [cluster.worker(), cluster.worker()]
    coordinator = cluster.coordinator(cornell, *PICTURE, "-o", "out.png", "--exit-when-done")
    waiting.in_mid_render(coordinator)
    workers[0].signal(signal.SIGTERM)
    workers[0].wait(0)
    assert coordinator.process.poll() is None, "the render was over too soon"
    coordinator.wait()
    same(mobyray, reference, cornell)


def test_stopped_worker_is_lost_and_comes_back(cluster, mobyray, reference, cornell):
    workers = [cluster.worker(), cluster.worker()]
    coordinator = cluster.coordinator(cornell, *PICTURE, "-o", "out.png")
    waiting.in_mid_render(coordinator)
    workers[0].signal(signal.SIGSTOP)
    waiting.log_has(coordinator, "the picture is in")
    same(mobyray, reference, cornell)
    workers[0].signal(signal.SIGCONT)
    workers[1].signal(signal.SIGKILL)  # so only the one that came back can do this
    mobyray("render", cornell, *SMALL, "--cluster", cluster.endpoint, "-o", "second.png")
    same(mobyray, reference, cornell, SMALL, "second.png")


def test_workers_come_late(cluster, mobyray, reference, cornell):
    coordinator = cluster.coordinator(cornell, *PICTURE, "-o", "out.png", "--exit-when-done")
    cluster.worker()
    waiting.in_mid_render(coordinator)
    cluster.worker()
    coordinator.wait()
    assert "2 workers seen" in coordinator.log()
    same(mobyray, reference, cornell)


def test_workers_start_before_the_coordinator(cluster, mobyray, reference, cornell):
    workers = [cluster.worker(), cluster.worker()]
    assert all(worker.process.poll() is None for worker in workers)
    cluster.coordinator(cornell, *SMALL, "-o", "out.png", "--exit-when-done").wait()
    same(mobyray, reference, cornell, SMALL)


def test_workers_find_a_restarted_coordinator(cluster, mobyray, reference, cornell):
    workers = [cluster.worker(), cluster.worker()]
    first = cluster.coordinator(cornell, *PICTURE, "-o", "out.png")
    waiting.in_mid_render(first)
    first.signal(signal.SIGKILL)
    first.process.wait()
    assert not (mobyray.folder / "out.png").exists()
    waiting.log_has(cluster.coordinator(cornell, *SMALL, "-o", "out.png"), "the picture is in")
    same(mobyray, reference, cornell, SMALL)
    for worker in workers:  # also the one that came after the last tile
        waiting.log_has(worker, r"(?s)joined as worker.*joined as worker")


def test_a_running_coordinator_takes_jobs(cluster, mobyray, reference, scenes):
    coordinator = cluster.coordinator()
    worker = cluster.worker()
    for scene in ("cornell", "spheres"):
        mobyray("render", scenes / scene, *SMALL, "--cluster", cluster.endpoint, "-o", f"{scene}.png", "--report", "report.json")
        same(mobyray, reference, scenes / scene, SMALL, f"{scene}.png")
        report = json.loads((mobyray.folder / "report.json").read_text())
        assert (report["width"], report["height"], report["spp"], report["workers_seen"]) == (64, 64, 4, 1)
    coordinator.signal(signal.SIGTERM)
    coordinator.wait(0)
    assert worker.process.poll() is None  # it waits for the coordinator's return
    worker.signal(signal.SIGTERM)
    worker.wait(0)


def test_workers_die_with_an_embedded_clusters_parent(mobyray, cornell):
    render = mobyray.start("render", cornell, *PICTURE, "--workers", 2, "-o", "out.png")
    waiting.in_mid_render(render)
    workers = waiting.children(render.pid)
    assert len(workers) == 2
    render.signal(signal.SIGKILL)
    waiting.until(lambda: not any(map(waiting.is_running, workers)), "the workers' end")


@pytest.mark.parametrize("workers", (0, 2))
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_interrupted_render_leaves_nothing(mobyray, cornell, workers, number):
    temporary = mobyray.folder / "tmp"
    temporary.mkdir()
    (mobyray.folder / "out.png").write_bytes(b"an older picture")
    render = mobyray.start("render", cornell, *PICTURE, "--workers", workers, "-o", "out.png", TMPDIR=str(temporary))
    waiting.in_mid_render(render)
    started = waiting.children(render.pid)
    render.signal(number)
    render.wait(130)
    assert not any(map(waiting.is_running, started))
    assert (mobyray.folder / "out.png").read_bytes() == b"an older picture"
    assert sorted(path.name for path in mobyray.folder.iterdir()) == ["out.png", render.log_path.name, "tmp"]
    assert not list(temporary.iterdir())


def test_interrupted_coordinator(cluster, mobyray, cornell):
    worker = cluster.worker()
    coordinator = cluster.coordinator(cornell, *PICTURE, "-o", "out.png")
    waiting.in_mid_render(coordinator)
    coordinator.signal(signal.SIGTERM)
    coordinator.wait(130)
    assert worker.process.poll() is None
    assert not (mobyray.folder / "out.png").exists()

"""The same PNG bytes for any workers, threads, tile size, order, kernel."""

import re
import subprocess

import pytest

import waiting
from running import MOBYRAY

SIZE = ("--size", "96x72", "--spp", "6", "--seed", "5")
SCENES = ("cornell", "spheres", "leaves")

# workers, threads, tile
GRIDS = [(0, 1, 16), (0, 2, 32), (0, 3, 7), (0, 2, 96), (1, 1, 16), (1, 2, 33), (2, 1, 32), (2, 1, 8), (2, 2, 64), (3, 1, 24),
         (4, 1, 16), (8, 1, 32)]


def kernels():
    text = subprocess.run([MOBYRAY, "version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^kernels: (.*)$", text, re.MULTILINE)[1].split()


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("workers, threads, tile", GRIDS)
def test_grid(mobyray, reference, scenes, scene, workers, threads, tile):
    mobyray("render", scenes / scene, *SIZE, "--workers", workers, "--threads", threads, "--tile", tile, "-o", "out.png")
    assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / scene, *SIZE)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("workers", (0, 2))
@pytest.mark.parametrize("kernel", kernels())
def test_kernels(mobyray, reference, scenes, scene, kernel, workers):
    mobyray("render", scenes / scene, *SIZE, "--workers", workers, "-o", "out.png", MOBYRAY_KERNEL=kernel)
    assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / scene, *SIZE)


def test_workers_of_different_kernels_in_one_cluster(cluster, mobyray, reference, scenes):
    coordinator = cluster.coordinator("--exit-when-done")
    workers = [cluster.worker(MOBYRAY_KERNEL=kernel) for kernel in kernels()]
    for worker in workers:
        waiting.log_has(worker, "joined as worker")
    mobyray("render", scenes / "cornell", *SIZE, "--tile", 8, "--cluster", cluster.endpoint, "-o", "out.png")
    for watched in (coordinator, *workers):
        watched.wait()
    assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / "cornell", *SIZE)


def test_a_pack_renders_like_its_scene(mobyray, reference, scenes):
    mobyray("scene", "pack", scenes / "cornell", "-o", "cornell.pack")
    mobyray("render", "cornell.pack", *SIZE, "-o", "out.png")
    assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / "cornell", *SIZE)


def test_another_seed_is_another_picture(mobyray, reference, scenes):
    mobyray("render", scenes / "cornell", *SIZE[:4], "--seed", 6, "-o", "out.png")
    assert (mobyray.folder / "out.png").read_bytes() != reference(scenes / "cornell", *SIZE)

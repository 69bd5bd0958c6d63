"""Models that assimp reads: whatever it does with a hostile file, the answer is a message, and the picture of a good one stays the same.

assimp's own faults are played by a library that is loaded before it: crashes that a given file causes today would be gone with its next version."""

import shutil
import subprocess

import pytest

from running import SANITIZED

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
FAULTS = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *volatile kept;
void *aiImportFileExWithProperties(const char *path, unsigned flags, void *io, void *properties)
{
    (void)path; (void)flags; (void)io; (void)properties;
    const char *fault = getenv("FAULT");
    if (!strcmp(fault, "crash")) *(volatile int *)kept = 1;
    if (!strcmp(fault, "abort")) abort();
    if (!strcmp(fault, "exit")) _exit(0);
    while (!strcmp(fault, "memory")) {
        if (!(kept = malloc(1 << 26))) abort();
    }
    return NULL;
}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    if not shutil.which("gcc"):
        pytest.skip("no compiler here")
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faults.c").write_text(FAULTS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "faults.so", "faults.c"], cwd=folder, check=True)
    return folder / "faults.so"


@pytest.fixture
def model(mobyray):
    (mobyray.folder / "a.obj").write_text(TRIANGLE)
    return "a.obj"


@pytest.mark.parametrize("fault, message", (
    ("crash", "the importer for its format crashed on it"),
    ("abort", "the importer for its format crashed on it"),
    ("exit", "the importer for its format crashed on it"),
    ("memory", "the importer for its format crashed on it"),
))
def test_a_fault_of_assimp_is_a_message(mobyray, model, faulty, fault, message):
    if SANITIZED:
        pytest.skip("a sanitizer wants to be loaded first, and has signals and addresses in its hands")
    assert message in mobyray("scene", "check", model, code=3, LD_PRELOAD=str(faulty), FAULT=fault).stderr


def test_only_the_formats_we_test_are_taken(mobyray):
    (mobyray.folder / "a.x3d").write_text("<X3D/>")
    (mobyray.folder / "a.blend").write_text("BLENDER-v300")
    for name in ("a.x3d", "a.blend"):
        assert "expected .ply, .gltf" in mobyray("scene", "check", name, code=3).stderr


def test_messages_come_through(mobyray):
    (mobyray.folder / "a.gltf").write_text("{")
    assert "a.gltf: not a model file that can be read" in mobyray("scene", "check", "a.gltf", code=3).stderr
    (mobyray.folder / "b.obj").write_text("v 0 0 0\n")
    assert "b.obj" in mobyray("scene", "check", "b.obj", code=3).stderr


def test_a_good_model_passes_whole(mobyray, scenes):
    """Textures, materials and colours come through the other process: a scene in which they are seen renders as its pack does."""
    source = scenes.parent / "tests" / "scenes" / "good" / "textured.gltf"
    mobyray("scene", "pack", source, "-o", "a.pack")
    mobyray("render", source, "--size", "32x32", "--spp", "2", "--workers", 0, "-o", "a.png")
    mobyray("render", "a.pack", "--size", "32x32", "--spp", "2", "--workers", 0, "-o", "b.png")
    assert (mobyray.folder / "a.png").read_bytes() == (mobyray.folder / "b.png").read_bytes()

"""The benchmark programs on small work: that they measure what they say, not how fast it is."""

import json
import struct
import subprocess

import pytest

from running import MOBYRAY, TIMEOUT_S, clean_environment

FOLDERS = [folder / "bench" for folder in (MOBYRAY.parent, MOBYRAY.parent / "release")]


@pytest.fixture
def bench(tmp_path):
    """Runs a benchmark program and returns its JSON, or with another exit code than 0 its stderr."""
    folder = next((folder for folder in FOLDERS if folder.exists()), None)
    if not folder:
        pytest.skip("the benchmark programs are not built: make benches")

    def run(name, *options, code=0):
        done = subprocess.run([folder / name, *map(str, options), "-o", "out.json"], cwd=tmp_path, env=clean_environment(),
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads((tmp_path / "out.json").read_text()) if code == 0 else done.stderr

    return run


def test_rays_agree_with_embree(bench):
    small = bench("rays", "--meshes", "blob:20000,terrain:20000", "--side", 128, "--reps", 2, "--build-reps", 1)
    assert [mesh["mesh"] for mesh in small["meshes"]] == ["blob", "terrain"]
    for mesh in small["meshes"]:
        ours = [row for row in mesh["rays"] if row["api"] == "mobyray"]
        assert {(row["set"], row["quality"], row["threads"]) for row in ours} == {
            (name, quality, threads) for name in ("primary", "diffuse", "shadow") for quality in ("medium", "high") for threads in (1, 2)}
        assert all(0 < row["mrays_per_s"][1] <= row["mrays_per_s"][0] <= row["mrays_per_s"][2] for row in mesh["rays"])
        assert all(row["hit_or_miss_differs"] == 0 for row in mesh["agreement"])
        if any(row["api"] == "embree" for row in mesh["rays"]):
            assert len(mesh["agreement"]) == 6 and all("times_embree" in row for row in ours)


def test_rays_of_a_file(bench, tmp_path):
    corners = [0, 0, 0, 1, 0, 0, 0, 1, 0]
    (tmp_path / "one.tri").write_bytes(b"TRI1" + struct.pack("<I9f", 1, *corners))
    (tmp_path / "one.ply").write_text("ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
                                      "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    found = bench("rays", "--meshes", "one.tri,one.ply", "--side", 16, "--reps", 1, "--build-reps", 1, "--threads", 1)
    assert [mesh["triangles"] for mesh in found["meshes"]] == [1, 1]


@pytest.mark.parametrize("damage", (b"TRI2" + bytes(40), b"TRI1" + struct.pack("<I", 2) + bytes(36), b"TRI1" + struct.pack("<I", 0xFFFFFFFF) + bytes(36), b""))
def test_a_damaged_file_is_refused(bench, tmp_path, damage):
    (tmp_path / "bad.tri").write_bytes(damage)
    assert "bad.tri: " in bench("rays", "--meshes", "bad.tri", code=3)


def test_growth(bench):
    small = bench("growth", "--triangles", 32000, "--instances", 100, "--side", 64, "--reps", 1)
    assert [step["n"] for step in small["triangles"]["steps"]] == [9800, 31250]
    assert [step["n"] for step in small["instances"]["steps"]] == [10, 100]
    for table in (small["triangles"], small["instances"]):
        assert table["fit"].keys() == {"primary", "diffuse", "shadow"}


def test_split(bench, scenes):
    rows = bench("split", "--scenes", scenes / "cornell", "--size", "64x64", "--spp", 2, "--reps", 1, "--blob", 5000, "--folder", "blob")["scenes"]
    cornell, plain, blob = rows
    assert all(0 < row["kernel_share"][0] < 1 for row in rows)
    assert plain["any_mrays_per_s"][0] == 0 and blob["any_mrays_per_s"][0] > 0, "only the first of the two samples no light"
    assert 1 < plain["rays_a_path"] < blob["rays_a_path"] and cornell["rays_a_path"] > 2

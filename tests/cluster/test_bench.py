"""The benchmark programs on small work: that they measure what they say, not how fast it is."""

import json
import struct
import subprocess

import pytest

import waiting
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


# ---- mobyray bench: the cluster benchmark ----

SMALL = ("--size", "96x96", "--spp", 8)
KINDS = ("tracing", "cores_shared", "redone", "starting", "waiting", "network", "tail", "other_jobs")


def assert_adds_up(account):
    """Every thread's time is accounted for: within 1 %, and the error that is printed is this one."""
    assert tuple(account["spent_s"]) == KINDS
    total = sum(account["spent_s"].values())
    assert account["thread_s"] > 0 and abs(total - account["thread_s"]) <= 0.01 * account["thread_s"]
    assert account["error"] == pytest.approx(total / account["thread_s"] - 1, abs=1e-4)


def assert_row_adds_up(row):
    for run in row["runs"]:
        account = run["account"]
        assert_adds_up(account)
        assert account["thread_s"] == pytest.approx(row["threads"] * account["wall_s"], rel=0.01)
        assert account["wall_s"] == pytest.approx(run["seconds"], rel=0.05, abs=0.01)
        assert account["rays"] == pytest.approx(run["rays"], rel=0.001) and account["tiles"] >= run["tiles"]
        assert 0.8 * account["tiles"] <= sum(account["latency"]) <= account["tiles"]  # what was taken away in vain has no assignment any more
        assert 0 < account["first_tile_s"] <= run["seconds"] + 0.01 and account["coordinator_cpu_s"] > 0 < account["bytes_in"]


def assert_alike(one, other):
    """The same, but for the last bits of numbers."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_alike(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other):
            assert_alike(*pair)
    else:
        assert one == (pytest.approx(other, rel=1e-12) if isinstance(one, (int, float)) else other)


def test_cluster_bench(mobyray, scenes, tmp_path):
    done = mobyray("bench", scenes / "cornell", *SMALL, "--workers", "1,2", "--repeat", 2, "-o", "a.json", "--html", "a.html")
    result = json.loads((tmp_path / "a.json").read_text())
    assert [(row["kind"], row["workers"]) for row in result["rows"]] == [("processes", 1), ("processes", 2)]
    for row in result["rows"]:
        assert_row_adds_up(row)
        assert len(row["runs"]) == 2 and row["accounting_error"] == pytest.approx(0, abs=0.01) and row["life"]["start_to_first_tile_s"] > 0
    assert result["rows"][0]["speedup"] == [1, 1, 1] and result["machine"]["cpus"] >= 1
    pairs = [[row["runs"][k]["seconds"] for k in range(2)] for row in result["rows"]]
    order = [run["round"] for run in result["rows"][1]["runs"]]
    ratios = sorted(pairs[0][order[k]] / pairs[1][k] for k in range(2))
    assert result["rows"][1]["speedup"] == pytest.approx([sum(ratios) / 2, ratios[0], ratios[1]], rel=1e-6)
    assert "accounting error" in done.stdout and "where the threads' time went" in done.stdout
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>") and page.count("<svg") >= 4 and "http" not in page.replace("http-equiv", "")
    again = mobyray("bench", "--from", "a.json", "-o", "b.json", "--html", "b.html")
    assert again.stdout == done.stdout and (tmp_path / "b.html").read_text() == page
    assert_alike(json.loads((tmp_path / "b.json").read_text()), result)


def test_workers_that_trace_nothing(mobyray, scenes, tmp_path, cluster):
    mobyray("bench", scenes / "cornell", "--null", "--workers", 2, "--repeat", 1, "--size", "256x256", "--spp", 64, "--tile", 32, "-o", "n.json")
    result = json.loads((tmp_path / "n.json").read_text())
    row, = result["rows"]
    assert result["null"] and row["kind"] == "null workers" and row["coordinator_cpu_s_per_tile"] > 0
    assert_row_adds_up(row)
    cluster.coordinator()
    refused = mobyray.start("worker", "--coordinator", cluster.endpoint, "--null", "--threads", 1)
    waiting.log_has(refused, "of no use here")


def test_a_running_cluster(mobyray, scenes, tmp_path, cluster):
    cluster.coordinator()
    workers = [cluster.worker(), cluster.worker()]
    for worker in workers:
        waiting.log_has(worker, "joined as worker")
    mobyray("bench", scenes / "cornell", *SMALL, "--cluster", cluster.endpoint, "--repeat", 2, "-o", "c.json")
    row, = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert row["kind"] == "cluster" and row["workers"] == row["threads"] == 2
    assert_row_adds_up(row)


def test_a_steady_load(mobyray, scenes, tmp_path, cluster):
    """Workers come while it goes on; the stretches cover the time and add up, too."""
    cluster.coordinator()
    waiting.log_has(cluster.worker(), "joined as worker")
    bench = mobyray.start("bench", scenes / "cornell", "--size", "128x128", "--spp", 8, "--cluster", cluster.endpoint, "--for", "4s", "--step", "1s", "-o", "s.json", "--html", "s.html")
    waiting.log_has(bench, "a steady load")
    waiting.log_has(cluster.worker(), "joined as worker")
    bench.wait()
    result = json.loads((tmp_path / "s.json").read_text())
    samples = result["samples"]
    assert len(samples) >= 3 and samples[-1]["workers"] == 2 and samples[-1]["end_s"] >= 3
    assert all(before["end_s"] == after["begin_s"] for before, after in zip(samples, samples[1:]))
    threads_s, spent = (sum(values) for values in zip(*((s["account"]["thread_s"], sum(s["account"]["spent_s"].values())) for s in samples)))
    assert spent == pytest.approx(threads_s, rel=0.01) and result["steady"]["accounting_error"] == pytest.approx(0, abs=0.01)
    assert all(s["account"]["rays"] > 0 for s in samples) and "Over time" in (tmp_path / "s.html").read_text()


def compared(mobyray, tmp_path, result, factors):
    """The same result with the seconds of each run times those factors, compared with a fivefold of itself around 1."""
    for name, seconds in (("before", (1.00, 1.01, 1.02, 1.03, 1.04)), ("after", factors)):
        row = json.loads(json.dumps(result["rows"][0]))
        row["runs"] = [{**row["runs"][0], "round": k, "seconds": s} for k, s in enumerate(seconds)]
        (tmp_path / f"{name}.json").write_text(json.dumps({**result, "rows": [row]}))
    return mobyray("bench", "--compare", "before.json", "after.json").stdout


def test_comparing(mobyray, scenes, tmp_path):
    mobyray("bench", scenes / "cornell", "--size", "32x32", "--spp", 1, "--workers", 1, "--repeat", 1, "--no-lives", "-o", "a.json")
    result = json.loads((tmp_path / "a.json").read_text())
    assert "slower, more than noise (p = 0.0079)" in compared(mobyray, tmp_path, result, (1.20, 1.21, 1.22, 1.23, 1.24))
    assert "faster, more than noise" in compared(mobyray, tmp_path, result, (0.80, 0.81, 0.82, 0.83))
    assert "no more than noise" in compared(mobyray, tmp_path, result, (1.00, 1.05, 0.99, 1.035, 1.015))
    assert "cannot be told: 5 and 1 repeats are too few" in compared(mobyray, tmp_path, result, (2.0,))
    (tmp_path / "other.json").write_text(json.dumps({**result, "spp": 7}))
    assert "cannot be compared" in mobyray("bench", "--compare", "a.json", "other.json", code=3).stderr


@pytest.mark.parametrize("damage, what", (
    ("{", "byte "), ("[]", "expected the JSON of"), ('{"what": "something"}', '"what": expected mobyray-bench'), (None, "samples"),
))
def test_a_damaged_result(mobyray, tmp_path, damage, what):
    damage = damage or '{"what": "mobyray-bench", "format": 1, "machine": {}, "samples": 3}'
    (tmp_path / "bad.json").write_text(damage)
    error = mobyray("bench", "--from", "bad.json", code=3).stderr
    assert "bad.json: " in error and (what in error or "expected a" in error)


@pytest.mark.parametrize("options", (("--for", "soon"), ("--for", "-3s"), ("--cluster", "tcp://127.0.0.1:1", "--docker"), ("--processes",), ("--compare", "a.json")))
def test_wrong_bench_options(mobyray, options):
    mobyray("bench", *options, code=2)


def test_containers(project):
    """Containers beside processes: the Compose project is started, scaled, measured from within and taken down again."""
    command = [MOBYRAY, "bench", "scenes/cornell", *map(str, SMALL), "--docker", "--processes", "--workers", "1", "--repeat", "1", "-o", str(project.folder / "docker.json")]
    done = subprocess.run(command, cwd=project.folder, env=project.environment({}), capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **project.as_caller())
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((project.folder / "docker.json").read_text())
    assert [(row["kind"], row["workers"]) for row in result["rows"]] == [("processes", 1), ("containers", 1)]
    for row in result["rows"]:
        assert_row_adds_up(row)
    assert all(0 < result["rows"][1]["life"][key] < 60 for key in ("start_to_first_tile_s", "join_to_first_tile_s", "drain_s"))
    assert "containers beside processes" in done.stdout and "Docker" in result["machine"]["engine"]
    assert not project("ps", "-q").strip(), "it was started by the benchmark, and is to be down again"

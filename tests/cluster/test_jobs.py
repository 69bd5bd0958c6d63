"""Jobs of a running coordinator: submit, status, cancel, priorities."""

import json

import pytest

import waiting

SMALL = ("--size", "64x64", "--spp", "4")
LONG = ("--size", "512x512", "--spp", "4096")


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


@pytest.fixture
def jobs(cluster, mobyray):
    """The coordinator's jobs by number."""
    return lambda: {job["job"]: job for job in json.loads(mobyray("status", "--cluster", cluster.endpoint, "--json").stdout)}


def submit(cluster, mobyray, scene, *options):
    return int(mobyray("submit", scene, *options, "--cluster", cluster.endpoint).stdout)


def test_submitted_picture_is_in_the_coordinators_folder(cluster, mobyray, reference, cornell, jobs):
    cluster.coordinator("--pictures", "pictures")  # which it makes
    job = submit(cluster, mobyray, cornell, *SMALL)
    assert jobs()[job]["state"] == "queued"
    cluster.worker()
    waiting.until(lambda: jobs()[job]["state"] == "done" and jobs()[job]["text"], "the job's end")
    assert jobs()[job]["text"] == f"pictures/job-{job}-cornell.png"
    assert (mobyray.folder / f"pictures/job-{job}-cornell.png").read_bytes() == reference(cornell, *SMALL)
    row = mobyray("status", "--cluster", cluster.endpoint).stdout.splitlines()[1]
    assert row.split()[:2] == [str(job), "done"] and row.endswith(f"pictures/job-{job}-cornell.png")


def test_a_folder_that_cannot_be_is_refused_at_once(cluster, mobyray):
    (mobyray.folder / "file").write_text("")
    refused = mobyray("coordinator", "--pictures", "file/below", "--listen", cluster.endpoint, code=1).stderr
    assert "--pictures file/below: cannot be made" in refused
    assert mobyray("status", "--cluster", cluster.endpoint, code=1).stdout == "", "no head of a table that is not there"


def test_names_lead_nowhere_else(cluster, mobyray, cornell, jobs):
    (mobyray.folder / "pictures").mkdir()
    cluster.coordinator("--pictures", "pictures")
    cluster.worker()
    assert "without folders" in mobyray("submit", cornell, *SMALL, "-o", "../out.png", "--cluster", cluster.endpoint, code=2).stderr
    job = submit(cluster, mobyray, cornell, *SMALL, "-o", "..%2f a'b.pfm")
    waiting.until(lambda: jobs()[job]["text"], "the job's end")
    assert [path.name for path in (mobyray.folder / "pictures").iterdir()] == [f"job-{job}-_.%2f a'b.pfm".replace("%", "_").replace(" ", "_").replace("'", "_")]


def test_cancel(cluster, mobyray, cornell, jobs):
    cluster.coordinator()
    cluster.worker()
    job = submit(cluster, mobyray, cornell, *LONG)
    waiting.until(lambda: jobs()[job]["state"] == "running", "the job's beginning")
    mobyray("cancel", job, "--cluster", cluster.endpoint)
    assert jobs()[job]["state"] == "cancelled"
    assert "has ended already" in mobyray("cancel", job, "--cluster", cluster.endpoint, code=1).stderr
    assert "no such job" in mobyray("cancel", 99, "--cluster", cluster.endpoint, code=1).stderr
    assert "expected a number" in mobyray("cancel", "x", "--cluster", cluster.endpoint, code=2).stderr


def test_the_coordinators_own_job_is_not_a_clients(cluster, mobyray, cornell, jobs):
    cluster.coordinator(cornell, *LONG, "-o", "out.png")
    waiting.until(jobs, "the coordinator's own job")
    assert "own" in mobyray("cancel", 1, "--cluster", cluster.endpoint, code=1).stderr


def test_an_urgent_job_overtakes(cluster, mobyray, reference, cornell, jobs):
    cluster.coordinator()
    cluster.worker()
    patient = submit(cluster, mobyray, cornell, *LONG, "--priority", 3)
    waiting.until(lambda: jobs()[patient]["state"] == "running", "the job's beginning")
    mobyray("render", cornell, *SMALL, "--cluster", cluster.endpoint, "--priority", 8, "-o", "out.png")
    assert (mobyray.folder / "out.png").read_bytes() == reference(cornell, *SMALL)
    assert jobs()[patient]["state"] == "running" and jobs()[patient]["priority"] == 3


def test_nobody_there(mobyray, endpoint):
    assert "no coordinator at" in mobyray("status", "--cluster", endpoint, code=1).stderr


def test_simulate(mobyray):
    report = json.loads(mobyray("simulate", "--workers", 4, "--size", "320x180", "--spp", 16, "--json").stdout)
    assert report["workers"] == 4 and report["runs"] == 5
    assert 0.5 < report["efficiency"]["median"] < 1.1
    assert report["tail_s"]["median"] < 1.2 * report["tile_s"]["median"]
    assert mobyray("simulate", "--runs", 2).stdout == mobyray("simulate", "--runs", 2).stdout
    assert "workers lost" in mobyray("simulate", "--life", 2, "--runs", 1).stdout


def test_simulate_autoscale(mobyray):
    report = json.loads(mobyray("simulate", "--autoscale", "--workers", 300, "--tile-ms", 500, "--start-delay-ms", 3000, "--cool-down", 5, "--runs", 2, "--json").stdout)
    assert report["turns"]["greatest"] == 1 and 20 < report["workers_peak"]["least"] <= report["workers_peak"]["greatest"] <= 1.2 * report["workers_right"]["least"]
    assert report["useful_s"]["median"] < report["worker_s"]["median"] < 2 * report["useful_s"]["median"]


def test_status_summary(cluster, mobyray):
    cluster.coordinator("--min-workers", 2, "--max-workers", 3)
    waiting.log_has(cluster.worker(), "joined")

    def summary():
        return json.loads(mobyray("status", "--cluster", cluster.endpoint, "--summary", "--json").stdout)
    waiting.until(lambda: summary()["workers"] == 1, "the worker in the summary")
    state = summary()
    assert state["desired_workers"] == 2 and state["min_workers"] == 2 and state["max_workers"] == 3 and state["desired_reason"]
    assert "1 worker (1 thread, 0 busy), 2 wanted" in mobyray("status", "--cluster", cluster.endpoint, "--summary").stdout
    assert "--min-workers 4" in mobyray("coordinator", "--min-workers", 4, "--max-workers", 3, code=2).stderr

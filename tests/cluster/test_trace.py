"""--trace: a file that trace viewers read, one row for each worker thread, true to the report."""

import json
import signal

import pytest

import waiting


def rows_of(events):
    """The tiles of each worker thread, in order."""
    rows = {}
    for event in events:
        if event["ph"] == "X" and event["cat"] in ("tile", "vain"):
            rows.setdefault((event["pid"], event["tid"]), []).append(event)
    return {row: sorted(tiles, key=lambda tile: tile["ts"]) for row, tiles in rows.items()}


def checked(path):
    """Reads a trace and holds it to its format: whole, no slice over another of its row, every row named."""
    trace = json.loads(path.read_text())
    events = trace["traceEvents"]
    assert not list(path.parent.glob("*.partial"))
    named = {(event["pid"], event["tid"]) for event in events if event.get("name") == "thread_name"}
    for row, tiles in rows_of(events).items():
        assert row in named
        assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in zip(tiles, tiles[1:])), f"slices overlap on {row}"
    assert trace["otherData"]["tiles"] == sum(event.get("cat") == "tile" for event in events)
    return events


def marks(events, pid=None):
    return [event["name"] for event in events if event["ph"] == "i" and pid in (None, event["pid"])]


def test_a_render(mobyray, scenes, tmp_path):
    mobyray("render", scenes / "cornell", "--size", "160x160", "--spp", 8, "--workers", 2, "--threads", 2, "-o", "a.png", "--trace", "a.json", "--report", "r.json", "--quiet")
    events, report = checked(tmp_path / "a.json"), json.loads((tmp_path / "r.json").read_text())
    rows = rows_of(events)
    assert {row[0] for row in rows} <= {1, 2} and {row[1] for row in rows} <= {1, 2} and len(rows) >= 2
    tiles = [tile for row in rows.values() for tile in row if tile["cat"] == "tile"]
    assert len(tiles) == report["account"]["tiles"] >= report["tiles"]
    spent = report["account"]["spent_s"]
    traced = sum(tile["args"]["micros"] for tile in tiles) * 1e-6
    assert spent["tracing"] + spent["cores_shared"] <= traced + 1e-4 and traced <= spent["tracing"] + spent["cores_shared"] + spent["redone"] + 1e-4
    assert sum(tile["dur"] for tile in tiles) * 1e-6 == pytest.approx(traced, rel=1e-6)
    assert sum(tile["args"]["rays"] for tile in tiles) == pytest.approx(report["account"]["rays"], rel=0.05)
    ends = {event["ph"]: event for event in events if event.get("cat") == "job"}
    assert ends["e"]["args"]["done"] and all(ends["b"]["ts"] <= tile["ts"] <= ends["e"]["ts"] + 100000 for tile in tiles)
    assert marks(events, 1)[0] == "joins" and marks(events, 1)[-1] == "leaves"


def test_a_coordinator(mobyray, scenes, tmp_path, cluster):
    """Workers join and leave, one is killed; the scene goes to each; the file is whole when the coordinator is told to stop."""
    coordinator = cluster.coordinator("--trace", "c.json")
    first, second = cluster.worker(), cluster.worker()
    for worker in (first, second):
        waiting.log_has(worker, "joined as worker")
    mobyray("render", scenes / "cornell", "--size", "160x160", "--spp", 4, "--cluster", cluster.endpoint, "-o", "c.png", "--quiet")
    first.signal(signal.SIGTERM)
    first.wait()
    second.signal(signal.SIGKILL)
    waiting.log_has(coordinator, "is lost")
    coordinator.signal(signal.SIGTERM)
    coordinator.wait()
    events = checked(tmp_path / "c.json")
    assert sorted(marks(events)) == sorted(["joins", "joins", "drains", "leaves", "is lost"]), coordinator.log()
    packs = [event for event in events if event.get("cat") == "pack"]
    assert {event["pid"] for event in packs} == {1, 2} and len({event["args"]["bytes"] for event in packs}) == 1
    assert [event["args"]["here"] for event in events if event["ph"] == "C"] == [1, 2, 1, 0]


def test_what_cannot_be_traced(mobyray, scenes, tmp_path):
    assert "--trace is of an embedded cluster" in mobyray("render", scenes / "cornell", "--workers", 0, "--trace", "t.json", code=2).stderr
    assert "nowhere" in mobyray("render", scenes / "cornell", "--trace", "nowhere/t.json", code=1).stderr
    assert not list(tmp_path.iterdir())

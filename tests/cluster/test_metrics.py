"""/metrics and mobyray metrics: by Prometheus' conventions (its own promtool says so), and true."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

import waiting
from web import Web, starts_with_token


def parse(text):
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^\n]*\})?) (\S+)$", text, re.MULTILINE)}


@pytest.fixture
def web(cluster, mobyray):
    made = Web.of(cluster.coordinator(*starts_with_token(mobyray, "--max-workers", 3, "--min-workers", 1)))
    made.url = f"http://{made.host}:{made.port}"
    waiting.until(lambda: made.json("/api/v1/cluster")["desired_workers"] is not None, "the first look at how many are wanted")
    return made


def check_with_promtool(text):
    promtool = shutil.which("promtool")
    if not promtool:
        if os.environ.get("CI"):
            pytest.fail("promtool is not here")
        return
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr


def test_before_anything(web, mobyray):
    text = mobyray("metrics", "--api", web.url).stdout
    check_with_promtool(text)
    found = parse(text)
    assert found['mobyray_workers{state="idle"}'] == 0 and found["mobyray_tile_seconds_count"] == 0 and found["mobyray_tiles_queued"] == 0
    assert re.search(r'^mobyray_build_info\{version="[^"]+",commit="[^"]*",protocol="\d+"\} 1$', text, re.MULTILINE)


def test_after_a_render(web, cluster, mobyray, scenes):
    worker = cluster.worker()
    waiting.log_has(worker, "joined")
    mobyray("render", scenes / "cornell", "--size", "200x200", "--spp", 32, "--cluster", cluster.endpoint, "--quiet", "-o", "a.png")
    text = mobyray("metrics", "--api", web.url).stdout
    check_with_promtool(text)
    found = parse(text)
    assert found["mobyray_samples_total"] == 200 * 200 * 32 < found["mobyray_rays_total"]
    assert found["mobyray_tiles_done_total"] > 0 and found["mobyray_tiles_queued"] == found["mobyray_tiles_in_flight"] == 0
    assert sum(value for name, value in found.items() if name.startswith("mobyray_tiles_redone_total")) == 0
    assert found['mobyray_workers{state="idle"}'] == found["mobyray_workers_joined_total"] == found["mobyray_worker_threads"] == 1
    assert found["mobyray_received_bytes_total"] > 1000 and found["mobyray_sent_bytes_total"] > 1000
    assert found['mobyray_jobs_ended_total{how="done"}'] == 1 and found["mobyray_ready"] == 1 and 1 <= found["mobyray_desired_workers"] <= 3
    buckets = [value for name, value in found.items() if name.startswith("mobyray_tile_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == found["mobyray_tile_seconds_count"] >= found["mobyray_tiles_done_total"]
    assert 0 < found["mobyray_tile_seconds_sum"]
    assert abs(found["process_start_time_seconds"] - time.time()) < 300 and found["process_resident_memory_bytes"] > 1e6
    assert 3 < found["process_open_fds"] < found["process_max_fds"] and found["process_cpu_seconds_total"] > 0

    worker.signal(15)
    worker.wait()
    waiting.until(lambda: parse(mobyray("metrics", "--api", web.url).stdout)['mobyray_workers_gone_total{how="left"}'] == 1, "the worker's leave to be counted")


def test_other_forms(web, mobyray):
    names = set(parse(mobyray("metrics", "--api", web.url).stdout))
    whole = json.loads(mobyray("metrics", "--api", web.url, "--format", "json").stdout)
    metrics = whole["metrics"]
    assert abs(whole["time"] - time.time()) < 60 and len(metrics) == len(names)
    (idle,) = [metric for metric in metrics if metric["name"] == "mobyray_workers" and metric["labels"] == {"state": "idle"}]
    assert idle["value"] == 0 and idle["type"] == "gauge"
    assert {metric["type"] for metric in metrics if metric["name"].startswith("mobyray_tile_seconds")} == {"histogram"}

    lines = [line.split("\t") for line in mobyray("metrics", "--api", web.url, "--format", "mackerel").stdout.splitlines()]
    assert all(len(line) == 3 and re.fullmatch(r"(mobyray|process)(\.[a-zA-Z0-9_-]+)+", line[0]) for line in lines)
    assert all(abs(int(line[2]) - time.time()) < 60 and float(line[1]) >= 0 for line in lines)
    found = {line[0]: float(line[1]) for line in lines}
    assert found["mobyray.workers.idle"] == 0 and found["mobyray.desired_workers"] == 1 and "mobyray.tile_seconds_count" in found
    assert not [name for name in found if "bucket" in name or "info" in name] and len(found) == len(lines)


def test_errors(mobyray, endpoint):
    closed = endpoint.replace("tcp", "http")
    assert closed in mobyray("metrics", "--api", closed, code=1).stderr
    assert "expected prometheus, json or mackerel" in mobyray("metrics", "--format", "xml", code=2).stderr
    assert "is no address" in mobyray("metrics", "--api", "localhost", code=2).stderr

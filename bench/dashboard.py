#!/usr/bin/python3
"""bench/dashboard.py [-o FILE.json]: what the dashboard costs, and how smooth it is, with a thousand workers and a 4K picture.

A real coordinator renders 3840x2160; bench/crowd plays a thousand workers that take half a second for a tile each. Phases without and with a page in
headless Chromium (1920x1080) take turns: the coordinator's CPU time for a tile in each (the whole process: what serves the page included), and in the
page its frames a second, the longest of them, and the bytes that came. Needs `make benches`, chromium, chromium-driver and python3-selenium.

--compose IMAGE measures something else: the time from `docker-compose up --scale worker=2` with that image (built before) to the first pixels of a tile in
the canvas of a browser that asks for the page again and again."""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOBYRAY = ROOT / "build" / "mobyray"
CROWD = ROOT / "build" / "release" / "bench" / "crowd"
SIZE = (1920, 1080)
TICKS = os.sysconf("SC_CLK_TCK")

# Every frame's time for so many milliseconds.
FRAMES = """
    const [ms, done] = arguments, times = [], start = performance.now();
    requestAnimationFrame(function frame(now) {
        times.push(now);
        if (now - start < ms) requestAnimationFrame(frame);
        else done(times);
    });
"""
COUNTS = """
    const {chunks, frames} = mobyray.picture;
    return {time: performance.now() / 1000, pixels: chunks.bytes, events: mobyray.api.bytes, fetches: chunks.fetches, paints: frames, flights: mobyray.picture.flights.size,
        rows: document.querySelectorAll('#workers-body .row').length, workers: mobyray.workers.size}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={SIZE[0]},{SIZE[1]}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False})
    return driver


class Measured:
    """The coordinator, and what it did since it was last asked."""

    def __init__(self, pid, url):
        self.pid, self.url = pid, url

    def cluster(self):
        with urllib.request.urlopen(f"{self.url}api/v1/cluster", timeout=10) as answer:
            return json.load(answer)

    def start(self):
        self.tiles, self.cpu, self.time = self.cluster()["tiles_done"], cpu_s(self.pid), time.monotonic()

    def stop(self):
        now, cpu, passed = self.cluster(), cpu_s(self.pid) - self.cpu, time.monotonic() - self.time
        tiles = now["tiles_done"] - self.tiles
        assert tiles > 100, f"{tiles} tiles in {passed:.1f} s: nothing to measure"
        return {"tiles_per_s": tiles / passed, "cpu_us_per_tile": 1e6 * cpu / tiles, "coordinator_cpu": cpu / passed, "workers": now["workers"]}


def watch(driver, seconds):
    before = driver.execute_script(COUNTS)
    times = driver.execute_async_script(FRAMES, seconds * 1000)
    after = driver.execute_script(COUNTS)
    gaps = sorted(b - a for a, b in zip(times, times[1:]))
    passed = after["time"] - before["time"]
    return {"frames_per_s": 1000 * len(gaps) / (times[-1] - times[0]), "frame_ms_p50": gaps[len(gaps) // 2], "frame_ms_p99": gaps[int(len(gaps) * 0.99)], "frame_ms_most": gaps[-1],
            "paints_per_s": (after["paints"] - before["paints"]) / passed, "pixel_bytes_per_s": (after["pixels"] - before["pixels"]) / passed,
            "event_bytes_per_s": (after["events"] - before["events"]) / passed, "fetches_per_s": (after["fetches"] - before["fetches"]) / passed,
            "outlines": after["flights"], "rows": after["rows"], "workers_shown": after["workers"]}


def measure(options, folder):
    endpoint, http = f"tcp://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with open(folder / "log", "wb") as log:
        coordinator = subprocess.Popen([MOBYRAY, "coordinator", ROOT / "scenes" / "cornell", "-o", folder / "out.png", "--size", "3840x2160", "--spp", "4000", "--lease", "600000",
                                        "--listen", endpoint, "--http", http], stdout=log, stderr=log)
    processes, driver = [coordinator], None
    try:
        while b"listening on" not in (folder / "log").read_bytes():
            assert coordinator.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        processes.append(subprocess.Popen([CROWD, "--coordinator", endpoint, "--workers", str(options.workers), "--unit-us", str(options.unit_us)]))
        measured = Measured(coordinator.pid, f"http://{http}/")
        while measured.cluster()["workers"] < options.workers:
            time.sleep(0.1)
        driver = browser()
        rounds = []
        for _ in range(options.rounds):
            driver.get("about:blank")
            time.sleep(2)
            measured.start()
            time.sleep(options.seconds)
            closed = measured.stop()
            driver.get(measured.url)
            while not driver.execute_script("return window.mobyray && mobyray.workers.size > 0 && mobyray.picture.chunks.fetches > 20"):
                time.sleep(0.05)
            time.sleep(2)
            measured.start()
            page = watch(driver, options.seconds)
            rounds.append({"closed": closed, "open": measured.stop(), "page": page})
        if options.screenshot:
            driver.save_screenshot(options.screenshot)
        return rounds
    finally:
        if driver:
            driver.quit()
        for process in reversed(processes):
            process.kill()
            process.wait()


# Whether the picture has pixels that are known, and has been painted since.
FIRST_PIXELS = """
    const picture = window.mobyray?.picture;
    return !!picture && [...picture.chunks.visible].some(c => c.canvas && c.rgbe.some((v, i) => i % 4 === 3 && v > 0));
"""


def first_pixels(image, folder):
    """Seconds from `up` until its end, until the page, until the first pixels."""
    port = free_port()
    shutil.copy(ROOT / "compose.yaml", folder)
    environment = {**os.environ, "MOBYRAY_IMAGE": image, "MOBYRAY_HTTP_PORT": str(port)}
    compose = ["docker-compose", "-p", f"mobyraydashboard{port}"]
    driver = browser()
    driver.set_page_load_timeout(15)
    try:
        start = time.monotonic()
        up = subprocess.Popen([*compose, "up", "-d", "--no-build", "--scale", "worker=2"], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times = {}
        while "pixels_s" not in times and time.monotonic() < start + 120:
            if "page_s" not in times:
                try:
                    driver.get(f"http://127.0.0.1:{port}/")
                except WebDriverException:
                    time.sleep(0.1)
                    continue
                times["page_s"] = time.monotonic() - start
            if up.poll() is not None:
                times.setdefault("up_s", time.monotonic() - start)
            if driver.execute_script(FIRST_PIXELS):
                times["pixels_s"] = time.monotonic() - start
        up.wait()
        assert "pixels_s" in times, f"no pixels within 120 s: {times}"
        return times
    finally:
        driver.quit()
        subprocess.run([*compose, "down", "-v", "-t", "1"], cwd=folder, env=environment, capture_output=True, check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--unit-us", type=int, default=2000000, help="how long a worker takes for a tile")
    parser.add_argument("--seconds", type=int, default=12, help="of a phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--screenshot")
    parser.add_argument("-o", "--output")
    parser.add_argument("--compose", metavar="IMAGE")
    options = parser.parse_args()
    if options.compose:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # out/ may be another user's
            print(json.dumps(first_pixels(options.compose, pathlib.Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(options, pathlib.Path(folder))
    for name, part, key in (("tiles a second, page closed", "closed", "tiles_per_s"), ("tiles a second, page open", "open", "tiles_per_s"),
                            ("coordinator CPU us a tile, closed", "closed", "cpu_us_per_tile"), ("coordinator CPU us a tile, open", "open", "cpu_us_per_tile"),
                            *((f"page: {key.replace('_', ' ')}", "page", key) for key in rounds[0]["page"])):
        values = [r[part][key] for r in rounds]
        print(f"{name:40} {statistics.median(values):12.1f}  ({min(values):.1f} – {max(values):.1f})")
    if options.output:
        pathlib.Path(options.output).write_text(json.dumps({"options": vars(options), "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()

"""Faults 7, 8 and 11: a poisonous tile, a slow worker, a lying one."""

import re
import shlex
import time

import pytest

import faults
import waiting
from faults import full_or_short, say

SMALL = ("--size", "128x128", "--spp", "4", "--tile", "32")  # 16 tiles


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


def test_poison(cluster, mobyray, cornell):
    """7: a tile that kills whoever comes to it is put aside after three workers, the rest is done, and the command that is named replays it."""
    unit, deaths = 5, 0
    coordinator = cluster.coordinator(cornell, *SMALL, "-o", "out.png", "--exit-when-done")
    while coordinator.process.poll() is None:
        victim = cluster.meddler("poison", unit)
        waiting.until(lambda victim=victim: victim.process.poll() is not None or coordinator.process.poll() is not None, "the worker's or the coordinator's end")
        deaths += victim.process.poll() == 9
        assert deaths <= 3
    coordinator.wait(1)
    log = coordinator.log()
    assert "is put aside: its workers died over it" in log
    assert deaths == 3 and "1 of 16 tiles are missing" in log
    assert not (mobyray.folder / "out.png").exists()
    command = shlex.split(re.search(r"To replay one: mobyray (.*)", log)[1])
    assert command[command.index("--only-tile") + 1] == "32,32,32,32,0,4"
    assert re.match(r"tile 32,32 32x32 samples 0\.\.3: 4096 paths", mobyray(*command).stdout)
    say(7, f"put aside after {deaths} workers, the other 15 tiles done")


def test_slow_worker(cluster, mobyray, reference, cornell):
    """8: one of eight workers is 20 times slower."""
    options = full_or_short(("--size", "256x256", "--spp", "128"), ("--size", "256x256", "--spp", "32"))
    seconds = {}
    for slow in full_or_short((False, True, False, True, False, True), (True,)):
        workers = [cluster.worker() for _ in range(7)] + ([cluster.meddler("slow", 20)] if slow else [])
        coordinator = cluster.coordinator()
        waiting.until(lambda count=7 + slow, one=coordinator: faults.count(one, "joined") >= count, "the workers")
        for picture in (SMALL, options):  # the first brings the scene and the speeds
            begun = time.monotonic()
            mobyray("render", cornell, *picture, "--cluster", cluster.endpoint, "-o", "out.png", "--quiet")
        seconds.setdefault(slow, []).append(time.monotonic() - begun)
        for ended in (coordinator, *workers):
            ended.end()
        faults.same_picture(mobyray, reference, cornell, options)
    if False in seconds:
        say(8, f"total time {sorted(seconds[True])[1] / sorted(seconds[False])[1]:.2f} times that of the seven others alone")


def test_liar(cluster, mobyray, reference, cornell):
    """11: one of four workers returns wrong sums now and then; a share of the tiles is looked at."""
    options, percent, permille = full_or_short((("--size", "512x512", "--spp", "96"), 100, 10), (SMALL, 100, 300))
    for _ in range(3):
        cluster.worker()
    liar = cluster.meddler("lie", permille)
    coordinator = cluster.coordinator()
    waiting.until(lambda: faults.count(coordinator, "joined") == 4, "four workers")
    mobyray("render", cornell, *options, "--cluster", cluster.endpoint, "-o", "out.png", "--verify", percent, "--report", "report.json", "--quiet")
    faults.same_picture(mobyray, reference, cornell, options)
    log = coordinator.log()
    lies = faults.count(liar, "lied about unit")
    found = re.search(r"worker (\d+) \(.*\) returned a wrong tile of job 1 .* its (\d+) tiles are done again", log)
    assert (found is not None) == (lies > 0), log
    if found:
        assert f"worker {found[1]} (" in log and "is refused from now on" in log
        say(11, f"{lies} lies among its results at {permille} in a thousand, found, evicted, {found[2]} results done again")

"""Faults 7, 8 and 11: a poisonous tile, a slow worker, a lying one."""

import random
import re
import shlex
import signal
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


def test_liar_and_a_killed_coordinator(cluster, mobyray, reference, cornell):
    """11 and 4 at once: `--verify` and `--state`. What was found out outlives the coordinator, what had not yet been found out is."""
    kills, permille = full_or_short((20, 20), (3, 150))
    options, state = faults.picture(full_or_short(60, 3)), mobyray.folder / "state"
    arguments = (cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state, "--verify", 100, "--listen", cluster.endpoint)
    for _ in range(3):
        cluster.worker()
    liar, dice, logs, killed = cluster.meddler("lie", permille), random.Random(5), [], 0
    coordinator = mobyray.start("coordinator", *arguments)
    while killed < kills:
        size = faults.journal_bytes(state)
        faults.soon(lambda size=size: faults.moved_on(state, size, 1000) or not faults.running(coordinator), "a tile on disk")
        time.sleep(dice.uniform(0, full_or_short(0.5, 0.1)))
        if not faults.running(coordinator):
            break
        coordinator.signal(signal.SIGKILL)
        coordinator.process.wait()
        logs.append(coordinator.log())
        killed += 1
        coordinator = mobyray.start("coordinator", *arguments)
    coordinator.wait()
    logs.append(coordinator.log())
    assert killed, "the render was over too soon: give it more samples"
    faults.same_picture(mobyray, reference, cornell, options)
    lies, found = faults.count(liar, "lied about unit"), sum("returned a wrong tile" in log for log in logs)
    assert found <= 1, "he was refused, and let in again"
    assert found or not lies, logs
    say(11, f"with --state, the coordinator killed {killed} times meanwhile: {lies} lies, the liar evicted{'' if found else ' (he told none)'}, the picture is right")


def test_a_liar_with_a_key_of_his_own(cluster, mobyray, reference, cornell):
    """11, too: his key is refused with him, by the next life of the coordinator as well."""
    options, state, keys = faults.picture(2), mobyray.folder / "state", mobyray.folder / "keys"
    mobyray("keygen", "keys")
    mobyray("keygen", "keys", "--worker", "crook", "--own")
    crooked = ("--key", keys / "worker" / "crook.key")
    arguments = (cornell, *options, "-o", "out.png", "--state", state, "--verify", 100, "--key", keys)
    for _ in range(2):
        mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, "--key", keys)
    cluster.meddler("lie", 1000, *crooked)
    coordinator = cluster.coordinator(*arguments)
    waiting.log_has(coordinator, "returned a wrong tile of job 1")
    for life in range(2):
        again = mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, *crooked)
        assert "returned a wrong tile" in waiting.log_has(again, "you returned a wrong tile.*").group()
        again.end()
        if life == 0:
            waiting.log_has(coordinator, "the picture is in")
            coordinator.signal(signal.SIGKILL)
            coordinator.process.wait()
            coordinator = cluster.coordinator("--state", state, "--key", keys)
    faults.same_picture(mobyray, reference, cornell, options)


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

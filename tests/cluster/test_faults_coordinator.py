"""Faults 4, 5, 6, 13 and 14: a coordinator that is killed, moves, finds its journal damaged, has no room, or sees the clock jump."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

import faults
import waiting
from faultproxy import FaultProxy
from faults import full_or_short, journal_bytes, picture, running, same_picture, say, soon, spread
from running import SANITIZED

FAKETIME = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


def tiles_in(watched):
    """As told to people: what the last line of progress says."""
    found = re.findall(r"(\d+)/\d+ tiles", watched.log())
    return int(found[-1]) if found else 0


def taken_up(watched):
    found = re.search(r"going on with \d+ jobs?, (\d+) tiles are in", watched.log())
    return int(found[1]) if found else 0


def test_coordinator_killed(cluster, mobyray, reference, cornell):
    """4: SIGKILL at any moment; it goes on where it was."""
    kills, state = full_or_short(50, 4), mobyray.folder / "state"
    options = picture(full_or_short(130, 12))
    workers = [cluster.worker() for _ in range(2)]
    arguments = (cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state)
    dice, back, told, known = random.Random(4), [], 0, 0
    start = time.monotonic()
    coordinator = mobyray.start("coordinator", *arguments, "--listen", cluster.endpoint)
    for _ in range(kills):
        size = journal_bytes(state)
        soon(lambda size=size: faults.moved_on(state, size, 1000) or not running(coordinator), "a tile on disk")
        assert running(coordinator), f"the render was over too soon: give it more samples\n{coordinator.log()}"
        back.append(time.monotonic() - start)
        time.sleep(dice.uniform(0, 0.3))
        coordinator.signal(signal.SIGKILL)
        coordinator.process.wait()
        told = max(told, tiles_in(coordinator))
        start = time.monotonic()
        coordinator = mobyray.start("coordinator", *arguments, "--listen", cluster.endpoint)
        waiting.log_has(coordinator, "going on with 1 job")
        assert taken_up(coordinator) >= max(told, known), "a tile that was told to be in is not"
        known = taken_up(coordinator)
    coordinator.wait()
    same_picture(mobyray, reference, cornell, options)
    for worker in workers:
        worker.wait()
    say(4, f"{kills} kills of the coordinator: from its start to the next tile on disk {spread(back[1:])}; none of {known} tiles lost")
    if faults.FULL:
        assert max(back[1:]) < 2


def test_jobs_of_clients_survive(cluster, mobyray, reference, cornell):
    """4, too: a client's job, given over the wire, is known to the next coordinator by its token."""
    options, state = picture(6), mobyray.folder / "state"
    first = cluster.coordinator("--state", state)
    cluster.worker()
    client = mobyray.start("render", cornell, *options, "--cluster", cluster.endpoint, "-o", "out.png")
    soon(lambda: journal_bytes(state) > 50_000, "some tiles on disk")
    first.signal(signal.SIGKILL)
    first.process.wait()
    second = cluster.coordinator("--state", state)
    assert taken_up(second) > 0
    client.wait()
    same_picture(mobyray, reference, cornell, options)
    assert "from a client" not in second.log(), "it was begun anew"
    second.signal(signal.SIGTERM)
    second.wait(0)


def test_another_picture_for_the_same_file(cluster, mobyray, reference, cornell):
    """4, too: restarted with other options, it does not mix two pictures; one for another file is finished first or last, but finished."""
    small, state = ("--size", "64x64", "--spp", "4"), mobyray.folder / "state"
    for name in ("out.png", "other.png"):
        first = cluster.coordinator(cornell, *picture(6), "-o", name, "--state", state)
        worker = cluster.worker()
        size = journal_bytes(state)
        soon(lambda size=size: journal_bytes(state) > size + 20_000, "some tiles on disk")
        first.signal(signal.SIGKILL)
        first.process.wait()
        worker.end()
    cluster.worker()
    second = cluster.coordinator(cornell, *small, "-o", "out.png", "--state", state)
    waiting.log_has(second, "another picture had been begun for that file: it is given up")
    waiting.log_has(second, r"the picture of job \d+ is in .*/other.png")
    waiting.log_has(second, "the picture is in out.png")
    same_picture(mobyray, reference, cornell, small)
    same_picture(mobyray, reference, cornell, picture(6), "other.png")


def test_state_in_use(cluster, mobyray):
    cluster.coordinator("--state", "state")
    done = mobyray("coordinator", "--state", "state", "--listen", "tcp://127.0.0.1:*", code=1)
    assert "in use by another coordinator" in done.stderr


@as_root
def test_coordinator_moves(cluster, mobyray, reference, cornell):
    """5: its name means another address from now on, and the old one does not answer any more."""
    state, options = mobyray.folder / "state", picture(full_or_short(12, 6))
    port = int(cluster.endpoint.rsplit(":", 1)[1])
    hosts = mobyray.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 coordinator-here\n")
    inside = f"mount --bind {hosts} /etc/hosts && exec \"$@\""

    def worker():
        watched = mobyray.start("worker", "--coordinator", f"tcp://coordinator-here:{old.port}", "--threads", 1)
        watched.end()  # only its way of being started is wanted: in a mount namespace of its own
        command = ["unshare", "-m", "sh", "-ec", inside, "sh", *watched.process.args]
        return type(watched)(command, mobyray.folder, {})

    # The old address is a proxy's: when its line is held, it behaves like the address of a container that is gone.
    old = FaultProxy(("127.0.0.1", port))
    workers = []
    try:
        first = cluster.coordinator(cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state)
        workers = [worker() for _ in range(3)]
        waiting.in_mid_render(first)
        soon(lambda: faults.count(first, "joined") == 3, "three workers")
        old.hold()
        first.signal(signal.SIGKILL)
        first.process.wait()
        hosts.write_text("127.0.0.1 localhost\n127.0.0.3 coordinator-here\n")
        start = time.monotonic()
        second = mobyray.start("coordinator", cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state,
                               "--listen", f"tcp://127.0.0.3:{old.port}")
        soon(lambda: faults.count(second, "joined") == 3, "all workers' return")
        took = time.monotonic() - start
        second.wait()
        same_picture(mobyray, reference, cornell, options)
        say(5, f"the coordinator at another address, the old one dead without a word: all three workers back after {took:.1f} s")
        assert taken_up(second) > 0
        if faults.FULL:
            assert took < 5
    finally:
        old.close()
        for one in workers:
            one.end()


def test_damaged_journal(cluster, mobyray, reference, cornell):
    """6: cut or with a bit flipped, it goes on or is refused with a message; never another picture. (Every byte, and a thousand bits: tests/unit/test_journal.c.)"""
    options, state, whole = picture(3), mobyray.folder / "state", mobyray.folder / "whole"
    arguments = (cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state)
    cluster.worker()
    first = cluster.coordinator(*arguments)
    soon(lambda: journal_bytes(state) > 100_000, "some tiles on disk")
    first.signal(signal.SIGKILL)
    first.process.wait()
    shutil.copytree(state, whole)
    size, dice, outcomes = journal_bytes(whole), random.Random(6), {"cut": [0, 0], "flipped": [0, 0]}
    for i in range(full_or_short(100, 4)):
        how = "cut" if i % 2 else "flipped"
        shutil.rmtree(state)
        shutil.copytree(whole, state)
        data = bytearray((state / "journal").read_bytes())
        at = dice.randrange(64, size)
        if how == "cut":
            del data[at:]
        else:
            data[at] ^= 1 << dice.randrange(8)
        (state / "journal").write_bytes(data)
        (mobyray.folder / "out.png").unlink(missing_ok=True)
        worker = cluster.worker()
        next_life = mobyray.start("coordinator", *arguments, "--listen", cluster.endpoint)
        code = next_life.process.wait(waiting.LIMIT_S)
        worker.end()
        assert code in (0, 3), next_life.log()
        outcomes[how][code == 3] += 1
        if code == 0:
            same_picture(mobyray, reference, cornell, options)
        else:
            assert re.search(r"journal: damaged at byte \d+", next_life.log())
            assert not (mobyray.folder / "out.png").exists()
    assert outcomes["cut"][1] == 0
    say(6, "; ".join(f"{how}: {went_on} times gone on with (the right picture), {refused} times refused" for how, (went_on, refused) in outcomes.items()))


@as_root
def test_disk_full(cluster, mobyray, reference, cornell):
    """13: no room for the journal: the render waits, says so, and goes on when there is room."""
    state, options = mobyray.folder / "state", picture(6)
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", state], check=True)
    try:
        ballast = state / "ballast"
        ballast.write_bytes(bytes(16_400_000))
        cluster.worker()
        coordinator = cluster.coordinator(cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state)
        waiting.log_has(coordinator, "No space left on device: the render is held")
        size = journal_bytes(state)
        tiles = tiles_in(coordinator)
        held_until = time.monotonic() + full_or_short(20, 2)
        while time.monotonic() < held_until:
            time.sleep(0.1)
            assert running(coordinator) and "is lost" not in coordinator.log()
        ballast.unlink()
        freed = time.monotonic()
        waiting.log_has(coordinator, "can be written to again")
        took = time.monotonic() - freed
        coordinator.wait()
        same_picture(mobyray, reference, cornell, options)
        again = faults.redone(coordinator)[1]
        say(13, f"held with {size} bytes of journal and {tiles} tiles told; on again {took * 1000:.0f} ms after there was room, {again} tiles given out again")
        assert again == 0
    finally:
        subprocess.run(["umount", "-l", state], check=True)


@pytest.mark.skipif(not FAKETIME, reason="needs Debian's faketime")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer and libfaketime wait for each other for ever")
def test_clock_jumps(cluster, mobyray, reference, cornell):
    """14: the clock is set more than a day ahead, and two back, in mid-render."""
    options, clock = picture(full_or_short(20, 6)), mobyray.folder / "clock"
    clock.write_text("+0\n")
    faked = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
             "DONT_FAKE_MONOTONIC": "1"}
    start = ["worker", "--coordinator", cluster.endpoint, "--threads", 1]
    workers = [mobyray.start(*start, **faked) for _ in range(2)]
    coordinator = mobyray.start("coordinator", cornell, *options, "-o", "out.png", "--exit-when-done", "--state", "state",
                                "--listen", cluster.endpoint, **faked)
    waiting.in_mid_render(coordinator)
    jumps = full_or_short(20, 2)
    for i in range(jumps):
        clock.write_text(("+25h", "-25h")[i % 2] + "\n")
        size = journal_bytes(mobyray.folder / "state")
        soon(lambda size=size: faults.moved_on(mobyray.folder / "state", size) or not running(coordinator), "another tile")
    coordinator.wait()
    same_picture(mobyray, reference, cornell, options)
    for worker in workers:
        worker.wait()
    hours = {int(line[:2]) for line in coordinator.log().splitlines() if re.match(r"\d\d:\d\d:\d\d", line)}
    assert len(hours) > 1, "the clock was not faked"
    seconds = float(re.search(r"done: ([\d.]+) s", coordinator.log())[1])
    say(14, f"{jumps} jumps of 25 and 50 hours: no worker lost, the render took {seconds:.1f} s by its own count")
    assert "is lost" not in coordinator.log() and "is silent" not in coordinator.log()
    assert seconds < 600

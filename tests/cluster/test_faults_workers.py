"""Faults 1, 2, 3, 9 and 10: workers that are killed, stopped, cut off, or at the end of a bad line."""

import random
import signal
import time

import pytest

import faults
import waiting
from faultproxy import DOWN, UP, FaultProxy
from faults import FULL, count, full_or_short, picture, running, same_picture, say, soon, spread

GONE = r"worker \d+ \([^()\r\n]*\) (is lost|is silent|starts anew)"
LOST = r"worker \d+ \(.*\) (is lost|is silent)"


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


@pytest.fixture
def proxied(cluster):
    """Makes proxies before the cluster's coordinator."""
    made = []

    def make(**faults_of_it):
        host, port = cluster.endpoint.removeprefix("tcp://").split(":")
        made.append(FaultProxy((host, int(port)), **faults_of_it))
        return made[-1]

    yield make
    for one in made:
        one.close()


def worker_at(cluster, endpoint, *options):
    return cluster.mobyray.start("worker", "--coordinator", endpoint, "--threads", 1, *options)


def test_kills(cluster, mobyray, reference, scenes):
    """1: workers are killed all the time, and replaced."""
    kills, hands, state = full_or_short(200, 6), 4, mobyray.folder / "state"
    scene = scenes / "spheres"
    options = full_or_short(("--size", "1280x720", "--spp", "256"), ("--size", "320x180", "--spp", "128"))
    workers = [cluster.worker() for _ in range(hands)]
    coordinator = cluster.coordinator(scene, *options, "-o", "out.png", "--exit-when-done", "--state", state)
    dice, noticed, done, size = random.Random(1), [], 0, 0
    waiting.log_has(coordinator, "rendering")
    while done < kills:
        soon(lambda: count(coordinator, "joined") >= hands + done, "the workers' joining")
        # Some tiles in between: what brings down three workers one after another is taken for the culprit, and chance could do that.
        soon(lambda size=size: faults.moved_on(state, size, 200_000) or not running(coordinator), "some tiles")
        assert running(coordinator), coordinator.log()
        size = faults.journal_bytes(state)
        time.sleep(dice.uniform(0, 0.1))  # any moment of a tile; nothing is waited for
        victim, before = dice.randrange(hands), count(coordinator, LOST)
        workers[victim].signal(signal.SIGKILL)
        noticed.append(soon(lambda before=before: count(coordinator, LOST) > before or not running(coordinator), "the loss to be noticed"))
        assert running(coordinator), "the render was over too soon: give it more samples"
        workers[victim].process.wait()
        workers[victim] = cluster.worker()
        done += 1
    tiles, again = faults.redone(coordinator)
    coordinator.wait()
    same_picture(mobyray, reference, scene, options)
    say(1, f"{kills} kills of one of {hands} workers: noticed after {spread(noticed)}; {again} of {tiles} tiles given out again "
           f"({again / kills:.1f} a kill), at most {100 * kills / tiles:.1f} % of the work done twice (one tile a kill had begun)")
    assert again <= kills * 8  # a worker of one thread holds few tiles
    assert sorted(noticed)[len(noticed) // 2] < 1, "a crash is noticed by its connection, not by its lease"


def test_all_killed(cluster, mobyray, reference, cornell):
    """2: every worker dies; others come after a while."""
    away_s, options = full_or_short(30, 2), picture(full_or_short(12, 5))
    state = mobyray.folder / "state"
    workers = [cluster.worker() for _ in range(2)]
    coordinator = cluster.coordinator(cornell, *options, "-o", "out.png", "--exit-when-done", "--state", state)
    waiting.in_mid_render(coordinator)
    for worker in workers:
        worker.signal(signal.SIGKILL)
    soon(lambda: count(coordinator, LOST) == 2, "both losses")
    end = time.monotonic() + away_s
    size = faults.journal_bytes(state)
    while time.monotonic() < end:
        time.sleep(0.2)
        assert running(coordinator)
    assert faults.journal_bytes(state) == size, "nobody was there to do this"
    cluster.worker()
    joined = soon(lambda: count(coordinator, "joined") == 3, "a worker's joining")
    first = soon(lambda: faults.moved_on(state, size), "the first tile")
    cluster.worker()
    coordinator.wait()
    same_picture(mobyray, reference, cornell, options)
    say(2, f"no worker for {away_s} s; then from a worker's start to its joining {joined * 1000:.0f} ms, to its first tile on disk {(joined + first) * 1000:.0f} ms")


def test_stops(cluster, mobyray, reference, cornell):
    """3: a worker is stopped and goes on, again and again; what it then sends is late."""
    stops = full_or_short(50, 3)
    options = picture(full_or_short(100, 10))
    workers = [cluster.worker() for _ in range(2)]
    coordinator = cluster.coordinator(cornell, *options, "-o", "out.png", "--exit-when-done")
    waiting.in_mid_render(coordinator)
    noticed = []
    for i in range(stops):
        soon(lambda i=i: count(coordinator, "joined") >= 2 + i, "its return")
        assert running(coordinator), "the render was over too soon: give it more samples"
        workers[i % 2].signal(signal.SIGSTOP)
        noticed.append(soon(lambda i=i: count(coordinator, "is silent") > i, "the loss to be noticed"))
        workers[i % 2].signal(signal.SIGCONT)
    coordinator.wait()
    same_picture(mobyray, reference, cornell, options)
    tiles, again = faults.redone(coordinator)
    say(3, f"{stops} stops: noticed after {spread(noticed)}; {again} of {tiles} tiles given out again")
    if FULL:
        assert sorted(noticed)[len(noticed) // 2] < 1


def test_partitions(cluster, mobyray, reference, cornell, proxied):
    """9: the line to a worker goes dead, one way or both, and comes back."""
    times = full_or_short(100, 6)
    options = picture(full_or_short(220, 20))
    proxy = proxied()
    coordinator = cluster.coordinator(cornell, *options, "-o", "out.png", "--exit-when-done")
    cluster.worker()
    worker_at(cluster, proxy.endpoint)
    waiting.in_mid_render(coordinator)
    dice, noticed = random.Random(3), []
    for i in range(times):
        # On a busy machine a worker that heard nothing may be on its way back still.
        soon(lambda: count(coordinator, "joined") - count(coordinator, GONE) == 2 or not running(coordinator), "both workers")
        ways = ((UP, DOWN), (UP,), (DOWN,))[i % 3]
        joined, silent = count(coordinator, "joined"), count(coordinator, LOST)
        assert running(coordinator), "the render was over too soon: give it more samples"
        proxy.hold(*ways)
        if UP in ways:  # the coordinator hears nothing
            noticed.append(soon(lambda silent=silent: count(coordinator, LOST) > silent or not running(coordinator), "the loss to be noticed"))
            assert running(coordinator), "the render was over too soon: give it more samples"
            time.sleep(dice.uniform(0, 0.2))
            proxy.let_go()
            soon(lambda joined=joined: count(coordinator, "joined") > joined, "its return")
        else:  # the worker hears nothing: it looks for another way, and finds the same
            time.sleep(dice.uniform(0.1, 1.5))
            proxy.let_go()
    proxy.let_go()
    coordinator.wait(timeout_s=full_or_short(900, 300))  # what is left is done by one worker, perhaps, on a machine that others share
    same_picture(mobyray, reference, cornell, options)
    say(9, f"{times} partitions, a third each both ways, to and from the coordinator: noticed after {spread(noticed)}")
    if FULL:
        assert sorted(noticed)[len(noticed) // 2] < 1


def test_bad_line(cluster, mobyray, reference, cornell, proxied):
    """10: 1 % of packets end in a reset, 100 ms of delay, 1 Mbit/s: slow, but no worker counts as silent."""
    options = full_or_short(("--size", "256x256", "--spp", "64"), ("--size", "128x128", "--spp", "32"))
    proxy = proxied(delay_s=0.05, bytes_per_s=125_000, resets=0.01)
    workers = [worker_at(cluster, proxy.endpoint) for _ in range(2)]
    coordinator = cluster.coordinator(cornell, *options, "-o", "out.png")
    start = time.monotonic()
    waiting.until(lambda: "the picture is in" in coordinator.log(), "the picture", 300)
    took = time.monotonic() - start
    same_picture(mobyray, reference, cornell, options)
    tiles, again = faults.redone(coordinator)
    silent = count(coordinator, "is silent")
    say(10, f"100 ms round trip, 1 Mbit/s, 1 % of packets reset: {took:.1f} s, {proxy.connections} connections, {proxy.reset_count} resets, "
            f"{silent} false deaths, {again} of {tiles} tiles given out again")
    assert silent == 0, coordinator.log()
    assert all(map(running, workers))


def test_slow_line_is_not_silence(cluster, mobyray, reference, cornell, proxied):
    """10, too: one result takes several leases to come, and its worker is not lost."""
    options = ("--size", "192x192", "--spp", "3", "--tile", "192")
    proxy = proxied(bytes_per_s=150_000)
    worker_at(cluster, proxy.endpoint)
    coordinator = cluster.coordinator(cornell, *options, "-o", "out.png", "--lease", 500)
    waiting.until(lambda: "the picture is in" in coordinator.log(), "the picture", 120)
    same_picture(mobyray, reference, cornell, options)
    assert count(coordinator, "is silent") == 0, coordinator.log()

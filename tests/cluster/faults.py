"""What the fault tests share. With CHAOS=1 (make chaos) they run at full size, otherwise in a short form; figures go to stdout as "fault N: ..."."""

import functools
import json
import os
import pathlib
import re
import statistics
import tempfile
import time

import waiting
from running import ROOT, Runner

FULL = bool(os.environ.get("CHAOS"))


def full_or_short(full, short):
    return full if FULL else short


@functools.cache
def samples_a_second():
    """What one thread of this build does on cornell here and now: a fault must strike before the picture is done, however fast that is."""
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(pathlib.Path(folder))
        runner("render", ROOT / "scenes" / "cornell", "--size", "256x256", "--spp", 8, "--workers", 0, "--threads", 1, "-o", "a.png", "--report", "a.json")
        return json.loads((runner.folder / "a.json").read_text())["samples_per_s"]


def picture(seconds):
    """Options of a render of cornell that takes one thread about so long here."""
    return ("--size", "256x256", "--spp", max(8, int(seconds * samples_a_second() / 256 ** 2)), "--tile", "32")


def say(number, text):
    print(f"\nfault {number}: {text}{'' if FULL else ' (short form)'}")


def spread(values, unit="ms", scale=1000):
    values = sorted(values)
    return f"median {statistics.median(values) * scale:.0f} {unit}, greatest {values[-1] * scale:.0f} {unit} of {len(values)}"


def soon(condition, what, limit_s=60.0):
    """Waits for condition(), looking every two milliseconds; returns the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < limit_s, f"waited {limit_s} s in vain for: {what}"
        time.sleep(0.002)
    return time.monotonic() - start


def count(watched, pattern):
    return len(re.findall(pattern, watched.log()))


def running(watched):
    return watched.process.poll() is None


def journal_bytes(folder):
    try:
        return (pathlib.Path(folder) / "journal").stat().st_size
    except FileNotFoundError:
        return 0


def moved_on(folder, size, by=0):
    """Whether more than so many bytes came since the journal had that size; it is rewritten, and then smaller, now and then."""
    return not size <= journal_bytes(folder) <= size + by


def redone(coordinator):
    found = waiting.log_has(coordinator, r"done: .* (\d+) tiles, .* (\d+) tiles? redone")
    return int(found[1]), int(found[2])


def same_picture(mobyray, reference, scene, options, name="out.png"):
    assert (mobyray.folder / name).read_bytes() == reference(scene, *options)

"""Waiting for events, never for a time."""

import pathlib
import re
import time

LIMIT_S = 120  # when an event has not come by then, it never will


def until(condition, what, limit_s=LIMIT_S):
    """Waits until condition() is true and returns what it gave."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {limit_s} s in vain for: {what}")


def log_has(watched, pattern):
    """Waits until the command's log matches; fails early when the command has ended without it."""
    def look():
        ended = watched.process.poll() is not None
        found = re.search(pattern, watched.log())
        assert found or not ended, f"ended with {watched.process.returncode} without '{pattern}':\n{watched.log()}"
        return found
    return until(look, f"'{pattern}' in the log:\n{watched.log()}")


def in_mid_render(watched):
    """Waits until some tiles are in, but not all."""
    found = log_has(watched, r"([1-9]\d*)/(\d+) tiles")
    assert int(found[1]) < int(found[2]), "the render was over before it could be disturbed: give it more samples"


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

"""Fault 12: raw probes by the hundred thousand, and a slow loris of a thousand idle connections, during renders.

Full size with CHAOS=1 (make chaos), a short form otherwise."""

import multiprocessing
import os
import pathlib
import random
import socket
import struct
import time

import pytest

import faults
import waiting
from running import SANITIZED

PROBES = faults.full_or_short(100_000, 3_000)
PROBERS = 2
LORISES = faults.full_or_short(1_000, 200)
GROWTH_MOST_KB = 10 * 1024 * (10 if SANITIZED else 1)  # a sanitizer keeps what was freed, and shadows of what was touched
SMALL = ("--size", "96x96", "--spp", "16")
LONG = faults.picture(faults.full_or_short(32, 8))

GREETING = b"\xff" + 8 * b"\0" + b"\x7f"
NOISE = (
    b"",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",           # TLS
    b"\x01\x00\x05MR\x01\x04x",                                  # ZMTP 1: a name, and a message of ours
    GREETING + b"\x01\x05",                                      # ZMTP 2
    GREETING,                                                    # half a greeting of ZMTP 3
    GREETING + b"\x03\x00NULL" + 48 * b"\0" + b"\x04\x29\x05READY" + 34 * b"\0",
    GREETING + b"\x03\x00CURVE" + 15 * b"\0" + 32 * b"\0" + b"\x04\xc8\x05HELLO\x01\x00" + 192 * b"x",
)


def status(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(field)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def probe(address, count, seed):
    """count connections one after another, from changing loopback addresses so that ports do not run out; a third end in a reset."""
    dice = random.Random(seed)
    for i in range(count):
        with socket.socket() as s:
            s.bind((f"127.{1 + seed}.{dice.randrange(256)}.{1 + dice.randrange(254)}", 0))
            if i % 3 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                s.connect(address)
                s.sendall(dice.choice(NOISE) if i % 4 else dice.randbytes(dice.randrange(1, 600)))
            except OSError:
                pass


def address_of(cluster):
    host, port = cluster.endpoint.removeprefix("tcp://").split(":")
    return host, int(port)


@pytest.fixture(params=("keys", "no keys"))
def options(request, mobyray):
    """--key for all, or nothing: without keys, too, noise does no harm."""
    if request.param == "no keys":
        return ()
    mobyray("keygen", "keys")
    return ("--key", mobyray.folder / "keys")


def started(cluster, mobyray, options):
    coordinator = cluster.coordinator(*options)
    workers = [mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, *options) for _ in range(2)]
    for worker in workers:
        waiting.log_has(worker, "joined as worker")
    return coordinator


def test_probes(cluster, mobyray, reference, scenes, options):
    scene = scenes / "cornell"
    coordinator = started(cluster, mobyray, options)

    def render_once():
        mobyray("render", scene, *SMALL, "--cluster", cluster.endpoint, "-o", "out.png", *options)
        assert (mobyray.folder / "out.png").read_bytes() == reference(scene, *SMALL)

    render_once()
    before_kb, before_fds, start = status(coordinator.pid, "VmRSS"), descriptors(coordinator.pid), time.monotonic()
    probers = [multiprocessing.Process(target=probe, args=(address_of(cluster), PROBES // PROBERS, seed)) for seed in range(PROBERS)]
    for one in probers:
        one.start()
    renders = 0
    while any(one.is_alive() for one in probers):
        render_once()
        renders += 1
    for one in probers:
        one.join()
        assert one.exitcode == 0
    seconds = time.monotonic() - start
    waiting.until(lambda: descriptors(coordinator.pid) <= before_fds, "the probes' descriptors")
    render_once()
    grown_kb = status(coordinator.pid, "VmRSS") - before_kb
    faults.say(12, f"{PROBES} probes in {seconds:.1f} s beside {renders} renders ({'keys' if options else 'no keys'}): "
          f"{grown_kb / 1024:+.1f} MB, peak {(status(coordinator.pid, 'VmHWM') - before_kb) / 1024:+.1f} MB")
    assert grown_kb <= GROWTH_MOST_KB
    lines = [line for line in coordinator.log().splitlines() if "turned away" in line]
    assert 1 <= len(lines) <= 2 + seconds / 10, "the log is not rate-limited"
    assert "lost" not in coordinator.log()


def test_slow_loris(cluster, mobyray, reference, scenes, options):
    scene = scenes / "cornell"
    workers = [mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, *options) for _ in range(2)]
    coordinator = cluster.coordinator(scene, *LONG, "-o", "out.png", *options)
    for worker in workers:
        waiting.log_has(worker, "joined as worker")
    waiting.in_mid_render(coordinator)
    before_kb, before_fds = status(coordinator.pid, "VmRSS"), descriptors(coordinator.pid)
    idle = []
    for i in range(LORISES):
        s = socket.create_connection(address_of(cluster))
        s.sendall((b"", GREETING[:1], GREETING, GREETING + b"\x03")[i % 4])
        idle.append(s)
    waiting.until(lambda: descriptors(coordinator.pid) >= before_fds + LORISES * 9 // 10, "the idle connections")
    with_kb = status(coordinator.pid, "VmRSS")
    mobyray("ping", cluster.endpoint, *options)  # there is room for others
    waiting.until(lambda: descriptors(coordinator.pid) <= before_fds, "the end of the handshakes' time")
    for s in idle:
        s.close()
    waiting.log_has(coordinator, "the picture is in")
    assert (mobyray.folder / "out.png").read_bytes() == reference(scene, *LONG)
    assert "lost" not in coordinator.log()
    faults.say(12, f"{LORISES} idle connections ({'keys' if options else 'no keys'}): {(with_kb - before_kb) / 1024:+.1f} MB while open, "
          f"{(status(coordinator.pid, 'VmRSS') - before_kb) / 1024:+.1f} MB after")
    assert with_kb - before_kb <= GROWTH_MOST_KB * 2
    assert status(coordinator.pid, "VmRSS") - before_kb <= GROWTH_MOST_KB

"""One word makes a machine a worker: `mobyray token` and --join; taking the word back; workers that a coordinator cannot serve."""

import base64
import os
import re
import shutil
import subprocess
import time

import pytest

import waiting
from faults import picture
from running import MOBYRAY, clean_environment
from containers import IMAGE, run

PICTURE = picture(4)
SMALL = ("--size", "64x64", "--spp", "4")
JOIN_LIMIT_S = 10  # from the command to the coordinator's word that the worker is there


@pytest.fixture
def keys(mobyray):
    mobyray("keygen", "keys")
    return mobyray.folder / "keys"


@pytest.fixture
def token(mobyray, keys, endpoint):
    return mobyray("token", keys, "--endpoint", endpoint).stdout.strip()


def unpack(token):
    word = token.removeprefix("mobyray-join-")
    return bytearray(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))


def pack(content):
    return "mobyray-join-" + base64.urlsafe_b64encode(content).decode().rstrip("=")


# ---- tokens ----

def test_a_token_is_one_word_with_address_and_keys(keys, token, endpoint):
    assert re.fullmatch(r"mobyray-join-[A-Za-z0-9_-]{100,200}", token)
    content = unpack(token)
    public = re.search(r"^public (\w+)", (keys / "coordinator" / "coordinator.key").read_text(), re.M)[1]
    assert content[0] == 1 and content[1:33].hex() == public and content[65:-4] == endpoint.encode()
    assert re.search(r"^worker [0-9a-f]{64} joined$", (keys / "coordinator" / "allowed").read_text(), re.M)
    assert content[33:65].hex() not in (keys / "coordinator" / "allowed").read_text(), "the secret stands in the list"


@pytest.mark.parametrize("change, message", (
    (lambda word: word[:-8], "cut off or changed"),
    (lambda word: word[:-5], "cut off"),
    (lambda word: word[:40] + ("A" if word[40] != "A" else "B") + word[41:], "cut off or changed"),
    (lambda word: word[13:], "found something else"),
    (lambda word: word + "=", "none of base64url"),
    (lambda word: "mobyray-join-", "too short"),
    (lambda word: word + "A" * 600, "too long"),
))
def test_bad_tokens(mobyray, token, change, message):
    found = mobyray("worker", "--join", change(token), code=3).stderr
    assert message in found, found
    assert token[20:60] not in found, "a secret stands in the message"


def test_a_token_of_another_form_is_told_apart(mobyray, token):
    content = unpack(token)[:-4]
    content[0] = 2
    done = subprocess.run(["b2sum", "-l", "128"], input=bytes(content), stdout=subprocess.PIPE, check=True)
    content += bytes.fromhex(done.stdout.decode().split()[0])[:4]
    assert "form 2, expected 1" in mobyray("worker", "--join", pack(content), code=3).stderr


@pytest.mark.parametrize("arguments, message", (
    (("keys",), "no --endpoint given"),
    (("keys", "--endpoint", "tcp://0.0.0.0:5555"), "an address to listen on"),
    (("keys", "--endpoint", "tcp://host"), "expected tcp://HOST:PORT"),
    (("keys", "--endpoint", f"tcp://{'h' * 300}:5555"), "longer than 255"),
    (("keys", "--endpoint", "tcp://host:5555", "--name", "two words"), "expected up to"),
    (("--endpoint", "tcp://host:5555"), "no DIR given"),
))
def test_bad_questions_for_a_token_change_nothing(mobyray, keys, arguments, message):
    before = (keys / "coordinator" / "allowed").read_text()
    assert message in mobyray("token", *arguments, code=2).stderr
    assert (keys / "coordinator" / "allowed").read_text() == before


def test_a_token_in_a_file_must_be_private(mobyray, token, endpoint):
    file = mobyray.folder / "token"
    file.write_text(token + "\n")
    file.chmod(0o644)
    assert "found permissions 644" in mobyray("worker", "--join", file, code=3).stderr
    assert "exclude each other" in mobyray("worker", "--join", token, "--key", "keys", code=2).stderr
    file.chmod(0o600)
    assert endpoint in mobyray("ping", "--join", file, "--timeout", 1, code=1).stderr


# ---- joining ----

def test_a_machine_joins_by_one_word_while_the_cluster_runs(cluster, mobyray, keys, reference, scenes):
    """A token that was made after the coordinator started; no port, key or file is told to the worker besides."""
    coordinator = cluster.coordinator("--key", keys)
    token = mobyray("token", keys, "--endpoint", cluster.endpoint, "--name", "hall").stdout.strip()
    start = time.monotonic()
    worker = mobyray.start("worker", "--join", token)
    waiting.log_has(coordinator, "joined")
    took = time.monotonic() - start
    assert took < JOIN_LIMIT_S
    assert token not in subprocess.run(["ps", "-o", "args", "-p", str(worker.pid)], stdout=subprocess.PIPE, check=True).stdout.decode()
    mobyray("ping", MOBYRAY_JOIN=token)
    scene = scenes / "cornell"
    mobyray("render", scene, *PICTURE, "--cluster", cluster.endpoint, "--key", keys, "-o", "out.png")
    assert (mobyray.folder / "out.png").read_bytes() == reference(scene, *PICTURE)

    # The word is taken back: its worker is let go at once, and does not get in again.
    allowed = keys / "coordinator" / "allowed"
    allowed.write_text("".join(line for line in allowed.read_text().splitlines(keepends=True) if " hall" not in line))
    waiting.log_has(coordinator, "has a key that is not let in any more")
    waiting.log_has(worker, "your key is not let in any more")
    assert "joined" not in mobyray("ping", "--join", token, "--timeout", 1, code=1).stderr
    assert worker.process.poll() is None, "an orchestrator would start it again and again"

    # And given again: it comes back by itself.
    mobyray("token", keys, "--endpoint", cluster.endpoint)  # of another machine: the first one's stays out
    content = unpack(token)
    with open(allowed, "a", encoding="ascii") as stream:
        stream.write(f"worker {public_of(bytes(content[33:65]))} hall\n")
    waiting.until(lambda: len(re.findall(r"worker \d+ .* joined", coordinator.log())) == 2, "its return", 30)
    worker.signal(15)
    worker.wait(0)


def public_of(secret):
    """X25519 with the base point (RFC 7748), as libsodium has it."""
    scalar = bytearray(secret)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    prime, factor = 2**255 - 19, int.from_bytes(scalar, "little")
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for bit in reversed(range(255)):
        now = factor >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3 = pow(da + cb, 2, prime), x1 * pow(da - cb, 2, prime) % prime
        e = aa - bb
        x2, z2 = aa * bb % prime, e * (aa + 121665 * e) % prime
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, prime - 2, prime) % prime).to_bytes(32, "little").hex()


def test_a_broken_list_leaves_the_former_one_in_force(cluster, mobyray, keys):
    coordinator = cluster.coordinator("--key", keys)
    allowed = keys / "coordinator" / "allowed"
    good = allowed.read_text()
    allowed.write_text(good + "king 00 x\n")
    waiting.log_has(coordinator, "the former list of keys stays in force: .*allowed:4: found something else")
    mobyray("ping", cluster.endpoint, "--key", keys / "worker")
    allowed.unlink()
    waiting.until(lambda: len(re.findall("stays in force", coordinator.log())) == 2, "the missing list's line")
    mobyray("ping", cluster.endpoint, "--key", keys / "worker")


def test_a_docker_container_joins_by_one_word(cluster, mobyray, keys, image):
    """docker run IMAGE worker --join TOKEN, with nothing else: on the host's network the coordinator of this test is in reach."""
    coordinator = cluster.coordinator("--key", keys)
    token = mobyray("token", keys, "--endpoint", cluster.endpoint, "--name", "box").stdout.strip()
    start = time.monotonic()
    container = run("docker", "run", "-d", "--restart=always", "--read-only", "--cap-drop", "ALL", "--network", "host", IMAGE, "worker", "--join", token).strip()
    try:
        waiting.log_has(coordinator, "joined")
        assert time.monotonic() - start < JOIN_LIMIT_S
        run("docker", "exec", container, "mobyray", "ping", "--join", token)
    finally:
        run("docker", "rm", "-f", container)


# ---- configured by the environment alone ----

def test_every_option_of_a_worker_is_read_from_the_environment(mobyray):
    """Each option of the help text, as MOBYRAY_NAME with a value that cannot be: the message names the variable. Texts take any value."""
    text = mobyray("help", "worker").stdout
    options = re.findall(r"^\s+--([a-z-]+) (\S*)", text, re.M)
    assert {"coordinator", "key", "join", "threads", "packs"} <= {name for name, _ in options}
    for name, meta in options:
        variable = "MOBYRAY_" + name.upper().replace("-", "_")
        if meta in ("PATH", "DIR", "TOKEN"):
            continue
        done = subprocess.run([MOBYRAY, "worker"], env=clean_environment(**{variable: "?"}), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and variable in done.stderr, f"{variable}: {done.returncode} {done.stderr}"


def test_a_worker_is_configured_by_the_environment_alone(cluster, mobyray, keys, token):
    coordinator = cluster.coordinator("--key", keys)
    worker = mobyray.start("worker", MOBYRAY_JOIN=token, MOBYRAY_THREADS="2", MOBYRAY_KERNEL="scalar")
    waiting.log_has(coordinator, r"2 threads, scalar\) joined")
    other = mobyray.start("worker", MOBYRAY_COORDINATOR=cluster.endpoint, MOBYRAY_KEY=str(keys / "worker"), MOBYRAY_THREADS="1", MOBYRAY_PACKS=str(mobyray.folder))
    waiting.log_has(coordinator, r"1 thread, \w+\) joined")
    for one in (worker, other):
        one.signal(15)
        one.wait(0)


def test_a_worker_without_a_coordinator_is_alive_but_not_ready(mobyray, endpoint):
    worker = mobyray.start("worker", "--coordinator", endpoint)
    waiting.log_has(worker, "looking for the coordinator")
    mobyray("ping", MOBYRAY_COORDINATOR=endpoint, MOBYRAY_TIMEOUT="1", code=1)
    assert worker.process.poll() is None
    worker.signal(15)
    worker.wait(0)


# ---- no state but a cache that may vanish ----

@pytest.mark.parametrize("trouble", ("deleted", "no folder", "full"))
def test_a_worker_does_without_its_cache(cluster, mobyray, reference, scenes, tmp_path, trouble):
    """--packs DIR: deleted in mid-render, in a place where nothing can be made, on a full disk. The next scene is fetched all the same."""
    cache = tmp_path / "cache"
    cache.mkdir()
    if trouble == "no folder":
        cache = tmp_path / "file" / "cache"
        (tmp_path / "file").write_text("")
    if trouble == "full":
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", cache], check=False).returncode:
            pytest.skip("a small file system takes root")
    try:
        coordinator = cluster.coordinator(scenes / "cornell", *PICTURE, "-o", "out.png")
        worker = mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, "--packs", cache)
        waiting.in_mid_render(coordinator)
        if trouble == "deleted":
            assert list(cache.glob("*.pack")), "nothing was kept there"
            shutil.rmtree(cache)
        waiting.log_has(coordinator, "the picture is in")
        assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / "cornell", *PICTURE)
        mobyray("render", scenes / "spheres", *SMALL, "--cluster", cluster.endpoint, "-o", "second.png")
        assert (mobyray.folder / "second.png").read_bytes() == reference(scenes / "spheres", *SMALL)
        assert worker.process.poll() is None
    finally:
        if trouble == "full":
            subprocess.run(["umount", cache], check=True)

"""Who gets in: keys, roles, strangers. Every refusal is held to its message, and a render beside it goes on unharmed."""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

import pytest

import waiting
from faults import picture
from running import ROOT

PICTURE = picture(8)
SMALL = ("--size", "64x64", "--spp", "4")


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


@pytest.fixture
def keys(mobyray):
    mobyray("keygen", "keys")
    return mobyray.folder / "keys"


@pytest.fixture
def guarded(cluster, keys):
    """Starts a coordinator with keys."""
    def start(*arguments):
        return cluster.coordinator(*arguments, "--key", keys)
    return start


def worker(cluster, *arguments):
    return cluster.mobyray.start("worker", "--coordinator", cluster.endpoint, "--threads", 1, *arguments)


# ---- key files ----

def test_keygen_writes_keys_that_only_their_owner_can_read(keys):
    for role in ("coordinator", "worker", "client"):
        file = keys / role / f"{role}.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    secrets = re.findall(r"^secret ([0-9a-f]{64})$", "".join(path.read_text() for path in sorted(keys.rglob("*.key"))), re.M)
    assert len(set(secrets)) == 3
    public = re.search(r"^public (\w+)", (keys / "coordinator" / "coordinator.key").read_text(), re.M)[1]
    for role in ("worker", "client"):
        assert f"coordinator {public}\n" in (keys / role / f"{role}.key").read_text()


def test_keygen_never_writes_over_keys(mobyray, keys):
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    assert "never written over" in mobyray("keygen", "keys", code=1).stderr
    mobyray("keygen", "keys", "--once")
    assert {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("mode", (0o644, 0o604, 0o660))
def test_a_secret_that_others_can_read_is_refused(mobyray, keys, mode):
    (keys / "worker" / "worker.key").chmod(mode)
    found = mobyray("ping", "tcp://127.0.0.1:1", "--key", keys / "worker", code=3).stderr
    assert f"worker.key: found permissions {mode:03o}, expected 600" in found


@pytest.mark.parametrize("change, message", (
    (lambda text: text.replace("secret ", "secret 0", 1), "64 hexadecimal digits"),
    (lambda text: text.replace("mobyray-key 1", "mobyray-key 2"), ":1: found something else"),
    (lambda text: re.sub(r"public \w+", "public " + 64 * "1", text), "not that of the secret key"),
    (lambda text: re.sub(r"coordinator \w+\n", "", text), "a line is missing"),
    (lambda text: text.replace("role worker", "role king"), ":2: found something else"),
    (lambda text: "", "expected 'mobyray-key 1'"),
))
def test_bad_key_files(mobyray, keys, change, message):
    file = keys / "worker" / "worker.key"
    file.write_text(change(file.read_text()))
    assert message in mobyray("ping", "tcp://127.0.0.1:1", "--key", file, code=3).stderr


def test_a_bad_list_is_refused(mobyray, keys, endpoint):
    with open(keys / "coordinator" / "allowed", "a", encoding="ascii") as allowed:
        allowed.write("king 00 x\n")
    assert "allowed:4: found something else" in mobyray("coordinator", "--listen", endpoint, "--key", keys, code=3).stderr


# ---- listening ----

@pytest.mark.parametrize("listen", ("tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://[::]:5555", "tcp://192.0.2.1:5555"))
def test_without_keys_a_coordinator_listens_on_loopback_alone(mobyray, listen):
    assert "--insecure" in mobyray("coordinator", "--listen", listen, code=2).stderr


def test_insecure_is_possible_when_asked_for(mobyray, endpoint):
    coordinator = mobyray.start("coordinator", "--listen", endpoint.replace("127.0.0.1", "0.0.0.0"), "--insecure")
    waiting.log_has(coordinator, "listening on")
    mobyray("ping", endpoint)


# ---- getting in ----

def test_a_cluster_with_keys_renders_the_same_bytes(cluster, guarded, keys, mobyray, reference, cornell):
    workers = [worker(cluster, "--key", keys), worker(cluster, "--key", keys / "worker")]
    coordinator = guarded(cornell, *PICTURE, "-o", "out.png")
    waiting.log_has(coordinator, "the picture is in")
    assert (mobyray.folder / "out.png").read_bytes() == reference(cornell, *PICTURE)
    mobyray("render", cornell, *SMALL, "--cluster", cluster.endpoint, "-o", "second.png", "--key", keys / "client" / "client.key")
    assert (mobyray.folder / "second.png").read_bytes() == reference(cornell, *SMALL)
    for place in (keys, keys / "worker", keys / "client", keys / "coordinator"):
        mobyray("ping", cluster.endpoint, "--key", place)
    for one in workers:
        assert one.process.poll() is None


def test_one_more_worker_is_let_in_and_shut_out_again(cluster, guarded, keys, mobyray):
    mobyray("keygen", "keys", "--worker", "tower-7")
    coordinator = guarded()
    newcomer = worker(cluster, "--key", keys / "worker" / "tower-7.key")
    waiting.log_has(newcomer, "joined as worker 1")
    newcomer.end()
    coordinator.end()
    allowed = keys / "coordinator" / "allowed"
    allowed.write_text("".join(line for line in allowed.read_text().splitlines(True) if "tower-7" not in line))
    guarded()
    again = worker(cluster, "--key", keys / "worker" / "tower-7.key")
    waiting.log_has(again, "does not let our key in")
    assert "joined" not in again.log()


def test_wrong_keys_and_none_get_nothing(cluster, guarded, keys, mobyray, cornell):
    mobyray("keygen", "other")
    coordinator = guarded()
    # The right coordinator's key, but a pair that it does not know.
    known = re.search(r"^coordinator \w+$", (keys / "worker" / "worker.key").read_text(), re.M)[0]
    for role in ("worker", "client"):
        file = mobyray.folder / "other" / role / f"{role}.key"
        shutil.copy(file, mobyray.folder / f"{role}-elsewhere.key")
        file.write_text(re.sub(r"^coordinator \w+$", known, file.read_text(), flags=re.M))
    refused = {
        (): "wants a key",  # and "give --key", by one of two messages: whose side notices first is chance
        ("--key", "other"): "does not let our key in",
        ("--key", "client-elsewhere.key"): "that holds the key which our key file names",
    }
    for arguments, message in refused.items():
        assert message in mobyray("ping", cluster.endpoint, *arguments, "--timeout", 2, code=1).stderr
        assert message in mobyray("render", cornell, *SMALL, "--cluster", cluster.endpoint, *arguments, code=1).stderr
    strangers = {
        worker(cluster): "wants a key",
        worker(cluster, "--key", "other"): "does not let our key in",
        worker(cluster, "--key", "worker-elsewhere.key"): "does it hold the key that our key file names",
    }
    for one, message in strangers.items():
        waiting.log_has(one, message)
    log = coordinator.log()
    assert "joined" not in log and "job" not in log
    assert "the last refused key came from 127.0.0.1" in waiting.log_has(coordinator, r"turned away.*the last refused key.*")[0]


def test_roles(cluster, guarded, keys, mobyray, cornell):
    """What the files' roles forbid is checked before anything is sent; so the words in the files are changed, as a thief would."""
    guarded()
    for role, other in (("worker", "client"), ("client", "worker")):
        text = (keys / role / f"{role}.key").read_text()
        path = mobyray.folder / f"{role}-as-{other}.key"
        path.write_text(text.replace(f"role {role}", f"role {other}"))
        path.chmod(0o600)
    assert "found the key of a worker, expected a client's" in mobyray(
        "render", cornell, *SMALL, "--cluster", cluster.endpoint, "--key", keys / "worker" / "worker.key", code=3).stderr
    assert "your key is not one for clients" in mobyray(
        "render", cornell, *SMALL, "--cluster", cluster.endpoint, "--key", "worker-as-client.key", code=1).stderr
    impostor = worker(cluster, "--key", "client-as-worker.key")
    waiting.log_has(impostor, "your key is not one for workers")
    assert "joined" not in impostor.log()


def test_keys_are_refused_by_a_coordinator_without(cluster, keys, mobyray):
    """By one or the other message: whose side notices first is chance."""
    cluster.coordinator()
    found = mobyray("ping", cluster.endpoint, "--key", keys, code=1).stderr
    assert "uses no keys" in found or "that holds the key which our key file names" in found


# ---- embedded clusters ----

@pytest.fixture
def short_folder():
    """pytest's own are too long for a socket's name."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def test_an_embedded_cluster_is_closed_to_others(mobyray, cornell, short_folder):
    """A folder of this user's alone, no TCP port, a key that is in no argument and on no disk."""
    temporary = short_folder
    render = mobyray.start("render", cornell, *PICTURE, "--workers", 1, "-o", "out.png", TMPDIR=str(temporary), MOBYRAY_KEY="/nowhere")
    waiting.in_mid_render(render)
    folder, = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not [path for path in folder.iterdir() if path.suffix == ".key"]
    argv = open(f"/proc/{waiting.children(render.pid)[0]}/cmdline", encoding="utf-8").read().split("\0")
    assert argv[argv.index("--key") + 1].startswith("/proc/self/fd/")
    assert "wants a key" in mobyray("ping", f"ipc://{folder}/coordinator", code=1).stderr
    if os.geteuid() == 0 and shutil.which("setpriv"):
        other = subprocess.run(["setpriv", "--reuid=12345", "--clear-groups", "ls", folder], capture_output=True, check=False)
        assert other.returncode != 0
    render.signal(signal.SIGINT)
    render.wait(130)


# ---- the build ----

@pytest.mark.skipif(not shutil.which("make") or not shutil.which("gcc"), reason="no compiler here")
def test_a_libzmq_without_curve_fails_the_build_with_a_message(short_folder):
    (short_folder / "zmq.h").write_text("int zmq_has(const char *what);\n")
    (short_folder / "zmq.c").write_text("int zmq_has(const char *what) { return what[0] == 'x'; }\n")
    (short_folder / "libzmq.pc").write_text(f"Name: libzmq\nDescription: without\nVersion: 4\nCflags: -I{short_folder}\nLibs: {short_folder}/zmq.o\n")
    subprocess.run(["gcc", "-c", "zmq.c"], cwd=short_folder, check=True)
    shutil.copy(ROOT / "Makefile", short_folder)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(["make", "CC=gcc", "build/curve.ok"], cwd=short_folder, env={**kept, "PKG_CONFIG_PATH": str(short_folder)},
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "mobyray needs a libzmq that was built with CURVE" in done.stderr, done.stdout + done.stderr


# ---- noise ----

def test_noise_and_an_older_protocol_get_nothing(cluster, guarded, keys, mobyray, reference, cornell):
    """Raw bytes, HTTP, TLS, ZMTP 1 and 2, half a greeting: the render goes on, and nobody is answered beyond ZeroMQ's greeting."""
    worker(cluster, "--key", keys)
    coordinator = guarded(cornell, *PICTURE, "-o", "out.png", "--exit-when-done")
    host, port = cluster.endpoint.removeprefix("tcp://").split(":")
    greeting = b"\xff" + 8 * b"\0" + b"\x7f"
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", os.urandom(4096), b"\x01\x00\x05MR\x01\x04x", greeting + b"\x01\x05",
                  greeting + b"\x03\x00CURVE" + 15 * b"\0" + 32 * b"\0" + b"\x04\xc8\x05HELLO" + 194 * b"x", greeting):
        with socket.create_connection((host, int(port))) as probe:
            probe.sendall(noise)
            probe.settimeout(30)
            answer = b""
            try:
                probe.shutdown(socket.SHUT_WR)
                while chunk := probe.recv(4096):
                    answer += chunk
            except OSError:  # cut off by the other side, maybe at once
                pass
            assert len(answer) <= 64, answer
    coordinator.wait()
    assert (mobyray.folder / "out.png").read_bytes() == reference(cornell, *PICTURE)

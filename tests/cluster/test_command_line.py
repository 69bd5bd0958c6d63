"""The command line is a contract: options, environment names, exit codes, messages, the closing figures."""

import json
import os
import re
import socket
import stat

import pytest

TINY = ("--size", "32x24", "--spp", "2")
COMMANDS = ("render", "submit", "status", "cancel", "simulate", "coordinator", "worker", "scene", "bench", "autoscale", "metrics", "ping", "prepare", "help", "version")


@pytest.fixture
def cornell(scenes):
    return scenes / "cornell"


def one_line(text):
    """The error message: one line that names the program (and, after a usage error, one hint)."""
    lines = [line for line in text.splitlines() if not line.startswith("try: mobyray help")]
    assert len(lines) == 1 and lines[0].startswith("mobyray: "), text
    return lines[0]


def test_help_names_every_command(mobyray):
    text = mobyray("help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.MULTILINE), command
        assert mobyray("help", command).stdout == mobyray(command, "--help").stdout
    assert mobyray("--help").stdout == text


def test_no_command_is_a_usage_error(mobyray):
    assert "usage: mobyray COMMAND" in mobyray(code=2).stderr


def test_version(mobyray):
    text = mobyray("version").stdout
    assert re.match(r"mobyray \d+\.\d+\.\d+", text)
    assert re.search(r"^kernels: scalar\b", text, re.MULTILINE)


@pytest.mark.parametrize("arguments, expected", [
    (("rendr",), "unknown command 'rendr', did you mean render?"),
    (("render",), "no SCENE given"),
    (("render", "x", "y"), "'y' is one argument too many"),
    (("render", "x", "--sp", "3"), "unknown option --sp, did you mean --spp?"),
    (("render", "x", "--zzzzzzzz=3"), "unknown option --zzzzzzzz"),
    (("render", "x", "--spp"), "--spp: no value, expected N"),
    (("render", "x", "--spp", "0"), "--spp: found '0', expected a whole number 1..1048576"),
    (("render", "x", "--spp=1e3"), "--spp: found '1e3'"),
    (("render", "x", "--spp", "-1"), "--spp: found '-1'"),
    (("render", "x", "--spp", "99999999999999999999"), "--spp: found '99999999999999999999'"),
    (("render", "x", "--size", "640"), "--size: found '640', expected WxH, each 1..32768"),
    (("render", "x", "--size", "640x"), "--size: found '640x'"),
    (("render", "x", "--size", "640x40000"), "--size: found '640x40000'"),
    (("render", "x", "--tile", "4096"), "--tile: found '4096', expected a whole number 1..1024"),
    (("render", "x", "--workers", "two"), "--workers: found 'two'"),
    (("render", "x", "--cluster", "tcp://127.0.0.1:1", "--workers", "2"), "--cluster and --workers exclude each other"),
    (("worker",), "no coordinator given, expected --coordinator tcp://HOST:5555"),
    (("scene", "pock", "x"), "found 'pock', expected pack, info, check or squeeze"),
    (("scene", "pack", "x"), "no file for the pack given, expected -o FILE"),
    (("bench", "--workers", "1,,2"), "--workers: found '1,,2', expected up to 16 numbers"),
    (("bench", "--workers", "0"), "--workers: found '0'"),
    (("coordinator", "--listen", "nonsense"), "--listen: found 'nonsense', expected tcp://HOST:PORT with a port 1..65535"),
    (("coordinator", "--listen", "tcp://127.0.0.1:65536"), "--listen: found 'tcp://127.0.0.1:65536'"),
    (("coordinator", "--listen", "tcp://127.0.0.1"), "--listen: found 'tcp://127.0.0.1'"),
    (("worker", "--coordinator", "tcp://:5555"), "--coordinator: found 'tcp://:5555'"),
    (("worker", "--coordinator", "tcp://host:*"), "--coordinator: found 'tcp://host:*'"),
    (("render", "x", "--cluster", "host:5555"), "--cluster: found 'host:5555'"),
    (("ping", "tcp://host:0"), "ENDPOINT: found 'tcp://host:0'"),
    (("help", "nothing"), "there is no command 'nothing'"),
])
def test_usage_errors(mobyray, arguments, expected):
    done = mobyray(*arguments, code=2)
    assert expected in done.stderr
    assert "try: mobyray help" in done.stderr
    assert not done.stdout


def test_unknown_ending_is_refused_before_any_work(mobyray, cornell):
    message = one_line(mobyray("render", cornell, "-o", "picture.bmp", code=2).stderr)
    assert "picture.bmp" in message and ".png" in message and ".exr" in message


def test_environment_names(mobyray, cornell):
    mobyray("render", cornell, MOBYRAY_SIZE="20x10", MOBYRAY_SPP="3", MOBYRAY_WORKERS="0", MOBYRAY_OUTPUT="a.png",
            MOBYRAY_REPORT="a.json", MOBYRAY_SEED="", MOBYRAY_QUIET="0")
    report = json.loads((mobyray.folder / "a.json").read_text())
    assert (report["width"], report["height"], report["spp"]) == (20, 10, 3)
    assert (mobyray.folder / "a.png").exists()


def test_the_command_line_beats_the_environment(mobyray, cornell):
    mobyray("render", cornell, *TINY, "--workers", 0, "--report=r.json", MOBYRAY_SPP="7", MOBYRAY_SIZE="9x9")
    report = json.loads((mobyray.folder / "r.json").read_text())
    assert (report["width"], report["spp"]) == (32, 2)


def test_bad_environment_names_its_variable(mobyray, cornell):
    assert "MOBYRAY_SPP: found 'many'" in mobyray("render", cornell, code=2, MOBYRAY_SPP="many").stderr


@pytest.mark.parametrize("kernel, expected", [("sse9", "sse9"), ("", None)])
def test_kernel_variable(mobyray, cornell, kernel, expected):
    done = mobyray("render", cornell, *TINY, "--workers", 0, code=2 if expected else 0, MOBYRAY_KERNEL=kernel)
    if expected:
        assert expected in done.stderr and "scalar" in done.stderr


def test_default_output_is_the_scenes_name(mobyray, cornell):
    mobyray("render", cornell, *TINY, "--workers", 0)
    mobyray("scene", "pack", cornell, "-o", "box.pack")
    mobyray("render", "box.pack", *TINY, "--workers", 0)
    (mobyray.folder / "cornell.png").rename(mobyray.folder / "first.png")
    mobyray("render", cornell / "scene.json", *TINY, "--workers", 0)
    names = {path.name for path in mobyray.folder.iterdir()}
    assert names == {"first.png", "cornell.png", "box.pack", "box.png"}


@pytest.mark.parametrize("workers", (0, 2))
def test_closing_line_and_report(mobyray, cornell, workers):
    # Enough work that every worker is there before it is done.
    done = mobyray("render", cornell, "--size", "96x72", "--spp", 128, "--tile", 8, "--workers", workers, "-o", "a.png", "--report", "a.json")
    report = json.loads((mobyray.folder / "a.json").read_text())
    assert sorted(report) == sorted(["seconds", "samples_per_s", "rays_per_s", "tiles", "workers_seen", "tiles_redone", "tiles_verified", "workers_evicted", "width",
                                     "height", "spp", "scene_hash", "image_hash", *(["account"] if workers else [])])
    assert (report["width"], report["height"], report["spp"], report["workers_seen"]) == (96, 72, 128, workers)
    assert report["tiles"] >= 108 and report["rays_per_s"] > report["samples_per_s"] > 0 and report["seconds"] > 0
    assert re.fullmatch("[0-9a-f]{64}", report["scene_hash"]) and re.fullmatch("[0-9a-f]{64}", report["image_hash"])
    last = done.stderr.splitlines()[-1]
    figures = r"done: [\d.]+ s, [\d.]+ Msamples/s, [\d.]+ Mrays/s, \d+ tiles, \d+ workers? seen, \d+ tiles? redone"
    assert re.fullmatch(figures, last), last
    assert done.stdout == ""


def test_image_hash_is_the_pictures(mobyray, cornell):
    hashes = []
    for name in ("a.png", "b.exr", "c.pfm"):
        mobyray("render", cornell, *TINY, "-o", name, "--report", "r.json")
        hashes.append(json.loads((mobyray.folder / "r.json").read_text())["image_hash"])
    assert len(set(hashes)) == 1


def test_quiet_is_silent(mobyray, cornell):
    done = mobyray("render", cornell, *TINY, "--quiet")
    assert done.stderr == "" and done.stdout == ""


def test_every_format(mobyray, cornell):
    starts = {"a.png": b"\x89PNG\r\n", "a.exr": b"\x76\x2f\x31\x01", "a.hdr": b"#?RADIANCE", "a.pfm": b"PF\n32 24\n"}
    for name, start in starts.items():
        mobyray("render", cornell, *TINY, "--workers", 0, "-o", name)
        assert (mobyray.folder / name).read_bytes().startswith(start), name


def test_pictures_and_reports_are_readable_by_others(mobyray, cornell):
    mobyray("render", cornell, *TINY, "--workers", 0, "-o", "a.png", "--report", "a.json")
    umask = os.umask(0)
    os.umask(umask)
    for name in ("a.png", "a.json"):
        assert stat.S_IMODE((mobyray.folder / name).stat().st_mode) == 0o666 & ~umask, name


@pytest.mark.parametrize("workers", (0, 1))
@pytest.mark.parametrize("output", ("no/such/folder/a.png", "/proc/a.png", "folder.png"))
def test_unwritable_output_is_found_before_rendering(mobyray, scenes, output, workers):
    (mobyray.folder / "folder.png").mkdir()
    huge = ("--spp", 1048576)  # would take days
    message = one_line(mobyray("render", scenes / "cornell", *huge, "--workers", workers, "-o", output, code=1).stderr)
    assert output in message


def test_missing_scene(mobyray):
    for arguments in (("render", "nowhere"), ("render", "nowhere", "-o", "a.png"), ("render", "nowhere", "--workers", 0),
                      ("coordinator", "nowhere", "--listen", "tcp://127.0.0.1:*"), ("scene", "check", "nowhere"), ("bench", "nowhere")):
        assert "nowhere" in mobyray(*arguments, code=3).stderr.splitlines()[-1]


def test_broken_scene_names_line_and_column(mobyray):
    (mobyray.folder / "scene.json").write_text('{\n  "name": "x",\n  oops\n}\n')
    for workers in (0, 2):
        message = mobyray("render", "scene.json", "--workers", workers, "-o", "a.png", code=3).stderr.splitlines()[-1]
        assert re.search(r"scene\.json:3:\d+", message), message
    assert not (mobyray.folder / "a.png").exists()


def test_damaged_pack_is_refused(mobyray, cornell):
    mobyray("scene", "pack", cornell, "-o", "box.pack")
    pack = mobyray.folder / "box.pack"
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    assert "box.pack" in one_line(mobyray("render", "box.pack", "-o", "a.png", "--workers", 0, code=3).stderr)
    pack.write_bytes(data[:100])
    assert "box.pack" in one_line(mobyray("scene", "info", "box.pack", code=3).stderr)


def test_scene_commands(mobyray, cornell):
    assert "good" in mobyray("scene", "check", cornell).stdout
    mobyray("scene", "pack", cornell, "-o", "a.pack")
    mobyray("scene", "pack", cornell, "-o", "b.pack")
    assert (mobyray.folder / "a.pack").read_bytes() == (mobyray.folder / "b.pack").read_bytes()
    assert mobyray("scene", "info", "a.pack").stdout == mobyray("scene", "info", cornell).stdout != ""


def test_foreign_address(mobyray):
    message = one_line(mobyray("coordinator", "--listen", "tcp://192.0.2.1:5555", "--insecure", code=1).stderr)  # a documentation address
    assert "tcp://192.0.2.1:5555" in message


def test_port_in_use(mobyray):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        message = one_line(mobyray("coordinator", "--listen", endpoint, code=1).stderr)
    assert endpoint in message and "in use" in message


def test_no_coordinator(mobyray, cornell, endpoint):
    message = one_line(mobyray("render", cornell, *TINY, "--cluster", endpoint, "-o", "a.png", code=1).stderr)
    assert endpoint in message
    assert endpoint in one_line(mobyray("ping", endpoint, "--timeout", 1, code=1).stderr)


def test_ping(mobyray, cluster):
    cluster.coordinator()
    assert cluster.endpoint in mobyray("ping", cluster.endpoint).stdout
    mobyray("ping", MOBYRAY_COORDINATOR=cluster.endpoint)


def test_prepare_makes_a_folder_for_the_owner_of_its_parent(mobyray, tmp_path):
    group = os.getegid()
    mobyray("prepare", tmp_path / "out", "--group", group)
    mobyray("prepare", f"{tmp_path}/out/", "--group", group)  # again: content with what is there
    made = (tmp_path / "out").stat()
    assert stat.S_ISDIR(made.st_mode) and stat.S_IMODE(made.st_mode) == 0o775
    assert (made.st_uid, made.st_gid) == (tmp_path.stat().st_uid, group)


@pytest.mark.parametrize("place", ("link", "file"))
def test_prepare_refuses_what_is_no_folder(mobyray, tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path.parent)
    assert f"{place}: is not a folder" in mobyray("prepare", tmp_path / place, code=1).stderr


@pytest.mark.parametrize("name", (".", "/", "x/.."))
def test_prepare_wants_a_name(mobyray, name):
    assert "expected the name of a folder to make" in mobyray("prepare", name, code=2).stderr

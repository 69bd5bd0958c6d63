"""Every command that the README shows is one that works: mobyray's are run, small; make's and Compose's must exist."""

import re
import shlex

import pytest

import waiting
from running import ROOT, Runner, clean_environment

SMALL = {"MOBYRAY_SIZE": "64x36", "MOBYRAY_SPP": "2"}
LASTING = ("coordinator", "worker")  # these run until they are told to stop


def blocks():
    """The shell commands of each block."""
    for text in re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S):
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        yield [shlex.split(line) for line in lines if line]


def test_there_are_commands():
    assert sum(len(block) for block in blocks()) >= 10


@pytest.mark.parametrize("command", [command for block in blocks() for command in block if command[0] == "make"], ids=" ".join)
def test_make_targets_exist(command):
    assert re.search(rf"^{command[1]}:.*##", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("command", [command for block in blocks() for command in block if command[0] == "docker"], ids=" ".join)
def test_compose_commands_are_those_that_the_docker_test_runs(command):
    assert command[:3] == ["docker", "compose", "up"]
    assert {word.split("=")[0] for word in command[3:]} <= {"-d", "--scale", "worker"}


@pytest.mark.parametrize("block", [block for block in blocks() if block[0][0] == "build/mobyray"], ids=lambda block: block[0][1])
def test_mobyray_commands_run(block, tmp_path, endpoint):
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    (tmp_path / "out").mkdir()
    runner = Runner(tmp_path)
    lasting = []
    words = {"tcp://127.0.0.1:5555": endpoint}
    try:
        for command in block:
            assert command[0] == "build/mobyray"
            arguments = [words.get(word, word) for word in command[1:]]
            if command[1] in LASTING:
                lasting.append(runner.start(*arguments, **SMALL))
            else:
                printed = runner(*arguments, **SMALL).stdout.strip()
                words["TOKEN" if command[1] == "token" else None] = printed
        for watched in lasting:
            if watched is lasting[0] and any(command[1] == "coordinator" and "-o" in command for command in block):
                waiting.until((tmp_path / "out" / "mobydock.png").exists, "the coordinator's own picture")
            assert watched.process.poll() is None, watched.log()
    finally:
        for watched in lasting:
            watched.end()


def test_every_environment_name_is_an_option():
    """MOBYRAY_ names of README and compose.yaml are ones that some command reads."""
    known = set()
    for command in ("render", "submit", "status", "cancel", "simulate", "coordinator", "worker", "bench", "autoscale", "metrics", "ping", "keygen", "token", "prepare"):
        text = Runner(ROOT)("help", command, **clean_environment()).stdout
        known |= {"MOBYRAY_" + name.upper().replace("-", "_") for name in re.findall(r"--([a-z-]+)", text)}
    known |= {"MOBYRAY_KERNEL", "MOBYRAY_SCENE", "MOBYRAY_IMAGE", "MOBYRAY_HTTP_PORT"}  # the kernel's, and three that compose.yaml itself reads
    for file in ("README.md", "compose.yaml"):
        for name in re.findall(r"MOBYRAY_[A-Z][A-Z_]*[A-Z]", (ROOT / file).read_text()):
            assert name in known, f"{file}: {name}"

"""Machines without an orchestrator: the files for systemd, Podman's Quadlet, CoreOS and instance groups. None of the first three is run here."""

import configparser
import os
import re
import shutil
import subprocess

import pytest
import yaml

import waiting
from running import ROOT, Runner
from web import Web

SYSTEMD = ROOT / "docker" / "systemd"
# As documented in podman-systemd.unit(5).
QUADLET = {"Image", "Exec", "Secret", "Volume", "ReadOnly", "DropCapability", "NoNewPrivileges", "PodmanArgs", "Environment", "EnvironmentFile", "Network", "User"}
# As documented in Butane's specification for Fedora CoreOS 1.5.0.
BUTANE_FILE = {"path", "overwrite", "contents", "append", "mode", "user", "group"}


def sections(text):
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read_string(text)
    return parser


def check_words(words):
    """`worker ...` as the program has it."""
    command, *rest = words.split()
    text = Runner(ROOT)("help", command).stdout
    assert command == "worker" and rest
    for word in rest:
        assert not word.startswith("--") or f" {word} " in text, word


def test_the_service_is_sound_and_hardened(tmp_path):
    unit = SYSTEMD / "mobyray-worker.service"
    service = sections(unit.read_text())["Service"]
    path, _, words = service["ExecStart"].partition(" ")
    check_words(words)
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here: keys alone were checked")
    here = tmp_path / unit.name  # where its program is
    here.write_text(unit.read_text().replace(path, str(tmp_path / "mobyray")))
    shutil.copy("/bin/true", tmp_path / "mobyray")
    verified = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert verified.returncode == 0 and unit.name not in verified.stderr, verified.stderr
    analysed = subprocess.run(["systemd-analyze", "security", "--offline=true", here], capture_output=True, text=True, check=False).stdout
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", analysed)[1]) <= 1.5, analysed


def check_quadlet(text):
    parts = sections(text)
    assert {"Unit", "Container", "Service", "Install"} <= set(parts) and set(parts["Container"]) <= QUADLET
    container = parts["Container"]
    check_words(container["Exec"])
    assert container["ReadOnly"] == "true" and container["DropCapability"] == "all" and container["NoNewPrivileges"] == "true"
    return container


def test_the_quadlet_unit_has_documented_keys():
    container = check_quadlet((SYSTEMD / "mobyray-worker.container").read_text())
    assert container["Secret"].split(",")[0] == container["Exec"].rsplit("/", 1)[1]


def test_the_butane_file_has_documented_fields():
    found = yaml.safe_load((ROOT / "docker" / "coreos" / "mobyray-worker.bu").read_text())
    assert set(found) == {"variant", "version", "storage"} and found["variant"] == "fcos" and found["version"] == "1.5.0"
    files = {file["path"]: file for file in found["storage"]["files"]}
    for file in files.values():
        assert set(file) <= BUTANE_FILE and set(file["contents"]) <= {"inline", "local"} and isinstance(file["mode"], int)
    token = files["/etc/mobyray/join"]
    assert token["mode"] & 0o077 == 0, "others could read the token"
    container = check_quadlet(files["/etc/containers/systemd/mobyray-worker.container"]["contents"]["inline"])
    source, target, _ = container["Volume"].split(":")
    assert source == "/etc/mobyray/join" and container["Exec"].endswith(f"--join {target}")


def test_an_instance_group_follows_the_coordinator(mobyray, endpoint, scenes):
    coordinator = mobyray.start("coordinator", "--listen", endpoint, "--http", "127.0.0.1:0", "--max-workers", 7, "--cool-down", 0)
    web = Web.of(coordinator)
    environment = {**os.environ, "COORDINATOR": f"http://127.0.0.1:{web.port}", "EVERY": "0.1", "ROUNDS": "600"}
    script = mobyray.start_other("env", *[f"{name}={environment[name]}" for name in ("COORDINATOR", "EVERY", "ROUNDS")], ROOT / "docker" / "instances" / "scale.sh", "echo", "group")
    waiting.log_has(script, r"(?m)^group 0$")
    mobyray("submit", scenes / "cornell", "--size", "512x512", "--spp", 4096, "--cluster", endpoint)
    waiting.log_has(script, r"(?m)^group [1-7]$")
    mobyray("cancel", 1, "--cluster", endpoint)
    waiting.log_has(script, r"(?ms)^group [1-7]$.*^group 0$")
    sizes = re.findall(r"(?m)^group (\d+)$", script.log())
    assert all(one != next_one for one, next_one in zip(sizes, sizes[1:])), "a size that has not changed was set again"

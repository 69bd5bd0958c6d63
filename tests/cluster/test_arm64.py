"""64-bit ARM, cross-built and run by qemu: the NEON kernel gives the bits of every other one, and its workers stand beside x86-64 ones.

`make arm64` fetches the libraries and builds; with its toolchain and libraries in place these tests bring the build up to date themselves.
Without them they are skipped, but in CI that is a failure."""

import json
import os
import platform
import shutil
import subprocess

import pytest

import waiting
from containers import IMAGE
from running import MOBYRAY, ROOT, Watched, clean_environment

BUILD = ROOT / "build" / "arm64"
ROOT_FILES = BUILD / "image" / "root"  # the container image's file system
QEMU = ["qemu-aarch64", "-L", str(BUILD / "sysroot")]
UNITS = ("test_kernel", "test_render", "test_math", "test_sampler", "test_film")
LIMIT_S = 900  # of one program; an emulated CPU is some 20 times slower
PICTURE = ("--size", "96x72", "--spp", "4", "--seed", "5")


def unavailable(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def brought_up_to_date():
    environment = {key: value for key, value in clean_environment().items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CC", "CFLAGS", "CONFIG")}
    targets = [f"build/arm64/tests/unit/{name}" for name in UNITS]
    done = subprocess.run(["make", f"-j{os.cpu_count()}", "CONFIG=arm64", "build/arm64/mobyray", "image-root", *targets], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def emulated():
    """The command that runs mobyray on 64-bit ARM."""
    if platform.machine() != "x86_64" or MOBYRAY != ROOT / "build" / "mobyray":
        pytest.skip("for the plain build on x86-64: sanitizers and other machines have nothing to add")
    missing = [tool for tool in ("aarch64-linux-gnu-gcc", QEMU[0]) if not shutil.which(tool)]
    if missing or not (BUILD / "sysroot" / "complete").exists():
        unavailable(f"no cross-build for 64-bit ARM here ({', '.join(missing) or 'no libraries'}): make arm64")
    brought_up_to_date()
    return [*QEMU, str(BUILD / "mobyray")]


@pytest.fixture(scope="module", autouse=True)
def units(emulated):
    """The unit tests, started here so that the emulated ones run beside the others: name -> process."""
    running = {name: subprocess.Popen([*QEMU, BUILD / "tests" / "unit" / name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for name in UNITS}
    yield running
    for process in running.values():
        if process.poll() is None:
            process.kill()
        process.communicate()


def run(command, *arguments, code=0, **environment):
    done = subprocess.run([*command, *map(str, arguments)], env=clean_environment(**environment), capture_output=True, text=True, timeout=LIMIT_S,
                          check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def image_hash(command, pack, folder, *options, **environment):
    run(command, "render", pack, *options, "--workers", 0, "-o", folder / "out.png", "--report", folder / "report.json", "--quiet", **environment)
    return json.loads((folder / "report.json").read_text())["image_hash"]


def test_version_names_the_kernels(emulated):
    told = run(emulated, "version").stdout
    assert "\nkernels: scalar neon\n" in told and "\nkernel in use: neon\n" in told
    assert "kernel in use: scalar" in run(emulated, "version", MOBYRAY_KERNEL="scalar").stdout


@pytest.mark.parametrize("kernel", ("avx2", "sse", "nonsense"))
def test_a_kernel_of_another_machine_is_refused(emulated, kernel):
    assert f'kernel "{kernel}": this machine has scalar, neon' in run(emulated, "version", code=2, MOBYRAY_KERNEL=kernel).stderr


@pytest.mark.parametrize("scene", ("cornell", "spheres", "leaves"))
def test_the_same_bits(emulated, scenes, tmp_path, scene):
    pack = tmp_path / "scene.pack"
    run([MOBYRAY], "scene", "pack", scenes / scene, "-o", pack)
    expected = image_hash([MOBYRAY], pack, tmp_path, *PICTURE)
    for kernel in ("neon", "scalar"):
        assert image_hash(emulated, pack, tmp_path, *PICTURE, MOBYRAY_KERNEL=kernel) == expected, kernel


def test_the_same_bits_of_mobydock(emulated, scenes, tmp_path):
    pack = tmp_path / "scene.pack"
    run([MOBYRAY], "scene", "pack", scenes / "mobydock", "-o", pack)
    options = ("--size", "64x36", "--spp", "2")
    assert image_hash(emulated, pack, tmp_path, *options) == image_hash([MOBYRAY], pack, tmp_path, *options)


def test_workers_of_both_kinds_in_one_cluster(cluster, mobyray, reference, scenes):
    """The ARM worker is the container image's: its program, its loader, its libraries, and no file beside them."""
    picture = ("--size", "192x192", "--spp", "16")
    coordinator = cluster.coordinator()
    in_image = ["qemu-aarch64", "-L", ROOT_FILES, ROOT_FILES / "usr" / "bin" / "mobyray"]
    other = Watched([*in_image, "worker", "--coordinator", cluster.endpoint, "--threads", "1"], mobyray.folder, {})
    try:
        waiting.log_has(coordinator, r"worker 1 \(.*neon\) joined")
        cluster.worker()
        waiting.log_has(coordinator, "worker 2 .* joined")
        mobyray("render", scenes / "cornell", *picture, "--tile", 16, "--cluster", cluster.endpoint, "-o", "out.png", "--report", "report.json")
    finally:
        other.end()
    assert json.loads((mobyray.folder / "report.json").read_text())["workers_seen"] == 2
    assert (mobyray.folder / "out.png").read_bytes() == reference(scenes / "cornell", *picture)


def test_the_image(engine):
    """Put together from its files, without running anything: it says what it is for, and has the settings of the Dockerfile."""
    name = f"{IMAGE}-arm64"
    subprocess.run([ROOT / "docker" / "import.sh", "arm64", BUILD / "image", name], env=clean_environment(VERSION="1", COMMIT="abc"), check=True)
    told = json.loads(subprocess.run(["docker", "image", "inspect", name], stdout=subprocess.PIPE, check=True).stdout)[0]
    assert (told["Os"], told["Architecture"]) == ("linux", "arm64")
    settings = told["Config"]
    assert settings["User"] == "65532:65532" and settings["Entrypoint"] == ["mobyray"] and settings["Cmd"] == ["help"]
    assert settings["Healthcheck"]["Test"] == ["CMD", "mobyray", "ping"]
    assert settings["Labels"]["org.opencontainers.image.revision"] == "abc"
    saved = subprocess.run(f"docker save {name} | gzip -9 | wc -c", shell=True, stdout=subprocess.PIPE, check=True).stdout
    assert int(saved) <= 12_000_000


@pytest.mark.parametrize("name", UNITS)
def test_units(units, name):
    told = units[name].communicate(timeout=LIMIT_S)[0]
    assert units[name].returncode == 0, told

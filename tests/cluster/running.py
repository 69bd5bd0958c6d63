"""Running mobyray: to its end, or watched."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MOBYRAY = pathlib.Path(os.environ.get("MOBYRAY", ROOT / "build" / "mobyray"))
MEDDLER = pathlib.Path(os.environ.get("MEDDLER", ROOT / "build" / "release" / "tests" / "cluster" / "meddler"))
SANITIZED = MOBYRAY.parent.name in ("asan", "tsan")  # a build that watches itself: slower, and with memory and symbols of its own
TIMEOUT_S = 300  # of any one command: far beyond what it needs, so that a hang fails instead of lasting for ever


def clean_environment(**more):
    """The environment without the variables that mobyray would read, and with those given."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MOBYRAY_")}
    return {**kept, **more}


class Runner:
    """Runs mobyray in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *arguments, code=0, **environment):
        """Runs a command to its end and holds it to its exit code."""
        done = subprocess.run([MOBYRAY, *map(str, arguments)], cwd=self.folder, env=clean_environment(**environment),
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *arguments, **environment):
        """Starts a command whose stderr goes to a file that `Watched` reads."""
        return Watched([MOBYRAY, *map(str, arguments)], self.folder, environment)

    def start_other(self, *command):
        """The same with another program."""
        return Watched([*map(str, command)], self.folder, {})


class Watched:
    """A running command whose stderr can be waited for."""

    count = 0

    def __init__(self, command, folder, environment):
        Watched.count += 1
        self.log_path = folder / f"stderr-{Watched.count}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=clean_environment(**environment), stdout=log, stderr=log)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait(self, code=0, timeout_s=TIMEOUT_S):
        found = self.process.wait(timeout_s)
        assert found == code, f"exit code {found}, expected {code}\n{self.log()}"
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

"""Other people's checkers, from PyPI: installed once into build/, run apart from the tests, as they want newer libraries than Debian's."""

import json
import os
import subprocess
import sys

from containers import unavailable
from running import ROOT


def installed(package, module):
    """The folder of NAME==VERSION, which holds this module."""
    home = ROOT / "build" / package.split("==")[0]
    if not (home / module).exists():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", home, package], capture_output=True, text=True, check=False)
        if done.returncode:
            unavailable(f"{package} cannot be installed: {done.stderr[-500:]}")
    return home


def checked(home, command, objects=None):
    """What Python's command, as `-c SCRIPT` or `-m MODULE`, says of objects, which it reads as JSON from its standard input."""
    return subprocess.run([sys.executable, *command], input=json.dumps(objects), env={**os.environ, "PYTHONPATH": str(home)}, capture_output=True, text=True, check=False)

"""What the browser tests share: a real Chromium, the dashboard in it, and coordinators with HTTP on free ports."""

import importlib.util
import os
import pathlib
import re
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))  # running, waiting, faults

import waiting  # noqa: E402
from dashboard import Cluster, Page  # noqa: E402
from running import Runner  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests: it takes a second or two to start."""
    if not (CHROMIUM and DRIVER and importlib.util.find_spec("selenium")):
        assert os.environ.get("CI") != "true", "chromium, chromedriver or selenium is missing: docker/deps.sh test"
        pytest.skip("chromium, chromedriver or selenium is missing")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(waiting.LIMIT_S)
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium):
    """The dashboard as a reader sees it. Ends with a look at the console: the page must not have stumbled."""
    dashboard = Page(chromium)
    yield dashboard
    chromium.get("about:blank")
    wrong = [line["message"] for line in chromium.get_log("browser") if line["level"] == "SEVERE" and not re.search(dashboard.expected, line["message"])]
    assert not wrong, wrong


@pytest.fixture
def mobyray(tmp_path):
    runner = Runner(tmp_path)
    started = []
    start = runner.start
    runner.start = lambda *arguments, **environment: started.append(start(*arguments, **environment)) or started[-1]
    yield runner
    for watched in started:
        watched.end()


@pytest.fixture
def cluster(mobyray):
    return Cluster(mobyray)

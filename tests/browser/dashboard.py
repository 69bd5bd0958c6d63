"""Coordinators with a page, and the page in Chromium."""

import socket

import waiting
from running import ROOT

LIMIT_S = 40  # when the page does not show something by then, it never will
# What a test wants to know that has waited in vain.
STATE = """if (!window.mobyray) return document.documentElement.outerHTML.slice(0, 500);
    const {picture, api, jobs} = mobyray, {chunks, view} = picture;
    return JSON.stringify({connection: api.state, job: picture.job, jobs: jobs.jobs.size, zoom: view.zoom, flying: chunks.flying, gone: chunks.gone, toTone: chunks.toTone.size, frame: picture.frame,
        left: [chunks.bytesLeft, chunks.fetchesLeft, chunks.quietUntil - performance.now()],
        chunks: [...chunks.visible].map(c => [c.level, c.x, c.y, !!c.rgbe, c.dirty]), toast: document.getElementById('toast').textContent})"""
TOKEN = "a-token-that-only-the-tests-know"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A coordinator with a page, and workers for it."""

    def __init__(self, mobyray):
        self.mobyray = mobyray
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.token = mobyray.folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)

    @property
    def url(self):
        return f"http://{self.http}/"

    def coordinator(self, *arguments):
        watched = self.mobyray.start("coordinator", *arguments, "--listen", self.endpoint, "--http", self.http, "--http-token", self.token,
                                     "--scenes", ROOT / "scenes", "--pictures", "pictures")
        waiting.log_has(watched, "listening on")
        return watched

    def worker(self):
        return self.mobyray.start("worker", "--coordinator", self.endpoint, "--threads", 1)


class Page:
    """Chromium with the dashboard open."""

    def __init__(self, driver):
        self.driver = driver
        self.expected = r"^$"  # what the console may complain of
        self.size(1280, 800)
        self.media("light")

    def open(self, cluster, token=False):
        self.driver.get("about:blank")
        self.driver.get(cluster.url + (f"#token={TOKEN}" if token else ""))
        self.until("window.mobyray && mobyray.api.state === 'live'", "the stream of events")

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})

    def media(self, scheme):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme},
                                                                                {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def __call__(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script, *arguments):
        """Of a promise."""
        return self.driver.execute_async_script(f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, e => done(String(e)));", *arguments)

    def until(self, expression, what):
        try:
            return waiting.until(lambda: self(f"return {expression}"), what, LIMIT_S)
        except AssertionError as late:
            raise AssertionError(f"{late}\nthe page: {self(STATE)}") from None

    def click(self, selector):
        from selenium.webdriver.common.by import By
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def text(self, selector):
        return self(f"return document.querySelector({selector!r})?.textContent ?? ''")

    def keys(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains
        ActionChains(self.driver).send_keys(*keys).perform()

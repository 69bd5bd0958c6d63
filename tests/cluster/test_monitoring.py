"""docker/prometheus and docker/grafana: by promtool, in Debian's Prometheus that scrapes a real coordinator, and in the Compose profile `monitoring`."""

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

import waiting
from containers import SHORT, run, unavailable
from faults import picture
from running import ROOT
from web import Web

PROMETHEUS = ROOT / "docker" / "prometheus"
DASHBOARD = ROOT / "docker" / "grafana" / "mobyray.json"


def promtool(*arguments):
    if not shutil.which("promtool"):
        unavailable("promtool is not here (Debian's prometheus)")
    return run("promtool", *arguments, cwd=PROMETHEUS)


def test_configuration_and_rules_are_good():
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "rules.yml", "alerts.yml")


def test_rules_do_what_their_tests_say(tmp_path):
    promtool("test", "rules", "tests.yml")
    for file in PROMETHEUS.glob("*.yml"):
        shutil.copy(file, tmp_path)
    alerts = tmp_path / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("> 0.1", "> 0.9"))
    spoiled = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert spoiled.returncode != 0 and "MobyrayWorkIsRedone" in spoiled.stdout + spoiled.stderr, "the unit tests do not notice another rule"


def test_every_alert_has_a_unit_test():
    alerts = {rule["alert"] for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]}
    tested = {case["alertname"] for test in yaml.safe_load((PROMETHEUS / "tests.yml").read_text())["tests"] for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert alerts == tested


def expressions():
    """Every query of rules, alerts and dashboard, with the name of its place."""
    for file in ("rules.yml", "alerts.yml"):
        for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("record", rule.get("alert")), rule["expr"]
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"].replace("$job", "mobyray")
    for note in board["annotations"]["list"]:
        yield f"annotation {note['name']}", note["expr"].replace("$job", "mobyray")


def test_the_dashboard_is_whole():
    board = json.loads(DASHBOARD.read_text())
    assert board["uid"] == "mobyray" and board["schemaVersion"] >= 36
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) >= 12
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "job"}
    (source,) = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/mobyray.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"{self.address}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def value(self, expression):
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def is_up(self):
        try:
            return self.value('up{job="mobyray"}') == 1
        except OSError:
            return False


def test_prometheus_scrapes_a_coordinator(mobyray, endpoint, scenes, tmp_path):
    """With our files, but for the target's address and the pace: every metric that a rule, an alert or a panel names is there, and every query is one."""
    if not shutil.which("prometheus"):
        unavailable("Prometheus is not here (Debian's prometheus)")
    coordinator = mobyray.start("coordinator", "--listen", endpoint, "--http", "127.0.0.1:0")
    web = Web.of(coordinator)
    for file in PROMETHEUS.glob("*.yml"):
        shutil.copy(file, tmp_path)
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("coordinator:8080", f"127.0.0.1:{web.port}").replace("interval: 5s", "interval: 1s").replace("scrape_timeout: 4s", "scrape_timeout: 1s"))
    port = free_port()
    mobyray.start_other("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}")
    prometheus = Prometheus(port)
    waiting.until(prometheus.is_up, "a first scrape")
    worker = mobyray.start("worker", "--coordinator", endpoint, "--threads", 1)
    mobyray("render", scenes / "cornell", *picture(3), "--cluster", endpoint, "-o", "out.png")
    waiting.until(lambda: (prometheus.value("mobyray:rays:rate1m") or 0) > 0, "a recorded rate")
    assert prometheus.value("mobyray:workers:present") == 1 and prometheus.value("mobyray_tiles_done_total") > 0
    worker.signal(15)
    worker.wait(0)

    served = set(re.findall(r"^# TYPE (\w+)", web.get("/metrics").decode(), re.M))
    served |= {name + end for name in served for end in ("_bucket", "_sum", "_count")} | {"up"}
    recorded = {name for name, _ in expressions() if name.startswith("mobyray:")}
    for place, expression in expressions():
        names = set(re.findall(r"\b(?:mobyray|process)_\w+|mobyray:[\w:]+", expression))
        assert names <= served | recorded, f"{place} asks for {names - served - recorded}, which is not served"
        prometheus.query(expression)
    groups = prometheus.ask("rules")["groups"]
    assert len(groups) == 2 and all(rule["health"] == "ok" for group in groups for rule in group["rules"]), groups
    firing = [alert for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"]
    assert not firing


@pytest.fixture(scope="module")
def prometheus_image(base_image, tmp_path_factory):
    """Debian's program in an image of its own: none can be pulled here."""
    if not shutil.which("prometheus"):
        unavailable("Prometheus is not here (Debian's prometheus)")
    name, context = f"mobyraytest-prometheus-{os.getpid()}", tmp_path_factory.mktemp("prometheus")
    shutil.copy(shutil.which("prometheus"), context / "prometheus")
    (context / "Dockerfile").write_text(f"FROM {base_image}\nCOPY prometheus /bin/prometheus\nRUN mkdir -p /prometheus && chown 65534:65534 /prometheus\n"
                                        'USER 65534\nENTRYPOINT ["/bin/prometheus"]\n')
    run("docker", "build", "-q", "-t", name, context)
    yield name
    run("docker", "rmi", "-f", name)


def test_the_docker_compose_profile_brings_prometheus_along(project, prometheus_image):
    port = free_port()
    variables = {**SHORT, "PROMETHEUS_IMAGE": prometheus_image, "PROMETHEUS_PORT": str(port), "MOBYRAY_HTTP_PORT": "0"}
    project("--profile", "monitoring", "up", "-d", "--scale", "worker=1", variables=variables)
    prometheus = Prometheus(port)
    waiting.until(prometheus.is_up, "Prometheus in a container, scraping the coordinator")
    waiting.until(lambda: (prometheus.value("sum(mobyray_workers)") or 0) == 1, "the worker in its figures")
    project("--profile", "monitoring", "down", "--volumes", "--timeout", "5", variables=variables)

"""docker/kubernetes: against the schemas of Kubernetes (kubernetes-validate from PyPI) and of KEDA (cloudcoil-models-keda), rendered by kustomize where kubectl is, held to the
restricted Pod Security standard, and to what mobyray has: options, paths, fields. No cluster is run here: docs/DEPLOY.md says so."""

import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
import yaml

import waiting
from pypi import checked, installed
from running import ROOT, Runner
from web import Web

FOLDER = ROOT / "docker" / "kubernetes"
VERSIONS = ("1.25", "1.37")  # of the schemas: the oldest and the newest that there are
VALIDATE = "kubernetes-validate==1.37.0"
KEDA_MODELS = "cloudcoil-models-keda==2.16.1.0"  # made from KEDA's own definitions (CRDs)
OVERLAYS = ("keda", "keda-prometheus", "hpa")
# To KEDA's definitions a scaler's metadata are any texts. Fields as documented at keda.sh: its scalers metrics-api and prometheus (2.14).
SCALERS = {"metrics-api": ({"url", "valueLocation", "targetValue"}, {"activationTargetValue", "format", "unsafeSsl", "authMode"}),
           "prometheus": ({"serverAddress", "query", "threshold"}, {"activationThreshold", "namespace", "ignoreNullValues", "unsafeSsl", "authModes"})}


def documents(path):
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def sources():
    """Every manifest as it is written: {file: [objects]}, without kustomize's own files and Helm's values."""
    return {path: documents(path) for path in sorted(FOLDER.rglob("*.yaml")) if path.name not in ("kustomization.yaml", "prometheus-adapter.yaml")}


def rendered(overlay):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not here: the files are checked as they are written")
    done = subprocess.run(["kubectl", "kustomize", FOLDER / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


CHECKER = """import json, sys, kubernetes_validate
for found, version in [(found, version) for found in json.load(sys.stdin) for version in sys.argv[1:]]:
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        sys.exit(f"{found['kind']} {found['metadata']['name']} in {version}: {'.'.join(map(str, error.path))}: {error.message}")
"""
# The models leave out what they do not know: so what comes back is what went in only where all of it is known.
KEDA_CHECKER = """import json, sys
from cloudcoil.models.keda.v1alpha1 import ScaledObject
found = json.load(sys.stdin)
known = ScaledObject.model_validate(found).model_dump(mode="json", by_alias=True, exclude_unset=True)
if known["spec"] != found["spec"]:
    sys.exit(f"not all of it is known: {known['spec']}")
"""


@pytest.fixture(scope="module")
def validate():
    """Holds objects to the schemas."""
    home = installed(VALIDATE, "kubernetes_validate")

    def look(objects):
        done = checked(home, ("-c", CHECKER, *VERSIONS), known_to_kubernetes(objects))
        assert done.returncode == 0, done.stderr[-1500:]
    return look


def known_to_kubernetes(objects):
    return [found for found in objects if not found["apiVersion"].startswith("keda.sh/")]


def test_every_file_is_valid(validate):
    objects = [found for found_in in sources().values() for found in found_in]
    assert len(known_to_kubernetes(objects)) >= 14
    validate(objects)


@pytest.mark.parametrize("spoil", (
    lambda worker: worker["spec"]["template"]["spec"]["containers"][0].update(readinessProb={}),
    lambda worker: worker["spec"]["template"]["spec"].update(terminationGracePeriodSeconds="30 s"),
    lambda worker: worker["spec"].pop("selector"),
))
def test_the_check_can_fail(validate, spoil):
    (worker,) = documents(FOLDER / "base" / "worker.yaml")
    spoil(worker)
    with pytest.raises(AssertionError, match="Deployment mobyray-worker"):
        validate([worker])


@pytest.mark.parametrize("overlay", ("base", *(f"overlays/{name}" for name in OVERLAYS)))
def test_what_kustomize_renders_is_valid(validate, overlay):
    objects = rendered(overlay)
    validate(objects)
    for found in objects:
        assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "mobyray"
    (worker,) = [found for found in objects if found["kind"] == "Deployment" and found["metadata"]["name"] == "mobyray-worker"]
    assert ("replicas" in worker["spec"]) == (overlay == "base"), "who scales owns the number"
    scalers = [found for found in objects if found["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")]
    assert len(scalers) == (overlay != "base")
    check(objects)


# ---- what the schemas do not say ----

def pods(objects):
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            yield found["metadata"]["name"], found["spec"]["template"]


def check_restricted(name, spec):
    """Pod Security Standards, "restricted": kubernetes.io/docs/concepts/security/pod-security-standards."""
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0 and pod["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"), name
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
    assert all(set(volume) - {"name"} <= {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret", "csi", "ephemeral"} for volume in spec["volumes"]), name
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        mine = container["securityContext"]
        assert mine["allowPrivilegeEscalation"] is False and mine["capabilities"] == {"drop": ["ALL"]} and not mine.get("privileged"), name
        assert mine["readOnlyRootFilesystem"] is True, name
        assert not any("hostPort" in port for port in container.get("ports", [])), name


def matches(selector, labels):
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def check(objects):
    """Everything that refers to something else in these files refers to what is there."""
    templates = dict(pods(objects))
    names = {(found["kind"], found["metadata"]["name"]) for found in objects}
    for name, template in templates.items():
        check_restricted(name, template["spec"])
        for container in template["spec"]["containers"]:
            volumes = {volume["name"] for volume in template["spec"]["volumes"]}
            claims = {"out"} if name == "mobyray-coordinator" else set()
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claims
    for found in objects:
        spec = found.get("spec", {})
        if found["kind"] in ("Deployment", "StatefulSet"):
            assert matches(spec["selector"], spec["template"]["metadata"]["labels"])
        if found["kind"] == "PodDisruptionBudget":
            assert any(matches(spec["selector"], template["metadata"]["labels"]) for template in templates.values())
        if found["kind"] == "NetworkPolicy" and spec["podSelector"]:
            assert any(matches(spec["podSelector"], template["metadata"]["labels"]) for template in templates.values()), found["metadata"]["name"]
        if found["kind"] == "Service":
            (owner,) = [template for template in templates.values() if set(spec["selector"].items()) <= set(template["metadata"]["labels"].items())]
            ports = {port["name"] for container in owner["spec"]["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= ports
        if found["kind"] in ("ScaledObject", "HorizontalPodAutoscaler"):
            assert ("Deployment", spec["scaleTargetRef"]["name"]) in names


def test_what_is_written_fits_together():
    objects = [found for found_in in sources().values() for found in found_in]
    scalers = [found for found in objects if found["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")]
    assert len(scalers) == len(OVERLAYS)
    check(objects)
    (namespace,) = [found for found in objects if found["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_containers_run_what_mobyray_has():
    """Arguments, environment and probes are the program's own."""
    for name, template in pods(documents(FOLDER / "base" / "worker.yaml") + documents(FOLDER / "base" / "coordinator.yaml")):
        (container,) = template["spec"]["containers"]
        command, *words = container["args"]
        text = Runner(ROOT)("help", command).stdout
        for word in words:
            assert not word.startswith("--") or f" {word} " in text, (name, word)
        for variable in container["env"]:
            option = "--" + variable["name"].removeprefix("MOBYRAY_").lower().replace("_", "-")
            assert f" {option} " in text, (name, variable)
        for probe in (container.get("readinessProbe", {}), container.get("livenessProbe", {})):
            if "exec" in probe:
                assert probe["exec"]["command"][:2] == ["mobyray", "ping"] and "--timeout" in Runner(ROOT)("help", "ping").stdout
                assert int(probe["exec"]["command"][3]) < probe["timeoutSeconds"], "it would be cut off before it can say no"
        assert template["spec"]["terminationGracePeriodSeconds"] > drain_s() + 2


def drain_s():
    limits = (ROOT / "worker" / "limits.h").read_text()
    return sum(int(re.search(rf"{name} = (\d+)", limits)[1]) for name in ("WK_DRAIN_MS", "WK_LINGER_MS")) / 1000


@pytest.mark.parametrize("spoil", (None, lambda spec: spec.update(pollingIntervall=5), lambda spec: spec["triggers"][0].update(metricTyp="Value"), lambda spec: spec.update(minReplicaCount="none"),
                                   lambda spec: spec.pop("scaleTargetRef")))
@pytest.mark.parametrize("overlay", ("keda", "keda-prometheus"))
def test_scaled_objects_are_what_keda_defines(overlay, spoil):
    (found,) = documents(FOLDER / "overlays" / overlay / "scaledobject.yaml")
    if spoil:
        spoil(found["spec"])
    done = checked(installed(KEDA_MODELS, "cloudcoil"), ("-c", KEDA_CHECKER), found)
    assert (done.returncode == 0) == (spoil is None), done.stderr[-1500:]


@pytest.mark.parametrize("overlay", ("keda", "keda-prometheus"))
def test_scaled_objects_have_documented_fields(overlay):
    (found,) = documents(FOLDER / "overlays" / overlay / "scaledobject.yaml")
    assert (found["apiVersion"], found["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    spec = found["spec"]
    assert spec["minReplicaCount"] == 0
    (trigger,) = spec["triggers"]
    required, optional = SCALERS[trigger["type"]]
    assert required <= set(trigger["metadata"]) <= required | optional
    assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA's metadata are texts"
    if "advanced" in spec:
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        (hpa,) = documents(FOLDER / "overlays" / "hpa" / "hpa.yaml")
        assert behavior == hpa["spec"]["behavior"], "the plain autoscaler's is held to the schema"


def test_what_the_scalers_ask_for_is_there(mobyray, endpoint):
    """The field and the metric, of a running coordinator, asked under the Service's name."""
    coordinator = mobyray.start("coordinator", "--listen", endpoint, "--http", "127.0.0.1:0")
    web = Web.of(coordinator)
    (keda,) = documents(FOLDER / "overlays" / "keda" / "scaledobject.yaml")
    (prometheus,) = documents(FOLDER / "overlays" / "keda-prometheus" / "scaledobject.yaml")
    metadata = keda["spec"]["triggers"][0]["metadata"]
    host, path = re.fullmatch(r"http://([^/]+)(/.*)", metadata["url"]).groups()
    status, _, body = web.request("GET", path, headers={"Host": host})
    assert status == 200 and metadata["valueLocation"] in json.loads(body)
    metric = re.fullmatch(r"max\((\w+)\)", prometheus["spec"]["triggers"][0]["metadata"]["query"])[1]
    waiting.until(lambda: re.search(rf"^{metric} \d+$", web.get("/metrics").decode(), re.M), metric)
    (hpa,) = documents(FOLDER / "overlays" / "hpa" / "hpa.yaml")
    (rule,) = yaml.safe_load((FOLDER / "overlays" / "hpa" / "prometheus-adapter.yaml").read_text())["rules"]["external"]
    assert rule["seriesQuery"] == rule["name"]["as"] == hpa["spec"]["metrics"][0]["external"]["metric"]["name"] == metric
    for probe in ("/healthz", "/readyz"):
        web.get(probe)


# ---- who goes first ----

class FakeKubernetes(http.server.BaseHTTPRequestHandler):
    def do_PATCH(self):
        length = int(self.headers["Content-Length"])
        self.server.patches.append((self.path, self.headers["Authorization"], self.headers["Content-Type"], json.loads(self.rfile.read(length))))
        self.send_response(404 if "nobody" in self.path else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def fake_kubernetes():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeKubernetes)
    server.patches = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_busy_pods_cost_more_than_idle_ones(mobyray, endpoint, scenes, tmp_path):
    """The component's script between a real coordinator and a stand-in for the API of Kubernetes."""
    coordinator = mobyray.start("coordinator", "--listen", endpoint, "--http", "127.0.0.1:0")
    web = Web.of(coordinator)
    (tmp_path / "token").write_text("secret\n")
    mobyray.start("worker", "--coordinator", endpoint, "--threads", 1)
    waiting.log_has(coordinator, "joined")
    with fake_kubernetes() as server:
        environment = {**os.environ, "COORDINATOR": f"http://127.0.0.1:{web.port}", "NAMESPACE": "mobyray", "KUBERNETES_API": f"http://127.0.0.1:{server.server_port}",
                       "SERVICE_ACCOUNT": str(tmp_path), "ROUNDS": "1000"}
        script = subprocess.Popen([sys.executable, "-I", "-B", FOLDER / "components" / "deletion-cost" / "deletion_cost.py"], env=environment)
        try:
            def costs():
                return [int(body["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"]) for _, _, _, body in server.patches]
            waiting.until(lambda: costs() == [0], "the idle worker's cost")
            path, authorization, kind, _ = server.patches[0]
            (worker,) = web.json("/api/v1/workers")
            assert path == f"/api/v1/namespaces/mobyray/pods/{worker['host']}" and authorization == "Bearer secret" and kind == "application/merge-patch+json"
            mobyray("submit", scenes / "cornell", "--size", "512x512", "--spp", 4096, "--cluster", endpoint)
            waiting.until(lambda: costs()[-1] > 0, "the busy worker's cost")
            mobyray("cancel", 1, "--cluster", endpoint)
            waiting.until(lambda: costs()[-1] == 0, "the idle worker's cost again")
            assert len(costs()) <= 12, "every round is written down, not only changes"
            assert script.poll() is None
        finally:
            script.kill()
            script.wait()

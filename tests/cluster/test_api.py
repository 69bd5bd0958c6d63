"""The coordinator over HTTP (docs/API.md): what it answers is what coordinator/openapi.json says, pictures are right to the byte, and nobody can do harm."""

import contextlib
import http.client
import json
import math
import os
import re
import signal
import socket
import struct

import jsonschema
import pytest

import waiting
from running import ROOT
from web import TOKEN, Web, starts_with_token

SMALL = ("--size", "96x64", "--spp", "16")
LONG = ("--size", "512x512", "--spp", "4096")
TRIANGLE = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
PLY = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\nproperty list uchar int vertex_indices\n" \
      b"end_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
API = json.loads((ROOT / "coordinator" / "openapi.json").read_text())


@pytest.fixture
def start(cluster, mobyray, scenes):
    """Starts a coordinator that serves HTTP on a free port."""
    def begin(*arguments):
        watched = cluster.coordinator(*starts_with_token(mobyray, "--scenes", scenes, *arguments))
        web = Web.of(watched)
        web.watched = watched
        return web
    return begin


def submit(web, query="", body=PLY, headers=None):
    status, answered, text = web.request("POST", f"/api/v1/jobs?{query}", body, headers=headers)
    assert status == 202, text
    number = json.loads(text)["id"]
    assert answered["Location"] == f"/api/v1/jobs/{number}"
    return number


def submit_scene(web, scene, **options):
    return submit(web, body=json.dumps({"scene": scene, **options}), headers={"Content-Type": "application/json"})


# ---- held to its description ----

def resolve(schema):
    return {**schema, "components": API["components"]} if isinstance(schema, dict) else schema


def check(schema, value):
    jsonschema.Draft202012Validator(resolve(schema)).validate(value)


def operations():
    return [(path, method, operation) for path, item in API["paths"].items() for method, operation in item.items() if method != "parameters"]


def test_everything_answers_as_described(start, cluster):
    web = start()
    cluster.worker()
    done = submit_scene(web, "cornell", width=64, height=48, spp=4, name="a small one")
    web.wait_for_job(done)
    running = submit_scene(web, "cornell", width=512, height=512, spp=4096)
    waiting.until(lambda: web.job(running)["tiles_done"], "tiles of the second job")
    assert web.job(done)["has_image"]
    for path, method, operation in operations():
        if method != "get" or path == "/api/v1/events":
            continue
        status, headers, body = web.request("GET", path.replace("{id}", str(done)))
        said = operation["responses"][str(status)]["content"]
        kind = headers["Content-Type"].split(";")[0]
        assert status == 200 and kind in said, f"{path}: {status} {headers['Content-Type']}"
        if kind == "application/json":
            check(said[kind]["schema"], json.loads(body))
        assert len(web.request("HEAD", path.replace("{id}", str(done)))[2]) == 0
        if "{id}" in path:
            check(API["components"]["schemas"]["Error"], web.json(path.replace("{id}", "99"), 404))
    assert web.json("/openapi.json") == API
    assert {job["id"]: job["name"] for job in web.json("/api/v1/jobs")} == {done: "a small one", running: "cornell"}
    flying = waiting.until(lambda: web.json(f"/api/v1/jobs/{running}/in_flight"), "work in hand")
    check({"type": "array", "items": {"$ref": "#/components/schemas/InFlight"}}, flying)
    assert web.request("DELETE", f"/api/v1/jobs/{running}")[0] == 200
    described = {path for path, *_ in operations()}
    words = (ROOT / "docs" / "API.md").read_text()
    assert all(path.rpartition("/")[2].removeprefix("image") in words for path in described), "docs/API.md names every path"


def test_events_are_as_described(start, cluster):
    web = start()
    events = web.events()
    worker = cluster.worker()
    job = submit_scene(web, "cornell", width=64, height=48, spp=4)
    events.wait_for("job", lambda data: data["id"] == job and data["state"] == "done")
    worker.signal(signal.SIGKILL)
    events.wait_for("workers", lambda data: any(one["state"] == "lost" for one in data))
    events.wait_for("cluster", lambda data: data["workers"] == 0 and data["tiles_done"] > 0)
    events.wait_for("log", lambda data: "is lost" in data["text"] and data["level"] == "warning")
    forms = {"hello": "Hello", "cluster": "Cluster", "job": "Job", "tiles": "Tiles", "log": "Line"}
    for _, name, data in events.seen:
        if name == "workers":
            for one in data:
                check({"$ref": f"#/components/schemas/{'Worker' if 'name' in one else 'WorkerFigures'}"}, one)
        else:
            check({"$ref": f"#/components/schemas/{forms[name]}"}, data)
    changed = [rectangle for data in events.of("tiles") for rectangle in data["changed"]]
    assert {(x, y) for x0, y0, w, h in changed for x in range(x0, x0 + w) for y in range(y0, y0 + h)} == {(x, y) for x in range(64) for y in range(48)}
    ended = sum(len(data["ended"]) for data in events.of("tiles"))
    assert ended <= sum(len(data["assigned"]) for data in events.of("tiles"))
    events.close()


# ---- pictures ----

@pytest.mark.parametrize("format", ("png", "exr", "hdr", "pfm"))
def test_a_finished_picture_is_the_same_to_the_byte(start, cluster, mobyray, scenes, format):
    web = start()
    cluster.worker()
    mobyray("render", scenes / "cornell", *SMALL, "--workers", 0, "-o", f"alone.{format}", "--quiet")
    job = submit_scene(web, "cornell", width=96, height=64, spp=16)
    web.wait_for_job(job)
    assert web.get(f"/api/v1/jobs/{job}/image.{format}") == (mobyray.folder / f"alone.{format}").read_bytes()


def rgbe(quad):
    return [mantissa / 256 * 2.0 ** (quad[3] - 128) for mantissa in quad[:3]]


def pfm(data):
    head, size, scale, pixels = data.split(b"\n", 3)
    width, height = map(int, size.split())
    assert head == b"PF" and float(scale) < 0
    values = struct.unpack(f"<{3 * width * height}f", pixels)
    rows = [values[3 * width * y:3 * width * (y + 1)] for y in range(height)][::-1]
    return [[row[3 * x:3 * x + 3] for x in range(width)] for row in rows]


def test_half_done_pictures_and_pixels(start, cluster):
    web = start()
    job = submit_scene(web, "cornell", width=96, height=64, spp=1024)
    assert web.get(f"/api/v1/jobs/{job}/pixels") == bytes(4 * 96 * 64), "nothing is known yet"
    black = web.get(f"/api/v1/jobs/{job}/image.png")
    worker = cluster.worker()
    waiting.until(lambda: web.job(job)["tiles_done"], "the first tile")
    half = waiting.until(lambda: (now := web.get(f"/api/v1/jobs/{job}/image.png")) != black and now, "something to be seen")
    worker.signal(signal.SIGSTOP)  # so that the picture stands still
    waiting.log_has(web.watched, "is lost|is silent")
    state = web.job(job)
    assert state["state"] == "running" and 0 < state["done"] < 1 and half[:8] == b"\x89PNG\r\n\x1a\n"
    exact = pfm(web.get(f"/api/v1/jobs/{job}/image.pfm"))
    coarse = web.get(f"/api/v1/jobs/{job}/pixels?x=7&y=5&width=40&height=30")
    assert len(coarse) == 4 * 40 * 30
    for i in range(0, len(coarse), 4):
        x, y = 7 + i // 4 % 40, 5 + i // 4 // 40
        near = exact[y][x]
        assert all(abs(a - b) <= max(near) / 128 for a, b in zip(rgbe(coarse[i:i + 4]), near)), f"pixel {x},{y}"
    blocks = web.get(f"/api/v1/jobs/{job}/pixels?step=10")
    assert len(blocks) == 4 * 10 * 7
    assert any(blocks[i + 3] > 1 for i in range(0, len(blocks), 4))
    assert web.get(f"/api/v1/jobs/{job}/image.png?exposure=2") != web.get(f"/api/v1/jobs/{job}/image.png")
    worker.signal(signal.SIGCONT)


def test_means_of_blocks(start, cluster):
    web = start()
    cluster.worker()
    job = submit_scene(web, "cornell", width=30, height=20, spp=4)
    web.wait_for_job(job)
    exact = pfm(web.get(f"/api/v1/jobs/{job}/image.pfm"))
    blocks = web.get(f"/api/v1/jobs/{job}/pixels?x=2&y=1&width=25&height=17&step=8")
    assert len(blocks) == 4 * 4 * 3
    for i in range(12):
        columns, rows = range(2 + i % 4 * 8, min(2 + i % 4 * 8 + 8, 27)), range(1 + i // 4 * 8, min(1 + i // 4 * 8 + 8, 18))
        mean = [sum(exact[y][x][k] for y in rows for x in columns) / (len(rows) * len(columns)) for k in range(3)]
        assert all(abs(a - b) <= max(mean) / 100 for a, b in zip(rgbe(blocks[4 * i:4 * i + 4]), mean)), f"block {i}"


# ---- jobs ----

def test_a_model_that_is_sent_is_rendered(start, cluster, mobyray, reference):
    web = start("--pictures", "pictures")
    cluster.worker()
    (mobyray.folder / "three.obj").write_bytes(TRIANGLE)
    job = submit(web, "name=three.obj&width=64&height=48&spp=4&seed=3&priority=9", TRIANGLE)
    ended = web.wait_for_job(job)
    wanted = reference(mobyray.folder / "three.obj", "--size", "64x48", "--spp", "4", "--seed", "3")
    assert ended["name"] == "three" and ended["scene"] == "three.obj" and ended["priority"] == 9 and ended["seed"] == 3
    assert web.get(f"/api/v1/jobs/{job}/image.png") == wanted
    text = waiting.until(lambda: web.job(job)["text"], "the picture's file")
    assert (mobyray.folder / text).read_bytes() == wanted, "it lies in --pictures, as those of mobyray submit do"


def test_a_pack_that_is_sent_is_rendered(start, cluster, mobyray, scenes, reference):
    web = start()
    cluster.worker()
    mobyray("scene", "pack", scenes / "cornell", "-o", "cornell.pack")
    first, second = (submit(web, "width=96&height=64&spp=16", (mobyray.folder / "cornell.pack").read_bytes()) for _ in range(2))
    for job in (first, second):
        web.wait_for_job(job)
        assert web.get(f"/api/v1/jobs/{job}/image.png") == reference(scenes / "cornell", *SMALL)


def test_a_job_that_was_sent_outlives_the_coordinator(start, cluster, scenes, reference):
    web = start("--state", "state", "--pictures", "pictures")
    job = submit_scene(web, "cornell", width=96, height=64, spp=96)
    cluster.worker()
    waiting.until(lambda: web.job(job)["tiles_done"], "a tile on disk")
    web.watched.signal(signal.SIGKILL)
    web.watched.process.wait()
    web = start("--state", "state", "--pictures", "pictures")
    assert web.job(job)["tiles_done"] > 0, "what was in is in"
    web.wait_for_job(job)
    assert web.get(f"/api/v1/jobs/{job}/image.png") == reference(scenes / "cornell", "--size", "96x64", "--spp", 96)


SECRET = b"the coordinator's own secret: 0123456789abcdef"


@pytest.mark.parametrize("name, model", (
    ("a.gltf", '{"asset":{"version":"2.0"},"buffers":[{"uri":"%s","byteLength":46}],"bufferViews":[{"buffer":0,"byteLength":36}],"accessors":[{"bufferView":0,'
               '"componentType":5126,"count":3,"type":"VEC3"}],"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],"nodes":[{"mesh":0}],"scenes":[{"nodes":[0]}]}'),
    ("a.obj", "mtllib %s.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"),
))
def test_what_is_sent_reads_no_file_of_ours(start, mobyray, name, model):
    secret = mobyray.folder / "secret"
    secret.write_bytes(SECRET)
    (mobyray.folder / "secret.mtl").write_text(f"newmtl a\nmap_Kd {secret}\n")
    text = model % secret
    (mobyray.folder / name).write_text(text)
    assert str(secret) in mobyray("scene", "check", name, code=3).stderr or name == "a.gltf", "given by hand, it is looked at"
    web = start()
    status, _, answer = web.request("POST", f"/api/v1/jobs?name={name}", text.encode())
    if name == "a.obj":  # a model without its materials is a model
        assert status == 202 and web.json("/api/v1/jobs")[0]["name"] == "a"
    else:
        assert status == 422 and b"/secret" not in answer.replace(str(secret).encode(), b""), answer


def test_cancel(start):
    web = start()
    job = submit_scene(web, "spheres", width=512, height=512, spp=4096)
    status, _, body = web.request("DELETE", f"/api/v1/jobs/{job}")
    assert status == 200 and json.loads(body) == {"id": job, "state": "cancelled"}
    assert web.wait_for_job(job, "cancelled")["eta_s"] is None
    assert web.request("DELETE", f"/api/v1/jobs/{job}")[0] == 409, "ended, but known: the job's owner may have forgotten it a moment ago"
    assert web.request("DELETE", "/api/v1/jobs/99")[0] == 404


def test_a_worker_is_sent_home_when_it_is_done_with_what_it_has(start, cluster, scenes, reference, mobyray):
    web = start(scenes / "cornell", *SMALL, "--spp", 96, "-o", "out.png")
    leaving, staying = cluster.worker(), cluster.worker()
    waiting.until(lambda: len(web.json("/api/v1/workers")) == 2, "two workers")
    waiting.until(lambda: web.json("/api/v1/cluster")["tiles_done"], "tiles")
    named = re.search(r"worker (\d+) \(([^)]*)-%d on" % leaving.pid, web.watched.log()) or re.search(r"worker (\d+) \(\S*%d" % leaving.pid, web.watched.log())
    status, _, body = web.request("PUT", f"/api/v1/workers/{named[1]}/drain")
    assert status == 202, body
    leaving.wait(0)
    gone = next(one for one in web.json("/api/v1/workers") if one["id"] == int(named[1]))
    assert gone["state"] == "left" and gone["left_at"] >= gone["joined_at"] and gone["redone"] == 0 and gone["in_hand"] == 0
    assert staying.process.poll() is None
    assert web.request("PUT", "/api/v1/workers/77/drain")[0] == 404
    web.wait_for_job(1)
    waiting.until(lambda: (mobyray.folder / "out.png").exists(), "the picture")
    assert web.get("/api/v1/jobs/1/image.png") == reference(scenes / "cornell", *SMALL, "--spp", 96)


# ---- streams ----

def test_events_go_on_where_they_ended(start, cluster, mobyray):
    web = start()
    events = web.events()
    cluster.worker()
    events.wait_for("workers", lambda data: any("name" in one for one in data))
    events.close()
    last = [name for name, *_ in events.seen if name][-1]
    stream, number = last.split("-")
    submit_scene(web, "cornell", width=64, height=48, spp=4)
    again = web.events(last)
    again.wait_for("job", lambda data: data["state"] == "done")
    assert again.seen[0][1] == "hello" and again.seen[0][2]["resumed"] is True
    ids = [int(name.split("-")[1]) for name, *_ in again.seen if name]
    assert ids == list(range(int(number) + 1, int(number) + 1 + len(ids))), "no event is missed or told twice"
    assert not any("worker 1" in line["text"] and "joined" in line["text"] for line in again.of("log")), "what was told is not told again"
    for stranger in (f"{stream}-999999", "00000000-1", "nonsense", f"{stream}-1x"):
        fresh = web.events(stranger)
        hello = fresh.wait_for("hello")
        assert hello["resumed"] is False and fresh.wait_for("workers")[0]["name"]
        fresh.close()
    again.close()


def test_who_does_not_read_slows_nobody(start, cluster, scenes, reference):
    web = start()
    slow = []
    for _ in range(8):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        one.connect((web.host, web.port))
        one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow.append(one)
    for _ in range(8):  # a large answer that nobody takes
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        one.connect((web.host, web.port))
        one.sendall(b"GET /main.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        slow.append(one)
    events = web.events()
    cluster.worker()
    job = submit_scene(web, "cornell", width=96, height=64, spp=16)
    events.wait_for("job", lambda data: data["id"] == job and data["state"] == "done")
    assert web.get(f"/api/v1/jobs/{job}/image.png") == reference(scenes / "cornell", *SMALL)
    events.close()
    for one in slow:
        one.close()


# ---- who may do what ----

def test_changes_need_the_token(start):
    web = start()
    body = json.dumps({"scene": "cornell"})
    for method, path in (("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/jobs/1"), ("PUT", "/api/v1/workers/1/drain")):
        for token in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x" * 300):
            status, headers, _ = web.request(method, path, body if method == "POST" else None, token=token, headers={"Content-Type": "application/json"})
            assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer"), f"{method} {token}"
        assert web.request(method, path, token="", headers={"Authorization": f"Basic {TOKEN}"})[0] == 401
    assert web.json("/api/v1/jobs") == []
    answers = [web.request("DELETE", "/api/v1/jobs/1", token="wrong-wrong-wrong-1")[0] for _ in range(80)]
    assert answers[0] == 401 and answers[-1] == 429, "who guesses is stopped"
    assert web.get("/healthz")


def test_who_asks_too_often_is_told_so(start):
    web = start()
    connection = http.client.HTTPConnection(web.host, web.port, timeout=60)
    with contextlib.closing(connection):
        for asked in range(5000):  # 600 at once, 200 a second: over one connection, each answer is read
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                break
    assert answer.status == 429 and answer.headers["Retry-After"] == "1" and asked >= 600


def test_a_token_is_made_when_none_is_given(cluster):
    first = Web.of(cluster.coordinator("--http", "127.0.0.1:0"))
    assert len(first.token) == 32 and first.token != TOKEN
    assert first.request("DELETE", "/api/v1/jobs/1")[0] == 404 and first.request("DELETE", "/api/v1/jobs/1", token=TOKEN)[0] == 401
    assert not any(first.token in line["text"] for line in first.json("/api/v1/log")), "who may only read does not learn it"


@pytest.mark.parametrize("host, good", (
    ("localhost:1", True), ("127.0.0.1", True), ("[::1]:8080", True), ("coordinator:8080", True), ("mine.example.org:80", True), ("x.internal", True),
    ("evil.example", False), ("evil.example:8080", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False), ("a b", False),
    ("[::1", False), ("local", True), (".local", False), ("x.local:y", False),
))
def test_only_our_own_names(start_once, host, good):
    status, headers, _ = start_once.request("GET", "/healthz", headers={"Host": host})
    assert (status == 200) == good and status in ((200,) if good else (400, 421)), status
    assert "Access-Control-Allow-Origin" not in headers


@pytest.fixture(scope="module")
def start_once(tmp_path_factory):
    """One coordinator for requests that change nothing."""
    from running import Runner
    runner = Runner(tmp_path_factory.mktemp("web"))
    watched = runner.start("coordinator", "--listen", "tcp://127.0.0.1:*", *starts_with_token(runner, "--scenes", ROOT / "scenes", "--http-names", "other.example,mine.example.org"))
    yield Web.of(watched)
    watched.end()


BAD = (
    ("GET", "/nothing", 404), ("GET", "/api/v1", 404), ("GET", "/api/v1/jobs/", 404), ("GET", "/api/v1/jobs/x", 404), ("GET", "/api/v1/jobs/01", 404),
    ("GET", "/api/v1/jobs/1", 404), ("GET", "/api/v1/jobs/9007199254740992", 404), ("GET", "/api/v1/jobs/99999999999999999999999", 404), ("GET", "/api/v1/jobs/-1", 404),
    ("GET", "/api/v1/jobs/1/image.jpg", 404), ("GET", "/api/v1/jobs/1/image.png", 404), ("GET", "/../etc/passwd", 404), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
    ("GET", "/%", 400), ("GET", "/%0a", 400), ("GET", "/%zz", 400), ("GET", "/" + "a" * 300, 404), ("GET", "/" + "a" * 4000, 414),
    ("POST", "/", 405), ("POST", "/healthz", 405), ("PATCH", "/api/v1/jobs", 405), ("DELETE", "/api/v1/jobs", 405), ("PUT", "/api/v1/jobs/1", 405), ("GET", "/api/v1/workers/1/drain", 405),
    ("GET", "/api/v1/log?after=x", 400), ("GET", "/api/v1/log?after=-1", 400), ("GET", "/api/v1/log?after=1&after=2", 400), ("GET", "/api/v1/log?before=1", 400), ("GET", "/api/v1/log?%zz=1", 400),
    ("GET", "/api/v1/jobs?width=5", 400), ("GET", "/api/v1/jobs/1/pixels?step=0", 400), ("GET", "/api/v1/jobs/1/pixels?step=65", 400), ("GET", "/api/v1/jobs/1/pixels?x=32768", 400),
    ("GET", "/api/v1/jobs/1/image.png?exposure=nan", 400), ("GET", "/api/v1/jobs/1/image.png?exposure=1e9", 400), ("GET", "/api/v1/jobs/1/image.png?exposure=0x1", 400),
    ("GET", "/api/v1/jobs/1/image.png?exposure=", 400), ("GET", "/api/v1/jobs/1/image.png?exposure", 400),
    ("POST", "/api/v1/jobs?width=0", 400), ("POST", "/api/v1/jobs?spp=1.5", 400), ("POST", "/api/v1/jobs?priority=10", 400), ("POST", "/api/v1/jobs?name=" + "x" * 64, 400),
    ("POST", "/api/v1/jobs?name=a%00b", 400), ("POST", "/api/v1/jobs", 400),
)


@pytest.mark.parametrize("method, path, code", BAD)
def test_bad_requests(start_once, method, path, code):
    status, headers, body = start_once.request(method, path)
    assert status == code, body
    assert len(json.loads(body)["error"]) > 10
    if code == 405:
        assert method not in headers["Allow"]


@pytest.mark.parametrize("kind, body, code, word", (
    ("application/json", b"", 400, "empty"), ("application/json", b"[]", 400, "JSON object"), ("application/json", b"{", 400, "JSON object"), ("application/json", b"{} {}", 400, "JSON object"),
    ("application/json", b"{}", 400, "scene: missing"), ("application/json", b'{"scene": 5}', 400, "scene"), ("application/json", b'{"scene": "nowhere"}', 400, "nowhere"),
    ("application/json", b'{"scene": "../scenes/cornell"}', 400, "expected one of"), ("application/json", b'{"scene": "."}', 400, "expected one of"),
    ("application/json", b'{"scene": "cornell", "spp": "4"}', 400, "spp"), ("application/json", b'{"scene": "cornell", "spp": -1}', 400, "spp"),
    ("application/json", b'{"scene": "cornell", "spp": 1e300}', 400, "spp"), ("application/json", b'{"scene": "cornell", "colour": 1}', 400, "colour"),
    ("application/json", b'{"scene": "cornell", "width": 1, "width": 2}', 400, "twice"), ("application/json", b'{"scene": "cornell", "x": 1}', 400, "x:"),
    ("application/json", b" " * 20000, 413, "too large"), ("application/json", b"[" * 16000, 400, "JSON object"), ("text/plain", b"hello", 422, "expected"),
    ("application/octet-stream", b"MRAYPACK" + bytes(500), 422, "scene"), ("application/octet-stream", b'{"camera": {}}', 422, "expected"),
))
def test_bad_bodies(start_once, kind, body, code, word):
    status, _, answer = start_once.request("POST", "/api/v1/jobs", body, headers={"Content-Type": kind})
    assert status == code and word in json.loads(answer)["error"], answer
    assert "mobyray-" not in json.loads(answer)["error"], "our own file names are nobody's business"
    assert start_once.json("/api/v1/jobs") == []


def raw(web, data, more=b""):
    with socket.create_connection((web.host, web.port), timeout=60) as one:
        one.sendall(data)
        if more:
            one.sendall(more)
        one.shutdown(socket.SHUT_WR)
        answer = b""
        while part := one.recv(65536):
            answer += part
    return answer


def test_what_is_not_http_does_no_harm(start_once):
    web = start_once
    big = raw(web, b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 99999999999\r\n\r\n")
    assert b" 413 " in big.split(b"\r\n")[0]
    assert b" 431 " in raw(web, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40000 + b"\r\n\r\n").split(b"\r\n")[0]
    assert b" 4" in raw(web, b"GET /healthz HTTP/1.1\r\n\r\n").split(b"\r\n")[0], "no Host"
    for noise in (b"", b"\r\n\r\n", b"\x16\x03\x01\x00\xff" + os.urandom(200), b"GET", b"GET / HTTP/9.9\r\n\r\n", os.urandom(3000), b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        raw(web, noise)
    assert web.get("/healthz")


def test_too_many_streams(start):
    web = start()
    streams = []
    for _ in range(128):
        one = socket.create_connection((web.host, web.port), timeout=60)
        one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 200 " in one.recv(20)
        streams.append(one)
    assert web.request("GET", "/api/v1/events")[0] == 503
    for one in streams:
        one.close()
    waiting.until(lambda: web.request("GET", "/healthz")[0] == 200, "an answer")


def test_every_answer_has_its_headers(start_once):
    for path in ("/", "/main.js", "/api/v1/cluster", "/nothing", "/openapi.json"):
        _, headers, body = start_once.request("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == ("no-cache" if "ETag" in headers else "no-store")
        assert int(headers["Content-Length"]) == len(body)
    etag = start_once.request("GET", "/")[1]["ETag"]
    assert start_once.request("GET", "/", headers={"If-None-Match": etag})[::2] == (304, b"")


# ---- beginning and end ----

def test_an_address_that_is_taken(mobyray, endpoint, cluster):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        refused = mobyray("coordinator", "--listen", endpoint, "--http", taken, code=1)
        assert f"cannot serve HTTP on {taken}: the address is in use" in refused.stderr
    for bad in ("8080", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:x", "::1:80", ":80", "[::1:80"):
        assert "expected HOST:PORT" in mobyray("coordinator", "--listen", endpoint, "--http", bad, code=2).stderr
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", 8080))
            usual.listen()
        except OSError:
            pass  # somebody else's: as good
        waiting.log_has(cluster.coordinator(), "no page: 127.0.0.1:8080 is taken")


def test_off_and_bad_tokens(mobyray, endpoint, cluster):
    watched = cluster.coordinator("--http", "off")
    watched.signal(signal.SIGTERM)
    watched.wait(0)
    assert "page" not in watched.log()
    for text, word in (("short", "found 5 characters"), ("", "found nothing"), ("x" * 300, "expected 16..256")):
        (mobyray.folder / "token").write_text(text)
        assert word in mobyray("coordinator", "--listen", endpoint, "--http-token", "token", code=3).stderr
    assert "cannot be read" in mobyray("coordinator", "--listen", endpoint, "--http-token", "missing", code=3).stderr


def test_it_ends_although_browsers_are_there(start):
    web = start()
    events = web.events()
    events.wait_for("hello")
    web.watched.signal(signal.SIGTERM)
    web.watched.wait(0)
    events.close()


def test_render_can_be_watched(mobyray, scenes, reference):
    watched = mobyray.start("render", scenes / "cornell", *LONG, "--workers", 1, "-o", "out.png", "--http", "127.0.0.1:0")
    web = Web.of(watched)
    waiting.until(lambda: any(job["tiles_done"] for job in web.json("/api/v1/jobs")), "tiles")
    assert web.json("/api/v1/workers")[0]["state"] in ("idle", "busy")
    status, headers, _ = web.request("POST", "/api/v1/jobs", PLY)
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    watched.signal(signal.SIGINT)
    watched.wait(130)
    assert "--http is for an embedded cluster" in mobyray("render", scenes / "cornell", *SMALL, "--workers", 0, "--http", "127.0.0.1:0", code=2).stderr


def test_readiness(start, cluster):
    web = start()
    assert web.json("/readyz") == {"status": "ok"} and web.json("/healthz") == {"status": "ok"}
    web.watched.signal(signal.SIGSTOP)
    web.watched.signal(signal.SIGCONT)
    assert not math.isnan(web.json("/api/v1/cluster")["uptime_s"])

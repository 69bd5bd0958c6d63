"""A Docker engine of a few lines, on a Unix socket, and a coordinator's API of fewer: for what no real engine does when a test wants it to."""

import json
import re
import socketserver
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "test"

    def log_message(self, *arguments):
        pass

    def handle_any(self):
        if self.server.owner.closed:  # one that is gone does not go on with old connections either
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        self.server.owner.authorization = self.headers.get("Authorization")
        code, answer = self.server.owner.answer(self.command, url.path, query, json.loads(body) if body else None)
        data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if code != 204:
            self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PUT = handle_any


class Server:
    """Answers requests in threads until closed."""

    def __init__(self, kind, address):
        class Threaded(socketserver.ThreadingMixIn, kind):
            daemon_threads = True
            allow_reuse_address = True
        self.requests = []
        self.closed = False
        self.server = Threaded(address, Handler)
        self.server.owner = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.closed = True
        self.server.shutdown()
        self.server.server_close()


class Coordinator(Server):
    """/api/v1/cluster and /workers; one of `stays` does not go when it is sent home."""

    TOKEN = "0123456789abcdef"

    def __init__(self):
        super().__init__(socketserver.TCPServer, ("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.cluster = {"desired_workers": 1, "desired_reason": "a test", "uptime_s": 100.0}
        self.workers = []
        self.sent_home = []
        self.stays = ()

    def drain(self, number):
        if self.authorization != f"Bearer {self.TOKEN}":
            return 401, {"error": "no token"}
        self.sent_home.append(number)
        self.workers = [{**worker, "state": "draining"} if worker["id"] == number and number in self.stays else worker
                        for worker in self.workers if worker["id"] != number or number in self.stays]
        return 202, {"state": "draining"}

    def answer(self, method, path, query, body):
        drain = re.fullmatch(r"/api/v1/workers/(\d+)/drain", path)
        if method == "PUT" and drain:
            return self.drain(int(drain[1]))
        return 200, {"/api/v1/cluster": self.cluster, "/api/v1/workers": self.workers}[path]


class Engine(Server):
    """Containers that are started, copied, stopped and removed, and one Swarm service. `trouble`: {part of "METHOD PATH": (code, answer)}."""

    def __init__(self, folder):
        self.path = folder / "docker.sock"
        super().__init__(socketserver.UnixStreamServer, str(self.path))
        self.address = f"unix://{self.path}"
        self.containers = {}
        self.created = 0
        self.obeys = True  # a container that is told to stop ends at once
        self.trouble = {}
        self.running = lambda: self.service["Spec"]["Mode"]["Replicated"]["Replicas"]  # of the service's tasks
        self.service = {"ID": "serviceid", "Version": {"Index": 7}, "Spec": {"Name": "stack_worker", "Mode": {"Replicated": {"Replicas": 2}},
                                                                             "TaskTemplate": {"ContainerSpec": {"StopGracePeriod": 30000000000}}}}

    def add(self, name, number, state="running", **labels):
        self.created += 1
        container = {"Id": f"{self.created:064x}"[::-1], "Name": "/" + name, "State": state, "Created": self.created,
                     "Config": {"Hostname": f"{self.created:064x}"[::-1][:12], "Image": "mobyray", "Cmd": ["worker"], "Env": ["MOBYRAY_COORDINATOR=tcp://coordinator:5555"],
                                "Labels": {"com.docker.compose.project": "proj", "com.docker.compose.service": "worker", "com.docker.compose.oneoff": "False",
                                           "com.docker.compose.container-number": str(number), "com.docker.compose.config-hash": "abc", **labels}},
                     "HostConfig": {"NetworkMode": "proj_default", "Binds": ["proj_keys-worker:/keys/worker:ro"], "RestartPolicy": {"Name": "on-failure"}, "ReadonlyRootfs": True},
                     "NetworkSettings": {"Networks": {"proj_default": {"Aliases": [f"{self.created:064x}"[::-1][:12], "worker", name], "IPAddress": "10.0.0.9"},
                                                      "proj_other": {"Aliases": ["worker"]}}}}
        self.containers[container["Id"]] = container
        return container["Id"]

    def names(self, state="running"):
        return sorted(c["Name"][1:] for c in self.containers.values() if c["State"] == state)

    def asked(self, pattern):
        return [request for request in self.requests if re.search(pattern, request)]

    def listed(self, query):
        wanted = json.loads(query["filters"])["label"]
        return [{"Id": c["Id"], "Names": [c["Name"]], "State": c["State"], "Created": c["Created"], "Labels": c["Config"]["Labels"]}
                for c in self.containers.values() if all(c["Config"]["Labels"].get(part.split("=")[0]) == part.split("=")[1] for part in wanted)]

    def create(self, query, body):
        if query["name"] in self.names() + self.names("exited") + self.names("created"):
            return 409, {"message": "the name is in use"}
        identity = self.add(query["name"], 0, "created")
        self.containers[identity]["Config"] = {key: value for key, value in body.items() if key not in ("HostConfig", "NetworkingConfig")}
        self.containers[identity]["HostConfig"] = body["HostConfig"]
        self.containers[identity]["NetworkSettings"] = {"Networks": body["NetworkingConfig"]["EndpointsConfig"]}
        return 201, {"Id": identity}

    def update(self, query, body):
        if query["version"] != str(self.service["Version"]["Index"]):
            return 500, {"message": "rpc error: update out of sequence"}
        self.service["Spec"] = body
        self.service["Version"]["Index"] += 1
        return 200, {}

    def answer(self, method, path, query, body):
        self.requests.append(f"{method} {path}")
        for part, answer in self.trouble.items():
            if part in f"{method} {path}":
                return answer
        path = re.sub(r"^/v1\.\d+", "", path)
        if path == "/version":
            return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
        if path == "/info":
            return 200, {"NCPU": 8}
        if path == "/containers/json":
            return 200, self.listed(query)
        if path == "/containers/create":
            return self.create(query, body)
        if path.startswith("/networks/"):
            self.containers[body["Container"]]["NetworkSettings"]["Networks"][path.split("/")[2]] = body["EndpointConfig"]
            return 200, None
        if path == "/tasks":
            return 200, [{"Status": {"State": "running"}}] * self.running() + [{"Status": {"State": "complete"}}]
        if path.startswith("/services/"):
            return self.update(query, body) if path.endswith("/update") else (200, self.service)
        _, _, identity, *what = path.split("/")
        container = self.containers.get(identity) or next((c for c in self.containers.values() if c["Id"].startswith(identity)), None)
        if container is None:
            return 404, {"message": f"No such container: {identity}"}
        return self.on_container(container, method, what, query)

    def on_container(self, container, method, what, query):
        if method == "DELETE":
            if container["State"] == "running":
                return 409, {"message": "it runs"}
            del self.containers[container["Id"]]
        elif what == ["json"]:
            return 200, container
        elif what == ["start"]:
            container["State"] = "running"
        elif what == ["kill"]:
            if self.obeys or query["signal"] == "SIGKILL":
                container["State"] = "exited"
        else:
            return 404, {"message": "page not found"}
        return 204, None

"""The coordinator over HTTP, for tests: requests with all their corners, and streams of events."""

import contextlib
import http.client
import json
import threading

import waiting

TOKEN = "a-token-of-the-tests-0123456789"


class Web:
    """One coordinator's HTTP side."""

    def __init__(self, host, port, token=TOKEN):
        self.host, self.port, self.token = host, port, token

    @classmethod
    def of(cls, watched, token=TOKEN):
        found = waiting.log_has(watched, r"the page is on http://([\w.]+):(\d+)/(?:#token=(\S+))?")
        return cls(found[1], int(found[2]), found[3] or token)

    def request(self, method, path, body=None, token=None, headers=None):
        """Status, headers, body. token: None: ours for changes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        sent = dict(headers or {})
        if method not in ("GET", "HEAD") and token is None:
            token = self.token
        if token:
            sent["Authorization"] = f"Bearer {token}"
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, code=200):
        status, _, body = self.request("GET", path)
        assert status == code, f"{path}: {status}, expected {code}: {body[:300]}"
        return body

    def json(self, path, code=200):
        return json.loads(self.get(path, code))

    def job(self, number):
        return self.json(f"/api/v1/jobs/{number}")

    def wait_for_job(self, number, state="done"):
        return waiting.until(lambda: (job := self.job(number))["state"] == state and job, f"job {number} {state}")

    def events(self, last=None):
        return Events(self, last)


class Events:
    """A stream of events, read by a thread of its own into a list of (id, name, data)."""

    def __init__(self, web, last=None):
        self.connection = http.client.HTTPConnection(web.host, web.port, timeout=60)
        self.connection.request("GET", "/api/v1/events", headers={"Last-Event-ID": last} if last else {})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.seen = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        try:
            for line in self.answer:
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    event[name] = value
                elif event:
                    if "event" in event:
                        self.seen.append((event.get("id"), event["event"], json.loads(event["data"])))
                    event = {}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed, by whichever side

    def of(self, name):
        return [data for _, kind, data in list(self.seen) if kind == name]

    def wait_for(self, name, condition=lambda data: True):
        return waiting.until(lambda: next((data for data in self.of(name) if condition(data)), None), f"an event '{name}'")

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(2)
        self.thread.join(10)
        self.connection.close()


def starts_with_token(mobyray, *arguments):
    """Arguments of a coordinator with a token that the tests know, on a free port."""
    (mobyray.folder / "token").write_text(TOKEN + "\n")
    return ("--http", "127.0.0.1:0", "--http-token", "token", *arguments)



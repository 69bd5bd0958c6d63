"""Writes at each worker's pod what its end would cost: the tiles it has in hand. Standard library alone.

A worker's `host` in the coordinator's API is its pod's name. Kubernetes asks that this annotation be changed rarely, so only three values are used,
and only changes are sent: 0 idle or gone from the coordinator's sight, 100 busy with little, 1000 with more than one tile a thread in hand.

Environment: COORDINATOR (http://HOST:PORT), NAMESPACE; for tests KUBERNETES_API, SERVICE_ACCOUNT (a folder) and ROUNDS."""

import json
import os
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ACCOUNT = pathlib.Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = os.environ.get("KUBERNETES_API", "https://kubernetes.default.svc")
EVERY_S = 5
TIMEOUT_S = 5
ANSWER_MOST = 64 << 20


def workers():
    with urllib.request.urlopen(os.environ["COORDINATOR"] + "/api/v1/workers", timeout=TIMEOUT_S) as answer:
        return json.loads(answer.read(ANSWER_MOST))


def cost(worker):
    if worker["state"] not in ("idle", "busy", "resting"):
        return None
    return 0 if not worker["in_hand"] else 100 if worker["in_hand"] <= worker["threads"] else 1000


def write(pod, value, context):
    body = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": str(value)}}}
    path = f"/api/v1/namespaces/{urllib.parse.quote(os.environ['NAMESPACE'], safe='')}/pods/{urllib.parse.quote(pod, safe='')}"
    token = (ACCOUNT / "token").read_text().strip()  # it is renewed now and then
    request = urllib.request.Request(API + path, json.dumps(body).encode(), method="PATCH", headers={
        "Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json", "Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context):
        pass


def look(written, context):
    """One round: `written` holds what stands at each pod, as far as we know, and forgets those that are gone."""
    now = {worker["host"]: value for worker in workers() if (value := cost(worker)) is not None}
    for pod in set(written) - set(now):
        del written[pod]
    for pod, value in now.items():
        if written.get(pod) == value:
            continue
        try:
            write(pod, value, context)
        except urllib.error.HTTPError as error:
            if error.code != 404:  # a worker that is no pod of this namespace is none of our business
                raise
        written[pod] = value


def main():
    authority = ACCOUNT / "ca.crt"
    context = ssl.create_default_context(cafile=str(authority)) if API.startswith("https") else None
    written, said = {}, ""
    for _ in range(int(os.environ.get("ROUNDS", "0")) or sys.maxsize):
        try:
            look(written, context)
            said = ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            if str(error) != said:
                print(f"deletion-cost: {error}; trying on", flush=True)
            said = str(error)
        time.sleep(EVERY_S if "ROUNDS" not in os.environ else 0.2)


main()

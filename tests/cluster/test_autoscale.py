"""mobyray autoscale on an engine that does as the test says: who goes first, what a new container looks like, and trouble of every kind."""

import socket

import pytest

import waiting
from fake_engine import Coordinator, Engine


@pytest.fixture
def engine(tmp_path):
    made = Engine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def coordinator():
    made = Coordinator()
    yield made
    made.close()


@pytest.fixture
def turn(mobyray, engine, coordinator):
    """One turn of the autoscaler, for so many workers."""
    def act(wanted=None, code=0, *more):
        if wanted is not None:
            coordinator.cluster["desired_workers"] = wanted
        return mobyray("autoscale", "--once", "--api", coordinator.url, "--docker", engine.address, "--project", "proj", *more, code=code).stderr
    return act


def as_worker(identity, state="idle", in_hand=0, number=1):
    return {"id": number, "host": identity[:12], "state": state, "in_hand": in_hand}


@pytest.mark.parametrize("separator", "_-")  # Compose 1, Compose 2
def test_a_new_worker_is_like_the_others(engine, turn, separator):
    engine.add(f"proj{separator}worker{separator}1", 1, **{"com.docker.compose.replace": "x"})
    turn(3)
    assert engine.names() == [f"proj{separator}worker{separator}{number}" for number in (1, 2, 3)]
    old, *new = sorted(engine.containers.values(), key=lambda container: container["Name"])
    for number, container in enumerate(new, 2):
        labels = container["Config"]["Labels"]
        assert labels["com.docker.compose.container-number"] == str(number) and labels["com.docker.compose.config-hash"] == "abc"
        assert labels["com.docker.compose.project"] == "proj" and "com.docker.compose.replace" not in labels
        assert "Hostname" not in container["Config"], "the new one would have the old one's name"
        assert container["HostConfig"] == old["HostConfig"]
        assert {key: value for key, value in container["Config"].items() if key != "Labels"} == {key: value for key, value in old["Config"].items() if key not in ("Labels", "Hostname")}
        networks = container["NetworkSettings"]["Networks"]
        assert networks == {"proj_default": {"Aliases": ["worker"]}, "proj_other": {"Aliases": ["worker"]}}


def test_names_and_numbers_that_are_free(engine, turn):
    engine.add("proj-worker-1", 1)
    engine.add("proj-worker-3", 3)
    engine.add("proj-worker-2", 9, **{"com.docker.compose.service": "another"})
    turn(4)
    assert engine.names() == ["proj-worker-1", "proj-worker-2", "proj-worker-3", "proj-worker-4", "proj-worker-5"]


def test_idle_before_busy_and_the_newest_first(engine, coordinator, turn):
    first, second, third, fourth, fifth = (engine.add(f"proj-worker-{number}", number) for number in range(1, 6))
    coordinator.workers = [as_worker(first), as_worker(second, "busy", 2), as_worker(third), as_worker(fourth, "busy", 1), as_worker(fifth, "busy", 2)]
    order = []
    for wanted in (4, 3, 2, 1):
        before = set(engine.names())
        log = turn(wanted)
        order += sorted(before - set(engine.names()))
        assert ("1 idle and 0 busy" in log) == (wanted >= 3)
    assert order == ["proj-worker-3", "proj-worker-1", "proj-worker-4", "proj-worker-5"]


def test_one_that_is_not_with_the_coordinator_goes_first(engine, coordinator, turn):
    engine.add("proj-worker-2", 2)
    coordinator.workers = [as_worker(engine.add("proj-worker-1", 1))]
    turn(1)
    assert engine.names() == ["proj-worker-1"]


def test_zero_and_back(engine, turn):
    for number in (1, 2, 3):
        engine.add(f"proj-worker-{number}", number)
    turn(0)
    assert engine.names() == []
    turn(0)
    turn(0)
    assert len(engine.containers) >= 1, "nothing is left to make workers from"
    turn(4)
    assert len(engine.names()) == 4


def test_what_it_made_it_removes_but_for_the_last(engine, mobyray, coordinator):
    engine.add("proj-worker-1", 1)
    coordinator.cluster["desired_workers"] = 4
    scaler = mobyray.start("autoscale", "--api", coordinator.url, "--docker", engine.address, "--project", "proj")
    waiting.until(lambda: len(engine.names()) == 4, "four workers")
    coordinator.cluster["desired_workers"] = 0
    waiting.until(lambda: not engine.names() and len(engine.containers) == 1, "none but a stopped one")
    scaler.signal(15)
    scaler.wait()
    assert engine.asked("kill") and not engine.asked("SIGKILL")


def test_a_restarted_coordinator_sends_nobody_away(engine, coordinator, turn):
    for number in (1, 2, 3):
        engine.add(f"proj-worker-{number}", number)
    coordinator.cluster["uptime_s"] = 3.0
    turn(0)
    assert len(engine.names()) == 3
    turn(4)
    assert len(engine.names()) == 4


def test_a_wish_that_is_not_known(engine, coordinator, turn):
    engine.add("proj-worker-1", 1)
    for unknown in (None, "many", -1, 1e12):
        coordinator.cluster["desired_workers"] = unknown
        turn()
    assert engine.names() == ["proj-worker-1"]


def test_the_engines_cpus_are_the_limit(engine, turn):
    engine.add("proj-worker-1", 1)
    turn(1000)
    assert len(engine.names()) == 8
    turn(1000, 0, "--max-workers", 10)
    assert len(engine.names()) == 10


def test_draining_workers_do_not_count(engine, coordinator, turn):
    first = engine.add("proj-worker-1", 1)
    engine.add("proj-worker-2", 2)
    coordinator.workers = [as_worker(first, "draining", 1)]
    turn(2)
    assert len(engine.names()) == 3


def test_one_that_does_not_finish_is_killed(engine, mobyray, coordinator):
    for number in (1, 2):
        engine.add(f"proj-worker-{number}", number)
    engine.obeys = False
    scaler = mobyray.start("autoscale", "--api", coordinator.url, "--docker", engine.address, "--project", "proj", "--grace", 1)
    waiting.until(lambda: len(engine.names()) == 1, "the kill")
    assert "has not finished within 1 s" in scaler.log()


@pytest.mark.parametrize("trouble, said", (
    ({"/version": (200, b"<html>")}, "is no JSON"),
    ({"/version": (200, {"ApiVersion": "1.24", "MinAPIVersion": "1.12"})}, "expected a Docker engine"),
    ({"/containers/json": (500, {"message": "no room on the disk"})}, "no room on the disk"),
    ({"/containers/json": (200, {"a": 1})}, "is none, or too long"),
    ({"/containers/json": (200, b"[" * 5000)}, "is no JSON"),
    ({"/containers/json": (200, b" " * (33 << 20))}, "more than 32 MiB"),
    ({"/containers/create": (500, {"message": "no such image\n\x1b[31m"})}, "no such image"),
    ({"/containers/create": (409, {"message": "in use"})}, "no free name"),
    ({"/containers/create": (201, {"Id": "../../etc"})}, "does not say which"),
    ({"/start": (500, {"message": "cannot start"})}, "cannot start"),
    ({"/connect": (403, {"message": "endpoint refused"})}, "endpoint refused"),
))
def test_trouble_of_the_engine(engine, turn, trouble, said):
    engine.add("proj-worker-1", 1)
    engine.trouble = trouble
    log = turn(3, 1)
    assert said in log and "\x1b" not in log
    assert "proj-worker-1" in engine.names()
    engine.trouble = {}
    turn(3)
    assert len(engine.names()) == 3


def test_odd_entries_of_a_list_are_left_alone(engine, turn):
    engine.add("proj-worker-1", 1)
    engine.add("proj_worker_run_1", 1, **{"com.docker.compose.oneoff": "True"})
    listed = engine.listed({"filters": '{"label": ["com.docker.compose.project=proj"]}'})
    engine.trouble = {"/containers/json": (200, [*listed, {}, 5, None, {"Id": "x/../y"}, {"Id": 7, "Labels": []}])}
    turn(1)
    assert not engine.asked("kill|DELETE|create")


def test_no_container_to_copy(engine, turn):
    assert "--scale worker=1" in turn(2, 1)


def test_everything_comes_late(mobyray, coordinator, tmp_path):
    """Neither engine nor coordinator is there at first; both come, go and come back."""
    scaler = mobyray.start("autoscale", "--api", coordinator.url, "--docker", f"unix://{tmp_path}/docker.sock", "--project", "proj")
    waiting.log_has(scaler, "trying on")
    engine = Engine(tmp_path)
    engine.add("proj-worker-1", 1)
    coordinator.cluster["desired_workers"] = 2
    waiting.until(lambda: len(engine.names()) == 2, "two workers")
    engine.close()
    engine.path.unlink()
    waiting.until(lambda: scaler.log().count("trying on") == 2, "the engine's absence to be noticed")
    again = Engine(tmp_path)
    again.containers = engine.containers
    coordinator.cluster["desired_workers"] = 3
    waiting.until(lambda: len(again.names()) == 3, "three workers")
    coordinator.close()
    waiting.until(lambda: scaler.log().count("trying on") == 3, "the coordinator's absence to be noticed")
    assert len(again.names()) == 3
    scaler.signal(15)
    scaler.wait()
    again.close()


def test_swarm(engine, turn):
    log = turn(5, 2, "--swarm", "stack_worker")
    assert "exclude each other" in log


def test_swarm_replicas(mobyray, engine, coordinator):
    def act(wanted, code=0):
        coordinator.cluster["desired_workers"] = wanted
        log = mobyray("autoscale", "--once", "--api", coordinator.url, "--docker", engine.address, "--swarm", "stack_worker", code=code).stderr
        return log, engine.service["Spec"]["Mode"].get("Replicated", {}).get("Replicas")
    assert act(5)[1] == 5
    assert engine.service["Spec"]["TaskTemplate"] == {"ContainerSpec": {"StopGracePeriod": 30000000000}}
    engine.trouble = {"/update": (500, {"message": "rpc error: update out of sequence"})}
    assert "out of sequence" in act(0, 1)[0]
    engine.trouble = {}
    assert act(0)[1] == 0
    engine.service["Spec"]["Mode"] = {"Global": {}}
    assert "mode replicated" in act(1, 1)[0]


def test_swarm_idle_before_busy(mobyray, engine, coordinator, tmp_path):
    """With the coordinator's token it is the coordinator that sends workers home, and the replicas follow those that have gone."""
    (tmp_path / "token").write_text(coordinator.TOKEN + "\n")
    service = engine.service["Spec"]["Mode"]["Replicated"]
    service["Replicas"] = 6
    coordinator.workers = [as_worker("a" * 12, number=1), as_worker("b" * 12, "busy", 2, 2), as_worker("c" * 12, number=3), as_worker("d" * 12, "busy", 1, 4),
                           as_worker("e" * 12, "busy", 3, 5), {**as_worker("f" * 12, number=6), "state": "left"}]
    engine.running = lambda: sum(worker["state"] != "left" for worker in coordinator.workers)

    def act(wanted, code=0, token="token"):
        coordinator.cluster["desired_workers"], coordinator.sent_home = wanted, []
        log = mobyray("autoscale", "--once", "--api", coordinator.url, "--docker", engine.address, "--swarm", "stack_worker", "--http-token", tmp_path / token, code=code).stderr
        return log, coordinator.sent_home, service_replicas()

    def service_replicas():
        return engine.service["Spec"]["Mode"]["Replicated"]["Replicas"]
    assert act(5)[1:] == ([], 5), "one of the tasks does not run: nobody needs to be sent home"
    log, sent, replicas = act(2)
    assert (sent, replicas) == ([3, 1, 4], 2) and "2 idle and 1 busy" in log
    coordinator.stays = (2,)
    assert act(1)[1:] == ([2], 2), "the replicas are lowered before it has gone: Swarm would take another one"
    assert act(1)[1:] == ([], 2), "it is sent home twice"
    coordinator.workers = [worker for worker in coordinator.workers if worker["id"] != 2]
    assert act(1)[1:] == ([], 1)
    assert act(3)[1:] == ([], 3)
    engine.trouble = {"/tasks": (200, {"a": 1})}
    assert "list of tasks is none" in act(0, 1)[0]
    engine.trouble = {}
    (tmp_path / "wrong").write_text("fedcba9876543210")
    coordinator.workers = [as_worker(letter * 12, number=number) for number, letter in enumerate("abc", 1)]
    log, sent, replicas = act(0, 1, "wrong")
    assert "is --http-token its own?" in log and (sent, replicas) == ([], 3)
    assert "cannot be read" in act(0, 3, "none")[0]


@pytest.mark.parametrize("arguments, said", (
    (("--api", "ftp://x"), "'ftp://x' is no address"), (("--docker", "unix://relative"), "is no address"), (("--docker", "http://"), "is no address"),
    (("--api", "http://user@host"), "is no address"), (("--docker", "unix:///" + "x" * 200), "is no address")))
def test_addresses(mobyray, arguments, said):
    assert said in mobyray("autoscale", "--once", *arguments, code=2).stderr


def test_nobody_there(mobyray, engine, tmp_path):
    assert f"unix://{tmp_path}/none/docker.sock: cannot be connected to: No such file or directory" in \
        mobyray("autoscale", "--once", "--docker", f"unix://{tmp_path}/none/docker.sock", code=1).stderr
    (tmp_path / "file").touch()
    assert "Connection refused" in mobyray("autoscale", "--once", "--docker", f"unix://{tmp_path}/file", code=1).stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
        engine.add("proj-worker-1", 1)
        assert closed in mobyray("autoscale", "--once", "--api", closed, "--docker", engine.address, "--project", "proj", code=1).stderr
    assert engine.names() == ["proj-worker-1"]

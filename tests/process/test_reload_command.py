"""`gateway reload`: the command ends when the reload has, and says what has become of it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.processes.control import ControlError, Outcome, Result, address, request_reload
from tests.process.conftest import sections
from tests.process.test_reload import new_child, open_files
from tests.support.command_line import Done, run
from tests.support.gateway import Gateway, environment, gateway
from tests.support.processes import HANG, eventually
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer

GET = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, backend: Upstream
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("reload")
    with gateway(folder, redis.url, workers=2, **sections(backend)) as started:
        yield started


@pytest.fixture
def relay(running: Gateway) -> Iterator[Gateway]:
    """The gateway; its configuration is put right in the end."""
    yield running
    write(running, running.config)
    eventually(lambda: request_reload(str(file_of(running))).result == Result.RELOADED)


def file_of(relay: Gateway) -> Path:
    return relay.log.with_name("config.yaml")


def write(relay: Gateway, config: dict[str, Any]) -> None:
    file_of(relay).write_text(yaml.safe_dump(config))


def with_route(relay: Gateway, path: str) -> dict[str, Any]:
    route = {"path": path, "upstream": "shop", "auth": "public"}
    return {**relay.config, "routes": [*relay.config["routes"], route]}


def reload(relay: Gateway) -> Done:
    return run("reload", "-c", str(file_of(relay)))


def reload_aside(relay: Gateway) -> Future[Outcome]:
    """Ask for a reload from a thread."""
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(request_reload, str(file_of(relay)))
    pool.shutdown(wait=False)
    return asked


def test_new_routes_serve_when_the_command_has_ended(relay: Gateway) -> None:
    """Old ones do not, whichever worker is asked."""
    for path in ("/new0", "/new1", "/new2"):
        write(relay, with_route(relay, path))
        assert reload(relay) == Done(0, "reloaded\n", "")
        assert {status(ask(relay.port, GET % path.encode())) for _ in range(6)} == {200}
    assert {status(ask(relay.port, GET % b"/new0")) for _ in range(6)} == {404}


def test_a_file_that_is_wrong(relay: Gateway) -> None:
    """All that is wrong is said, with its line, and the old configuration stays."""
    config = with_route(relay, "/new")
    write(relay, {**config, "workers": 0, "timeouts": {"drain": "x"}})
    lines = file_of(relay).read_text().splitlines()
    done = reload(relay)
    assert done.returncode == 2
    number = 1 + next(at for at, line in enumerate(lines) if line.startswith("workers"))
    assert f"config.yaml:{number}:" in done.stderr
    assert "timeouts.drain" in done.stderr
    assert done.stderr.endswith("\ngateway: the old configuration stays\n")
    assert status(ask(relay.port, GET % b"/public/")) == 200
    assert status(ask(relay.port, GET % b"/new")) == 404
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 0


def with_a_taken_port(relay: Gateway) -> dict[str, Any]:
    return {"listen": [relay.config["listen"], relay.config["upstreams"]["shop"][7:]]}


def with_a_log_in_no_folder(relay: Gateway) -> dict[str, Any]:
    return {"access_log": str(relay.log.with_name("none") / "access.log")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_a_taken_port, "cannot listen on 127.0.0.1:[0-9]+: Address already in use"),
        (with_a_log_in_no_folder, "worker [01] cannot serve: .*/none/access.log: No such file"),
    ],
)
def test_a_configuration_that_cannot_serve(
    relay: Gateway, change: Callable[[Gateway], dict[str, Any]], reason: str
) -> None:
    write(relay, {**with_route(relay, "/new"), **change(relay)})
    done = reload(relay)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(f"gateway: the old configuration stays: {reason}", done.stderr)
    assert status(ask(relay.port, GET % b"/public/")) == 200
    assert status(ask(relay.port, GET % b"/new")) == 404


def test_a_worker_that_dies_meanwhile(relay: Gateway) -> None:
    write(relay, {**relay.config, "workers": 4})
    before = relay.children()
    asked = reload_aside(relay)
    reader = new_child(relay, before)
    os.kill(new_child(relay, [*before, reader]), signal.SIGKILL)
    outcome = asked.result(HANG)
    assert outcome.result == Result.FAILED
    assert re.fullmatch(r"worker \d has ended \(killed by SIGKILL\)", outcome.text)


def test_a_reader_that_is_killed(relay: Gateway) -> None:
    """It is not said that the file is wrong."""
    file = file_of(relay)
    file.unlink()
    os.mkfifo(file)
    before = relay.children()
    asked = reload_aside(relay)
    os.kill(new_child(relay, before), signal.SIGKILL)
    outcome = asked.result(HANG)
    assert outcome.result == Result.FAILED
    assert "the process that reads it was killed by signal 9" in outcome.text
    file.unlink()


def test_requests_at_the_same_time(relay: Gateway) -> None:
    """Each waits for a reload that has begun after it was asked for: the file may be newer."""
    file = file_of(relay)
    file.unlink()
    os.mkfifo(file)
    before = relay.children()
    first = reload_aside(relay)
    new_child(relay, before)  # it reads
    others = [reload_aside(relay) for _ in range(3)]
    with file.open("w") as pipe:
        file.unlink()
        write(relay, with_route(relay, "/new"))
        pipe.write("version: 2")
    assert first.result(HANG).result == Result.WRONG_CONFIGURATION
    assert [other.result(HANG).result for other in others] == [Result.RELOADED] * 3
    assert status(ask(relay.port, GET % b"/new")) == 200


def test_a_client_that_leaves(relay: Gateway) -> None:
    """The reload goes on, and nothing stays open."""
    eventually(lambda: len(relay.children()) == 2)
    before = len(open_files(relay.pid))
    command = [sys.executable, "-m", "gateway", "reload", "-c", str(file_of(relay))]
    write(relay, with_route(relay, "/new"))
    os.kill(relay.pid, signal.SIGSTOP)  # so that no reload ends before the client has left
    name = "@" + address(str(file_of(relay)))[1:]
    sockets = Path("/proc/net/unix")
    try:
        with subprocess.Popen(command, env=environment()) as process:
            eventually(lambda: sockets.read_text().count(name) == 2)  # it listens; one has come
            process.terminate()  # SIGINT is ignored where the tests run in the background
            assert process.wait(HANG) == -signal.SIGTERM
    finally:
        os.kill(relay.pid, signal.SIGCONT)
    eventually(lambda: status(ask(relay.port, GET % b"/new")) == 200)
    eventually(lambda: len(open_files(relay.pid)) == before)


def test_a_path_of_another_spelling(relay: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one, and one with a link that leads elsewhere since the start."""
    monkeypatch.chdir(relay.log.parent)
    assert request_reload("config.yaml").result == Result.RELOADED
    assert request_reload("./../" + relay.log.parent.name + "/config.yaml").result


def test_another_user(relay: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway of another user is believed nothing, and another user is told nothing."""
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    done = reload(relay)
    assert done.returncode == 1
    assert re.search("the gateway belongs to .*: run this command as that user", done.stderr)
    if user == 0:
        monkeypatch.undo()
        before = relay.log.read_text()
        os.seteuid(10001)
        try:
            monkeypatch.setattr(os, "geteuid", lambda: 0)
            with pytest.raises(ControlError, match="has ended before"):
                request_reload(str(file_of(relay)))
        finally:
            os.seteuid(0)
        assert relay.log.read_text() == before


def test_no_gateway(tmp_path: Path) -> None:
    done = run("reload", "-c", str(tmp_path / "config.yaml"))
    assert done == Done(1, "", f"gateway: no gateway runs here with {tmp_path}/config.yaml\n")


def test_gateways_that_end(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """One that is killed gives no outcome, and one that stops says so; neither keeps the name."""
    for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        with gateway(tmp_path, redis.url, **sections(shop)) as relay:
            file = file_of(relay)
            eventually(lambda: "listening on" in relay.log.read_text())
            good = file.read_text()
            file.unlink()
            os.mkfifo(file)
            asked = reload_aside(relay)
            eventually(lambda: len(relay.children()) > 1)
            os.kill(relay.pid, number)
            if code:
                with pytest.raises(ControlError, match="has ended before it had reloaded"):
                    asked.result(HANG)
            else:
                assert asked.result(HANG) == Outcome(Result.FAILED, "the gateway stops")
            file.unlink()
            file.write_text(good)
            eventually(lambda: "no gateway runs here" in reload(relay).stderr)


def test_a_second_gateway_with_the_same_file(relay: Gateway, tmp_path: Path) -> None:
    """It says that the command reaches the first one."""
    command = [sys.executable, "-m", "gateway", "run", "-c", str(file_of(relay))]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=HANG, check=False
    )
    assert done.returncode == 1
    assert "`gateway reload` cannot reach this gateway: Address already in use" in done.stderr
    assert reload(relay).returncode == 0

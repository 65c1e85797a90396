"""`gateway sessions list|count|revoke`, on a real Redis and on the embedded store."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.sessions import keys
from tests.conftest import log_in
from tests.process.conftest import sections
from tests.support.command_line import run
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer, redis_server

API = b"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"


@pytest.fixture(scope="module", params=["redis", "embedded"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, backend: Upstream
) -> Iterator[Gateway]:
    """A gateway on a store of its own. The path of the embedded one is not the plainest."""
    folder = tmp_path_factory.mktemp("commands")
    if request.param == "redis":
        with (
            redis_server(folder, "--requirepass", "a password: 1/2") as server,
            gateway(folder / "gateway", with_password(server), **sections(backend)) as started,
        ):
            yield started
        return
    store: Any = {"url": "embedded", "data_dir": str(folder / "50% data")}
    with gateway(folder / "gateway", store, **sections(backend)) as started:
        yield started


@pytest.fixture
def relay(running: Gateway) -> Gateway:
    return emptied(running)


def emptied(running: Gateway) -> Gateway:
    """The gateway without sessions, and without a word of former ones in its audit log."""
    sessions(running, "revoke", "--issued-before", str(int(time.time()) + 1))
    running.audit_log.write_text("")
    return running


def with_password(server: RedisServer) -> Any:
    return {"url": server.url, "password": "a password: 1/2"}


def sessions(relay: Gateway, *arguments: str) -> Any:
    """What a command says as JSON."""
    done = run("sessions", *arguments, "--json", "-c", str(relay.log.with_name("config.yaml")))
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def session_id(key: str) -> str:
    found = keys.parse_key(key.encode())
    assert found is not None
    return keys.session_id(found)


def test_beside_a_running_gateway(relay: Gateway) -> None:
    """What is ended has ended on the gateway too, though it remembered it; and is in its audit
    log.
    """
    first, second = log_in(relay.port), log_in(relay.port)
    other = log_in(relay.port, "bob")
    for key in (first, second, other):
        assert status(ask(relay.port, API % key.encode())) == 200
    listed = sessions(relay, "list", "--subject", "alice")
    assert {session["handle"] for session in listed["sessions"]} == {
        session_id(first),
        session_id(second),
    }
    assert sessions(relay, "count") == {"count": 3}
    assert sessions(relay, "count", "--subject", "alice") == {"count": 2}
    handle = session_id(first)
    assert sessions(relay, "revoke", f"--id={handle}") == {"revoked": 1}
    assert sessions(relay, "revoke", f"--id={handle}") == {"revoked": 0}
    assert status(ask(relay.port, API % first.encode())) == 401
    assert status(ask(relay.port, API % second.encode())) == 200
    [event] = relay.events(event="revoke")
    assert event.pop("time")
    assert event == {
        "event": "revoke",
        "subject": "alice",
        "session": handle[:12],
        "address": "127.0.0.1",
        "device": "Unknown device",
        "by": "command line",
    }
    assert sessions(relay, "revoke", "--subject", "alice") == {"revoked": 1}
    assert status(ask(relay.port, API % second.encode())) == 401
    assert status(ask(relay.port, API % other.encode())) == 200
    assert sessions(relay, "revoke", "--issued-before", "2020-01-01T00:00:00Z") == {"revoked": 0}
    assert sessions(relay, "revoke", "--issued-before", "4000000000") == {"revoked": 1}
    assert status(ask(relay.port, API % other.encode())) == 401
    assert sessions(relay, "count") == {"count": 0}


def test_for_people(relay: Gateway) -> None:
    """A table with titles, and plain sentences."""
    file = str(relay.log.with_name("config.yaml"))
    none = run("sessions", "list", "--subject", "alice", "-c", file)
    assert (none.returncode, none.stdout) == (0, "no sessions\n")
    handle = session_id(log_in(relay.port))
    titles, row = run("sessions", "list", "--subject", "alice", "-c", file).stdout.splitlines()
    assert titles.split() == ["ID", "DEVICE", "ADDRESS", "CREATED", "LAST", "SEEN", "ENDS"]
    assert row.startswith(f"{handle}  Unknown device  127.0.0.1  20")
    assert run("sessions", "count", "-c", file).stdout == "1\n"
    ended = run("sessions", "revoke", "--subject", "alice", "-c", file)
    assert ended.stdout == "1 session ended\n"


def test_without_a_gateway(tmp_path: Path, backend: Upstream) -> None:
    """A real Redis is there all the same, and so is the audit log."""
    with redis_server(tmp_path, "--requirepass", "a password: 1/2") as server:
        with gateway(tmp_path / "g", with_password(server), **sections(backend)) as relay:
            key = log_in(relay.port)
        assert sessions(relay, "count", "--subject", "alice") == {"count": 1}
        assert sessions(relay, "revoke", "--subject", "alice") == {"revoked": 1}
        [event] = relay.events(event="revoke")
        assert event["session"] == session_id(key)[:12]


def test_the_embedded_store_without_its_gateway(tmp_path: Path, backend: Upstream) -> None:
    """It says what to do, also when a socket has been left behind; with exit code 1."""
    store: Any = {"url": "embedded", "data_dir": str(tmp_path / "data")}
    with gateway(tmp_path / "g", store, **sections(backend)) as relay:
        log_in(relay.port)
    left = tmp_path / "data" / "store.sock"
    left.unlink(missing_ok=True)
    for _ in range(2):
        done = run("sessions", "count", "-c", str(tmp_path / "g" / "config.yaml"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"gateway: no gateway runs on {tmp_path / 'data'}: the")
        assert "`gateway run`" in done.stderr
        with socket.socket(socket.AF_UNIX) as stale:
            left.unlink(missing_ok=True)
            stale.bind(str(left))


def test_a_busy_store(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """A command waits for it longer than a request."""
    file = tmp_path / "config.yaml"
    session = {"secrets": ["a secret of the tests, long enough"]}
    store = {"url": redis.url, "timeout": "100ms"}
    data = {"version": 1, "session": session, "store": store, **sections(backend)}
    file.write_text(yaml.safe_dump(data))
    redis.client().client_pause(1000)
    done = run("sessions", "count", "-c", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_when_it_cannot_be_done(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """Exit code 1 for a store that is away or refuses, and for an audit log that cannot be written:
    no user is logged out without a line; 2 for what was asked wrongly. The password is not said.
    """
    file = tmp_path / "config.yaml"
    data = {
        "version": 1,
        "session": {"secrets": ["a secret of the tests, long enough"]},
        "audit_log": "audit.log",
        **sections(backend),
    }

    def done(*arguments: str, **changes: object) -> tuple[int, str]:
        file.write_text(yaml.safe_dump({**data, "store": redis.url, **changes}))
        ran = run("sessions", *arguments, "-c", str(file))
        assert ran.stdout == ""
        assert "Traceback" not in ran.stderr
        return ran.returncode, ran.stderr

    away = {"url": "redis://127.0.0.1:1", "password": "not to be told"}
    code, said = done("revoke", "--subject", "alice", store=away)
    assert (code, "the store does not answer" in said) == (1, True)
    assert "not to be told" not in said
    refused = {"url": redis.url, "username": "nobody", "password": "not to be told"}
    code, said = done("count", store=refused)
    assert (code, "the store does not answer, or refuses" in said) == (1, True)
    assert "not to be told" not in said
    code, said = done("revoke", "--subject", "alice", audit_log=str(tmp_path))
    assert (code, f"the audit log {tmp_path} cannot be written: Is a directory" in said) == (
        1,
        True,
    )
    for wrong in (
        ["list"],
        ["revoke"],
        ["revoke", "--subject", "a", "--id", "b"],
        ["revoke", "--issued-before", "yesterday"],
        ["end", "--subject", "a"],
        [],
    ):
        assert done(*wrong)[0] == 2
    code, said = done("count", listne="x")
    assert (code, "listne: is not known here" in said) == (2, True)


def test_an_audit_log_on_stdout(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """What the command says stays clean: the lines go to stderr."""
    store: Any = {"url": redis.url, "prefix": "commands:"}
    with gateway(tmp_path, store, **{**sections(backend), "audit_log": "stdout"}) as relay:
        handle = session_id(log_in(relay.port))
        file = str(tmp_path / "config.yaml")
        done = run("sessions", "revoke", f"--id={handle}", "--json", "-c", file)
    assert json.loads(done.stdout) == {"revoked": 1}
    assert json.loads(done.stderr)["session"] == handle[:12]

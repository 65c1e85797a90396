"""Users of a file: over two real gateways, before a backend that verifies their tokens."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sessions.conftest import call, log_out
from tests.support.command_line import run
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import ask
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.verifying import Verifying, verifying

LIFE = 2  # of a token, in seconds
PASSWORD = "only the tests know it"


@pytest.fixture(scope="module")
def backend() -> Iterator[Verifying]:
    with verifying() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("users") / "users.yaml"


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, backend: Verifying, file: Path
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways with one file, in which there is no user when they start."""
    folder = tmp_path_factory.mktemp("pair")
    sections: dict[str, Any] = {
        "session": {"secrets": [SECRET], "clock_skew": 0.2},
        "signing": signing(lifetime=LIFE),
        "upstreams": {"api": backend.url},
        "login": {"kind": "users", "path": "/login", "file": str(file)},
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/admin/*", "upstream": "api", "claims": {"role": "admin"}},
            {"path": "/api/shop/*", "upstream": "api", "token": {"audience": "shop"}},
        ],
    }
    with (
        gateway(folder / "one", redis.url, **sections) as one,
        gateway(folder / "two", redis.url, **sections) as two,
    ):
        yield one, two
    for running in (one, two):
        written = running.log.read_text() + running.access_log.read_text()
        assert PASSWORD not in written
        assert "$argon2id" not in written


Pair = tuple[Gateway, Gateway]


def users(file: Path, *arguments: str) -> None:
    """Runs a command on the file."""
    done = run("users", *arguments, "--file", str(file), stdin=PASSWORD.encode())
    assert done.returncode == 0, done.stderr


def log_in(running: Gateway, name: str, password: str = PASSWORD) -> tuple[int, Any]:
    body = json.dumps({"username": name, "password": password}).encode()
    answer = ask(
        running.port,
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body),
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


def test_a_user_from_the_command_line_to_the_backend(
    pair: Pair, backend: Verifying, file: Path
) -> None:
    """Added while the gateways run; a key that both know; a token that the backend verifies."""
    assert log_in(pair[0], "alice")[0] == 503
    users(file, "add", "alice", "--claim", "role=admin")
    backend.trust(pair[1].port)
    code, reply = log_in(pair[0], "alice")
    assert code == 200, reply
    for running in pair:
        code, said, _ = call(running, reply["token"])
        assert (code, said["sub"], said["role"]) == (200, "alice", "admin")
        assert call(running, reply["token"], path="/api/admin/x")[0] == 200
    backend.audience = "shop"
    assert call(pair[1], reply["token"], path="/api/shop/x")[1]["aud"] == "shop"
    backend.audience = None
    code, problem = log_in(pair[1], "alice", "a wrong one")
    assert (code, problem["reason"]) == (401, "wrong_login")
    assert log_out(pair[1], reply["token"]) == 204
    assert [call(running, reply["token"])[0] for running in pair] == [401, 401]


def test_who_is_removed_is_out_with_the_present_token(
    pair: Pair, backend: Verifying, file: Path
) -> None:
    """On each gateway, without anything being reloaded; another user stays."""
    users(file, "add", "bob")
    users(file, "add", "carol")
    backend.trust(pair[0].port)
    keys = {name: log_in(pair[0], name)[1]["token"] for name in ("bob", "carol")}
    time.sleep(LIFE + 1)
    assert call(pair[1], keys["bob"])[0] == 200, "a session lasts longer than a token"
    users(file, "remove", "bob")
    assert log_in(pair[1], "bob")[0] == 401
    eventually(lambda: call(pair[0], keys["bob"])[0] == 401)
    eventually(lambda: call(pair[1], keys["bob"])[0] == 401)
    assert call(pair[1], keys["carol"])[0] == 200


def test_a_worker_without_users_is_lean(
    pair: Pair, tmp_path: Path, redis: RedisServer, backend: Verifying
) -> None:
    """What verifies passwords and reads the file is only where it is needed."""
    sections = {
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "routes": [{"path": "/api/*", "upstream": "api"}],
    }
    with gateway(tmp_path, redis.url, **sections) as running:
        for pid in running.workers():
            assert not {"argon2", "yaml"} & loaded(pid)
    for pid in pair[0].workers():
        assert {"argon2", "yaml"} <= loaded(pid)


def loaded(pid: int) -> set[str]:
    """Which of the two a process has loaded the machine code of."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in ("argon2", "yaml") if name in maps}

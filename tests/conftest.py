"""What all tests share: one Redis, and one gateway before a recording upstream."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import settings

from tests.support.gateway import Gateway, gateway
from tests.support.raw import OK, Client, Upstream, Visit
from tests.support.redis_server import RedisServer, redis_server

# How each JSON Web Token begins.
TOKEN_START = "eyJ"

# How gzip begins (RFC 1952 §2.3.1); the time of packing follows.
GZIP_START = "\x1f\x8b"

MAX_ID_CHARACTERS = 100

# How fast the machine is, no test may depend on.
settings.register_profile("at any speed", deadline=None)
settings.load_profile("at any speed")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name no test by a token, by gzip or by a long text, such as a key.

    These hold the time, or chance. xdist's workers must agree on the names.
    """
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    if not isinstance(text, str):
        return None
    is_long = len(text) > MAX_ID_CHARACTERS
    return argname if is_long or TOKEN_START in text or GZIP_START in text else None


SIGNING_SECRET = "the backend's own secret, 32 bytes"


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do not break theirs."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        _shared.append(server)
        yield server


_shared: list[RedisServer] = []  # the one above, once it runs


@pytest.fixture(scope="module", autouse=True)
def empty_store() -> None:
    """Each module begins without sessions.

    A subject has at most 100 of them, so a login would end those of the modules before, and count
    and report it.
    """
    for server in _shared:
        with server.client() as client:
            client.flushall()


def token_of(subject: str, **claims: object) -> str:
    """A JWT as a backend issues it."""
    payload = {"sub": subject, "exp": int(time.time()) + 3600, **claims}
    return jwt.encode(payload, SIGNING_SECRET, algorithm="HS256")


def json_answer(status: str, data: object, *lines: str) -> bytes:
    """An upstream's JSON answer."""
    body = json.dumps(data).encode()
    fields = "".join(f"{line}\r\n" for line in lines)
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{fields}\r\n"
    ).encode() + body


def accounts(visit: Visit) -> None:
    """A login backend: who knows the password gets a token for the name in the body."""
    for request in visit.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        if head.split(b" ")[1].partition(b"?")[0] not in (b"/login", b"/backend/login"):
            visit.send(OK)
            continue
        try:
            name = json.loads(body)["username"]
        except ValueError:
            visit.send(json_answer("400 Bad Request", {"detail": "what?"}))
            continue
        visit.send(json_answer("200 OK", {"token": token_of(name)}))


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The upstream of the shared gateway's routes."""
    with Upstream() as server:
        yield server


@pytest.fixture(scope="session")
def login_upstream() -> Iterator[Upstream]:
    """The upstream of the shared gateway's login."""
    with Upstream(accounts) as server:
        yield server


Start = Callable[..., Gateway]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Start]:
    """Starts gateways on the shared Redis, with the sections that it is given.

    They end with the module.
    """
    with ExitStack() as stack:

        def started(**changes: Any) -> Gateway:
            folder = tmp_path_factory.mktemp("gateway")
            return stack.enter_context(gateway(folder, redis.url, **changes))

        yield started


# A login at the upstream named `accounts`, which `accounts` answers.
LOGIN = {
    "kind": "backend",
    "path": "/login",
    "upstream": "accounts",
    "backend_path": "/backend/login",
}
ROUTES = [
    {"path": "/api/*", "upstream": "shop", "auth": "required"},
    {"path": "/api/admin/*", "upstream": "shop", "auth": "required", "claims": {"role": "admin"}},
    {"path": "/api/staff/*", "upstream": "shop", "auth": "required", "claims": {"staff": True}},
    {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
    {"path": "/guest/*", "upstream": "shop", "auth": "optional", "bad_key": "anonymous"},
    {"path": "/public/*", "upstream": "shop", "auth": "public"},
    {"path": "/get/*", "upstream": "shop", "auth": "public", "methods": ["GET"]},
    {"path": "/ws/*", "upstream": "shop", "auth": "public", "websocket": True},
    {"path": "/strip/*", "upstream": "shop", "auth": "public", "strip_prefix": "/strip"},
    {"path": "/small/*", "upstream": "shop", "auth": "public", "body_size": 1000},
    {"path": "/accounts/*", "upstream": "accounts", "auth": "public", "strip_prefix": "/accounts"},
    {"path": "/nowhere/*", "upstream": "nowhere", "auth": "public"},
    {"path": "/*", "upstream": "accounts", "auth": "public"},
]
TIMEOUTS = {
    "head": 2,
    "body_idle": 2,
    "response": 3,
    "connect": 2,
    "continue": 1,
    "linger": 1,
    "write": 3,
    "upstream_idle": 30,
}


@pytest.fixture(scope="session")
def relay(
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    upstream: Upstream,
    login_upstream: Upstream,
) -> Iterator[Gateway]:
    """The shared gateway."""
    folder: Path = tmp_path_factory.mktemp("relay")
    with gateway(
        folder,
        redis.url,
        upstreams={
            "shop": upstream.url,
            "accounts": login_upstream.url,
            "nowhere": "http://127.0.0.1:1",
        },
        login=[LOGIN],
        guessing="off",  # of all the logins that fail in the tests, none is a guess
        logout={"path": "/logout"},
        routes=ROUTES,
        timeouts=TIMEOUTS,
    ) as running:
        yield running


@pytest.fixture
def shop(upstream: Upstream) -> Iterator[Upstream]:
    """The shared upstream, with nothing recorded and its plain behaviour, before and after."""
    upstream.clear()
    yield upstream
    upstream.clear()


def log_in(port: int, name: str = "alice") -> str:
    """Logs in and returns the key."""
    body = json.dumps({"username": name}).encode()
    with Client(port) as client:
        client.send(
            b"POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        status, _, answer = client.answer()
    assert status == 200, answer
    return str(json.loads(answer)["token"])


@pytest.fixture
def key(relay: Gateway) -> str:
    """A fresh key of alice's."""
    return log_in(relay.port)

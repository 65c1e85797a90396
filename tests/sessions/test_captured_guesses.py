"""Routes that capture are no way to guess passwords: what could be a login there counts as one."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import token_of
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client
from tests.support.redis_server import RedisServer
from tests.support.serving import serving

TOKEN = "data.login.token"


class Backend:
    """One path for everything, with a login in it; and what has no login, but takes passwords."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        typed = await request.json()
        self.asked.append(typed)
        if request.path.lower().startswith("/graphql"):
            return self._graphql(typed)
        return web.json_response({"detail": "no"}, status=int(typed.get("status", 200)))

    def _graphql(self, typed: dict[str, Any]) -> web.Response:
        if typed.get("password") == "good":
            token = token_of(typed["username"])
            return web.json_response({"data": {"login": {"token": token}}})
        if typed.get("quiet"):
            return web.json_response({"data": {"login": {"problems": ["wrong"]}}})
        return web.json_response({"errors": ["no"]}, status=int(typed.get("status", 200)))


def serve() -> Iterator[tuple[Backend, str]]:
    app, behaviour = web.Application(), Backend()
    app.router.add_route("*", "/{path:.*}", behaviour.__call__)
    with serving(app) as url:
        yield behaviour, url


@pytest.fixture(scope="module")
def backend() -> Iterator[tuple[Backend, str]]:
    yield from serve()


@pytest.fixture(scope="module")
def others() -> Iterator[tuple[Backend, str]]:
    """A backend of other people, with the same paths."""
    yield from serve()


@pytest.fixture
def shop(backend: tuple[Backend, str]) -> Backend:
    backend[0].asked.clear()
    return backend[0]


@dataclass
class Caller:
    """Who asks the gateway, from an address of their own."""

    gateway: Gateway
    address: str

    def post(self, path: str, key: str = "", **typed: Any) -> tuple[int, Any]:
        """The status and the answer to a body in JSON."""
        body = json.dumps(typed).encode()
        field = f"Authorization: Bearer {key}\r\n" if key else ""
        with Client(self.gateway.port) as client:
            client.send(
                f"POST {path} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
                f"X-Forwarded-For: {self.address}\r\n{field}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            status, _, answer = client.answer()
        return status, json.loads(answer)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    backend: tuple[Backend, str],
    others: tuple[Backend, str],
) -> Iterator[Gateway]:
    at_graphql = {"kind": "backend", "backend_path": "/graphql"}
    sections: dict[str, Any] = {
        "upstreams": {
            "shop": backend[1],
            "alias": backend[1].replace("127.0.0.1", "localhost"),
            "office": others[1],
        },
        "login": [
            {"path": "/in", "upstream": "shop", **at_graphql},
            {"path": "/staff/in", "upstream": "office", "subject_prefix": "staff:", **at_graphql},
        ],
        "routes": [
            {"path": "/graphql", "upstream": "shop", "captures": TOKEN},
            {"path": "/cut/*", "upstream": "shop", "captures": TOKEN, "strip_prefix": "/cut"},
            {"path": "/api/*", "upstream": "shop", "captures": TOKEN},
            {"path": "/alias/*", "upstream": "alias", "captures": TOKEN, "strip_prefix": "/alias"},
            {"path": "/staff/*", "upstream": "office", "captures": TOKEN, "strip_prefix": "/staff"},
        ],
        "guessing": {"per_account": 3, "delay_after": 0},
        "trusted_proxies": "127.0.0.1",
    }
    store = {"url": redis.url, "prefix": "captured-guesses:"}
    with gateway(tmp_path_factory.mktemp("one"), store, **sections) as one:
        yield one


ADDRESSES = (f"192.0.2.{number}" for number in itertools.count(1))


@pytest.fixture
def one(running: Gateway) -> Caller:
    return Caller(running, next(ADDRESSES))


def log_in(one: Caller, name: str = "mallory") -> str:
    status, answer = one.post("/in", username=name, password="good")
    assert status == 200, answer
    return str(answer["data"]["login"]["token"])


def guesses(one: Caller, number: int, path: str, key: str, **typed: Any) -> list[int]:
    typed = {"username": "alice", "password": "guess", **typed}
    return [one.post(path, key, **typed)[0] for _ in range(number)]


@pytest.mark.parametrize(
    "path",
    [
        *("/graphql", "/cut/graphql", "/cut/GraphQL/", "/api/whatever"),
        *("/alias/graphql", "/alias/api/whatever"),
    ],
)
def test_guesses_at_a_route_are_a_logins_guesses(one: Caller, shop: Backend, path: str) -> None:
    """A session has as many for each account as there are at the login, and shares them
    with it; then even the right password is not tried, which would tell that it is right.
    """
    key = log_in(one)
    assert guesses(one, 2, path, key, status=401) == [401, 401]
    assert guesses(one, 1, "/in", "", status=401) == [401]
    asked = len(shop.asked)
    assert guesses(one, 2, path, key, password="good") == [429, 429]
    assert guesses(one, 1, "/in", "", password="good") == [429]
    assert len(shop.asked) == asked
    assert guesses(one, 1, path, key, username="bob", status=401) == [401]
    assert one.gateway.events(event="login_failed")[-1]["reason"] == "too_many_attempts"


@pytest.mark.parametrize("path", ["/graphql", "/api/whatever"])
def test_guesses_count_at_the_upstream_that_they_reach(
    one: Caller, shop: Backend, path: str
) -> None:
    """Two backends with the same paths have accounts of the same names, of other people."""
    key = log_in(one)
    assert guesses(one, 4, f"/staff{path}", key, status=401) == [401] * 3 + [429]
    assert guesses(one, 1, "/staff/in", "", status=401) == [429]
    assert guesses(one, 1, path, key, status=401) == [401]
    assert guesses(one, 1, "/in", "", status=401) == [401]


@pytest.mark.parametrize("typed", [{}, {"quiet": True}, {"password": "good"}])
def test_a_logins_path_says_yes_by_a_token_of_the_session(
    one: Caller, shop: Backend, typed: dict[str, Any]
) -> None:
    """A backend may say no with 200, under a name that the client has chosen; and what is right of
    another's password is one guess more.
    """
    key = log_in(one)
    expected = 502 if "password" in typed else 200
    assert guesses(one, 4, "/graphql", key, **typed) == [expected] * 3 + [429]


def test_many_passwords_in_one_request(one: Caller, shop: Backend) -> None:
    """Each is a guess, so these never reach the upstream."""
    key = log_in(one)
    asked = len(shop.asked)
    fields = (f'a{n}: login(username: "alice", password: "{n}") {{ token }}' for n in range(4))
    query = f"mutation {{ {' '.join(fields)} }}"
    assert one.post("/graphql", key, query=query)[0] == 429
    assert len(shop.asked) == asked


def test_guesses_without_a_name_count_for_their_session(one: Caller, shop: Backend) -> None:
    """So hiding the name gains nothing, and another user of the same address does not suffer."""
    mine, other = log_in(one), log_in(one, "bob")
    hidden = {"username": 7, "nick": "alice", "status": 401}
    assert guesses(one, 4, "/graphql", mine, **hidden) == [401] * 3 + [429]
    assert guesses(one, 1, "/graphql", other, **hidden) == [401]


def test_what_holds_no_password_is_no_guess(one: Caller, shop: Backend) -> None:
    """However often it fails, and whatever accounts it names."""
    key = log_in(one)
    for status in (200, 401, 422):
        typed = {"query": '{ user(login: "alice") { name } }', "status": status}
        assert [one.post("/graphql", key, **typed)[0] for _ in range(5)] == [status] * 5


def test_what_succeeds_is_no_guess(one: Caller, shop: Backend) -> None:
    """A new token for the session itself, and a password that is set where no login is."""
    key = log_in(one)
    again = {"username": "mallory", "password": "good"}
    assert guesses(one, 6, "/graphql", key, **again) == [200] * 6
    assert guesses(one, 6, "/api/password", key, username="mallory") == [200] * 6

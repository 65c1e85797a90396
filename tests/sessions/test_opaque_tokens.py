"""Opaque tokens in a session's life: renewed, captured, and ended with all of a user's sessions."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.raw import Client
from tests.support.serving import serving


class Backend:
    """Issues opaque tokens, renews them, and says whose they are."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: dict[str, str] = {}  # token → user
        self.refresh: dict[str, str] = {}
        self.life = 600.0
        self.gives: str = ""  # the user of tokens that `switch` and `refresh` give; "": the same
        self.asked = 0  # how often userinfo was

    def issue(self, user: str, *, names: bool) -> web.Response:
        token, refresh = secrets.token_hex(20), secrets.token_hex(20)
        self.tokens[token], self.refresh[refresh] = user, user
        data: dict[str, Any] = {"token": token, "refresh": refresh, "expires_in": self.life}
        if names:
            data["user"] = {"name": user, "role": f"role of {user}"}
        return web.json_response(data)

    async def login(self, request: web.Request) -> web.Response:
        user = (await request.json())["username"]
        return self.issue(user, names=True) if user else web.json_response({"token": "x" * 40})

    async def renew(self, request: web.Request) -> web.Response:
        user = self.refresh[(await request.json())["refresh"]]
        return self.issue(self.gives or user, names=self.gives != "")

    async def switch(self, request: web.Request) -> web.Response:
        return self.issue(self.gives or self._user(request), names=True)

    async def signup(self, request: web.Request) -> web.Response:
        return self.issue((await request.json())["name"], names=True)

    async def userinfo(self, request: web.Request) -> web.Response:
        self.asked += 1
        user = self._user(request)
        return web.json_response({"user": {"name": user, "role": f"role of {user}"}})

    async def call(self, request: web.Request) -> web.Response:
        shown = {name: request.headers.get(name, "") for name in ("X-User-Id", "X-Role")}
        return web.json_response({**shown, "user": self._user(request)})

    def _user(self, request: web.Request) -> str:
        return self.tokens[request.headers["Authorization"].removeprefix("Bearer ")]


@pytest.fixture(scope="module")
def running_backend() -> Iterator[Backend]:
    backend, app = Backend(), web.Application()
    for prefix in ("", "/info"):
        app.router.add_post(f"{prefix}/login", backend.login)
        app.router.add_post(f"{prefix}/refresh", backend.renew)
        app.router.add_post(f"{prefix}/switch", backend.switch)
    app.router.add_post("/signup", backend.signup)
    app.router.add_get("/me", backend.userinfo)
    app.router.add_get("/api/call", backend.call)
    with serving(app) as backend.url:
        yield backend


@pytest.fixture
def backend(running_backend: Backend) -> Backend:
    running_backend.life, running_backend.gives = 600.0, ""
    return running_backend


@pytest.fixture(scope="module")
def gate(start: Start, running_backend: Backend) -> Gateway:
    """Two logins: whose a token is, the reply says at one, and `userinfo` at the other."""

    def login(prefix: str, **more: Any) -> dict[str, Any]:
        return {
            "kind": "backend",
            "path": f"{prefix}/login",
            "upstream": "api",
            "token_kind": "opaque",
            "token": "/token",
            "subject": "/user/name",
            "subject_prefix": f"{prefix.strip('/') or 'plain'}:",
            "renew": {"upstream": "api", "backend_path": f"{prefix}/refresh"},
            **more,
        }

    return start(
        upstreams={"api": running_backend.url},
        login=[login(""), login("/info", userinfo="/me")],
        identity={"X-User-Id": "sub", "X-Role": "user.role"},
        session={"secrets": ["a secret of the tests, long enough"], "clock_skew": 0},
        guessing="off",
        routes=[
            {"path": "/api/*", "upstream": "api"},
            {"path": "/switch", "upstream": "api", "captures": "/token"},
            {
                "path": "/signup",
                "upstream": "api",
                "captures": "/token",
                "auth": "optional",
                "login": "/login",
            },
        ],
    )


def send(gate: Gateway, method: str, path: str, key: str = "", **data: Any) -> tuple[int, Any]:
    body = json.dumps(data).encode()
    credential = f"Authorization: Bearer {key}\r\n" if key else ""
    with Client(gate.port) as client:
        client.send(
            f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            f"{credential}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        code, _, answer = client.answer()
    return code, json.loads(answer) if answer else None


def log_in(gate: Gateway, user: str, prefix: str = "") -> str:
    code, answer = send(gate, "POST", f"{prefix}/login", username=user)
    assert code == 200
    return str(answer["token"])


@pytest.mark.parametrize(("prefix", "realm"), [("", "plain"), ("/info", "info")])
def test_a_renewed_token(gate: Gateway, backend: Backend, prefix: str, realm: str) -> None:
    """A reply that names no user keeps the session's; its claims stay, or `userinfo` says them."""
    backend.life = 0.5
    key, before = log_in(gate, "alice", prefix), len(backend.tokens)
    backend.life = 600.0
    time.sleep(0.6)
    code, shown = send(gate, "GET", "/api/call", key)
    assert (code, len(backend.tokens)) == (200, before + 1)
    assert shown == {
        "user": "alice",
        "X-User-Id": f"{realm}:alice",
        "X-Role": "role of alice",
    }


@pytest.mark.parametrize("prefix", ["", "/info"])
def test_a_renewed_token_of_another_user(gate: Gateway, backend: Backend, prefix: str) -> None:
    """The session ends with its present token, by the reply's word and by userinfo's."""
    backend.life = 0.5
    key = log_in(gate, "alice", prefix)
    backend.gives = "mallory"
    time.sleep(0.6)
    assert send(gate, "GET", "/api/call", key)[0] == 401


@pytest.mark.parametrize("prefix", ["", "/info"])
def test_a_captured_token(gate: Gateway, backend: Backend, prefix: str) -> None:
    """It has the session's user; another user's is 502, and changes nothing."""
    key = log_in(gate, "alice", prefix)
    code, shown = send(gate, "POST", "/switch", key)
    assert (code, shown["token"], shown["refresh"][:11]) == (200, key, "lk_refresh_")
    assert send(gate, "GET", "/api/call", key)[1]["user"] == "alice"
    backend.gives = "mallory"
    code, shown = send(gate, "POST", "/switch", key)
    assert (code, shown["reason"]) == (502, "other_subject")
    assert send(gate, "GET", "/api/call", key)[1]["user"] == "alice"


def test_a_captured_token_begins_a_session(gate: Gateway, backend: Backend) -> None:
    """As at its login: with the user and the claims that the reply names."""
    code, shown = send(gate, "POST", "/signup", name="carol")
    assert (code, shown["user"]["name"]) == (200, "carol")
    assert send(gate, "GET", "/api/call", shown["token"])[1] == {
        "user": "carol",
        "X-User-Id": "plain:carol",
        "X-Role": "role of carol",
    }


def test_userinfo_is_asked_once_for_each_token(gate: Gateway, backend: Backend) -> None:
    """Requests cost no more than with a JWT."""
    before, key = backend.asked, log_in(gate, "alice", "/info")
    for _ in range(5):
        assert send(gate, "GET", "/api/call", key)[0] == 200
    assert backend.asked == before + 1


@pytest.mark.parametrize("scope", ["others", "all"])
def test_a_user_without_a_name(gate: Gateway, backend: Backend, scope: str) -> None:
    """Nothing says whose the token is: a warning at the first login, and 409 for a scope."""
    key = log_in(gate, "")
    code, shown = send(gate, "POST", f"/logout?scope={scope}", key)
    assert (code, shown["reason"]) == (409, "unknown_subject")
    assert gate.log.read_text().count("nothing names the users of the login /login") == 1


def test_all_sessions_of_a_user(gate: Gateway, backend: Backend) -> None:
    """Those of one realm."""
    keys = [log_in(gate, "bob"), log_in(gate, "bob"), log_in(gate, "bob", "/info")]
    assert send(gate, "POST", "/logout?scope=all", keys[0])[0] == 204
    assert [send(gate, "GET", "/api/call", key)[0] for key in keys] == [401, 401, 200]

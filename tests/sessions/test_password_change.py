"""`ends`: after a password has been changed, other sessions end with the request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import SIGNING_SECRET, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import Client
from tests.support.redis_server import RedisServer, redis_server
from tests.support.serving import serving


class Backend:
    """Logs in whoever comes, and answers as its request says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile: Any = lambda: None

    async def __call__(self, request: web.Request) -> web.Response:
        typed = json.loads(await request.read() or b"{}")
        if request.path == "/login":
            return web.json_response({"token": token_of(**typed)})
        self.asked.append(f"{request.method} {request.path}")
        self.meanwhile()
        status, said = typed.get("status", 200), typed.get("say", {"ok": True})
        headers = {"Location": "/done"} if 300 <= status < 400 else {}
        if "token" in said:
            said["token"] = token_of("alice", n=1)
        return web.json_response(said, status=status, headers=headers)


@pytest.fixture(scope="module")
def backend() -> Iterator[tuple[Backend, str]]:
    app, behaviour = web.Application(), Backend()
    app.router.add_route("*", "/{path:.*}", behaviour.__call__)
    with serving(app) as url:
        yield behaviour, url


def sections(url: str) -> dict[str, Any]:
    verify = {"secret": SIGNING_SECRET}
    return {
        "upstreams": {"api": url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api", "verify": verify},
        "guessing": "off",
        "routes": [
            {"path": "/*", "upstream": "api"},
            {"path": "/password", "upstream": "api", "ends": "others"},
            {"path": "/reset", "upstream": "api", "ends": "all"},
            {"path": "/token", "upstream": "api", "ends": "others", "captures": True},
        ],
    }


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, backend: tuple[Backend, str]
) -> Iterator[tuple[Gateway, Gateway]]:
    folder = tmp_path_factory.mktemp("ends")
    with (
        gateway(folder / "one", redis.url, **sections(backend[1])) as one,
        gateway(folder / "two", redis.url, **sections(backend[1])) as two,
    ):
        yield one, two


@pytest.fixture
def shop(backend: tuple[Backend, str]) -> Iterator[Backend]:
    backend[0].asked.clear()
    yield backend[0]
    backend[0].meanwhile = lambda: None


def ask(
    running: Gateway, line: str, key: str = "", cookie: str = "", **typed: Any
) -> tuple[int, dict[str, str], Any]:
    body = json.dumps(typed).encode()
    carried = f"Authorization: Bearer {key}\r\n" if key else ""
    if cookie:
        carried = f"Cookie: {cookie}={key}\r\nSec-Fetch-Site: same-origin\r\n"
    with Client(running.port) as client:
        client.send(
            f"{line} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
            f"{carried}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        code, head, rest = client.answer()
    fields = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return code, {name.lower(): value for name, _, value in fields}, json.loads(rest or b"null")


def log_in(running: Gateway, subject: str = "alice") -> str:
    return str(ask(running, "POST /login", subject=subject)[2]["token"])


def lives(running: Gateway, key: str) -> bool:
    return ask(running, "GET /x", key)[0] == 200


def test_the_callers_other_sessions_end_on_every_gateway(
    both: tuple[Gateway, Gateway], shop: Backend
) -> None:
    """By the time the answer is there; those of others live, and so does the caller's own."""
    one, two = both
    own, other, third, bobs = log_in(one), log_in(two), log_in(one), log_in(two, "bob")
    assert all(lives(running, key) for running in both for key in (own, other, third, bobs))
    code, _, said = ask(one, "POST /password", own, say={"changed": True})
    assert (code, said, shop.asked[-1]) == (200, {"changed": True}, "POST /password")
    assert [lives(one, key) for key in (own, other, third, bobs)] == [True, False, False, True]
    eventually_dead(two, other, third)
    assert lives(two, own)
    assert lives(two, bobs)
    assert len(one.events(event="logout", reason="ends", subject="alice")) == 2


def eventually_dead(running: Gateway, *keys: str) -> None:
    """The other gateway hears of it by a push."""
    eventually(lambda: not any(lives(running, key) for key in keys))


def test_all_sessions_end_with_the_callers_own(
    both: tuple[Gateway, Gateway], shop: Backend
) -> None:
    """The answer comes all the same, and deletes the cookie of the key."""
    own, other = log_in(both[0]), log_in(both[1])
    code, fields, said = ask(both[0], "PUT /reset", own, cookie="latchkey")
    assert (code, said) == (200, {"ok": True})
    assert fields["set-cookie"].startswith("latchkey=;")
    assert [lives(both[0], key) for key in (own, other)] == [False, False]


@pytest.mark.parametrize("status", [201, 204, 302, 303])
def test_what_succeeds(both: tuple[Gateway, Gateway], shop: Backend, status: int) -> None:
    """Forms are answered with a redirect."""
    own, other = log_in(both[0]), log_in(both[0])
    assert ask(both[0], "POST /password", own, status=status)[0] == status
    assert (lives(both[0], own), lives(both[0], other)) == (True, False)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 500, 503])
def test_a_refusal_ends_nothing(both: tuple[Gateway, Gateway], shop: Backend, status: int) -> None:
    own, other = log_in(both[0]), log_in(both[0])
    for path in ("/password", "/reset"):
        assert ask(both[0], f"POST {path}", own, status=status)[0] == status
    assert lives(both[0], own)
    assert lives(both[0], other)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_look_ends_nothing(both: tuple[Gateway, Gateway], shop: Backend, method: str) -> None:
    """At the form's own page, say."""
    own, other = log_in(both[0]), log_in(both[0])
    assert ask(both[0], f"{method} /reset", own)[0] == 200
    assert lives(both[0], own)
    assert lives(both[0], other)


@pytest.mark.parametrize("path", ["/PASSWORD", "/password/", "/password.json", "/%70assword"])
def test_no_spelling_leads_around_it(
    both: tuple[Gateway, Gateway], shop: Backend, path: str
) -> None:
    """A backend may take it for the same path."""
    own, other = log_in(both[0]), log_in(both[0])
    assert ask(both[0], f"POST {path}", own)[0] == 200
    assert not lives(both[0], other)


def test_an_unknown_subject_is_409_before_the_call(
    both: tuple[Gateway, Gateway], shop: Backend
) -> None:
    """Its other sessions cannot be found: nothing may seem to be done."""
    own = log_in(both[0], "")
    for path in ("/password", "/reset"):
        code, _, said = ask(both[0], f"POST {path}", own)
        assert (code, said["reason"], shop.asked) == (409, "unknown_subject", [])


def test_a_key_is_needed(both: tuple[Gateway, Gateway], shop: Backend) -> None:
    assert ask(both[0], "POST /password")[0] == 401
    assert shop.asked == []


def test_a_new_token_in_the_reply_is_captured(both: tuple[Gateway, Gateway], shop: Backend) -> None:
    own, other = log_in(both[0]), log_in(both[0])
    code, _, said = ask(both[0], "POST /token", own, say={"token": True})
    assert (code, said["token"]) == (200, own)
    assert (lives(both[0], own), lives(both[0], other)) == (True, False)


def test_what_is_said_while_the_store_is_down(
    tmp_path: Path, backend: tuple[Backend, str], shop: Backend
) -> None:
    """Before the call, nothing has been done. After it, the answer says that sessions may live."""
    with redis_server(tmp_path) as store:
        settings = {"url": store.url, "timeout": "500ms"}
        with gateway(tmp_path / "one", settings, **sections(backend[1])) as one:
            own, other = log_in(one), log_in(one)
            shop.meanwhile = store.freeze
            code, _, said = ask(one, "POST /password", own)
            assert (code, said["reason"]) == (503, "sessions_left")
            shop.asked.clear()
            code, _, said = ask(one, "POST /password", own)
            assert (code, said["reason"], shop.asked) == (503, "store_unavailable", [])
            store.thaw()
            shop.meanwhile = lambda: None
            eventually(lambda: ask(one, "POST /password", own)[0] == 200)
            assert not lives(one, other)

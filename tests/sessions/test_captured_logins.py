"""`captures` with `auth: optional`: a token in a route's reply begins a session."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from gateway.core.sessions.keys import new_key
from tests.conftest import SIGNING_SECRET, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client
from tests.support.redis_server import RedisServer
from tests.support.serving import serving

VERIFY = {"secret": SIGNING_SECRET}
TOKEN = "/data/login/token"
ADDRESSES = (f"198.51.100.{number}" for number in itertools.count(1))


class Backend:
    """Answers what its request asks for, and remembers the requests."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        typed = await request.json() if request.body_exists else {}
        if request.path == "/graphql":
            return self._graphql(typed)
        if request.path == "/api/me":
            return web.json_response({"token": request.headers.get("Authorization", "")[7:9]})
        if request.path.startswith("/magic/"):
            answer = web.json_response({"hello": True}, status=302, headers={"Location": "/home"})
            answer.headers["Set-Cookie"] = f"jwt={token_of('magic')}; Path=/; HttpOnly"
            return answer
        said = {**typed["say"], "mfa": True} if "two" in typed else typed.get("say", {})
        token = token_of(typed.get("sub", "alice"), **typed.get("claims", {}))
        text = json.dumps(said).replace(
            "TOKEN", token.rpartition(".")[0] + "." if typed.get("unsigned") else token
        )
        return web.Response(
            status=typed.get("status", 200),
            body=text.encode(),
            headers={"Content-Type": "application/json", **typed.get("fields", {})},
        )

    def _graphql(self, typed: dict[str, Any]) -> web.Response:
        given = typed.get("variables", {})
        if "products" in typed["query"]:
            return web.json_response({"data": {"products": ["tea"]}})
        if "verify" in typed["query"]:
            if given["code"] != "good":
                return web.json_response({"errors": ["wrong"], "data": None})
            signed_in = {"mfaRequired": False, "token": token_of(given["t"][-5:])}
            return web.json_response({"data": {"login": signed_in}})
        if given.get("password") != "good":
            return web.json_response({"errors": ["wrong"], "data": None})
        name = given["username"]
        if name.startswith("mfa"):
            said: dict[str, Any] = {"mfaRequired": True, "mfaToken": f"00112233-4455-{name}"}
        else:
            said = {"mfaRequired": False, "token": token_of(name)}
        alias = given.get("alias", "login")
        return web.json_response({"data": {alias: said}})

    @property
    def last(self) -> web.Request:
        return self.asked[-1]


@pytest.fixture(scope="module")
def backend() -> Iterator[tuple[Backend, str]]:
    app, behaviour = web.Application(), Backend()
    app.router.add_route("*", "/{path:.*}", behaviour.__call__)
    with serving(app) as url:
        yield behaviour, url


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, backend: tuple[Backend, str]
) -> Iterator[Gateway]:
    kind = {"kind": "backend", "upstream": "shop", "subject_prefix": ""}
    sections: dict[str, Any] = {
        "upstreams": {"shop": backend[1]},
        "login": [
            {
                **kind,
                "path": "/in/graphql",
                "backend_path": "/graphql",
                "token": TOKEN,
                "pending": "/data/login/mfaRequired",
            },
            {**kind, "path": "/in", "verify": VERIFY, "pending": "/mfa"},
            {
                **kind,
                "path": "/visits",
                "methods": ["GET", "POST"],
                "verify": VERIFY,
                "cross_site": "allow",
            },
        ],
        "jwt": {**VERIFY, "subject_prefix": ""},
        "routes": [
            {
                "path": "/graphql",
                "upstream": "shop",
                "auth": "optional",
                "captures": TOKEN,
                "login": "/in/graphql",
            },
            {
                "path": "/auth/*",
                "upstream": "shop",
                "auth": "optional",
                "captures": "/token",
                "login": "/in",
            },
            {
                "path": "/magic/*",
                "upstream": "shop",
                "auth": "optional",
                "captures": "cookie:jwt",
                "login": "/visits",
            },
            {
                "path": "/closed/magic/*",
                "upstream": "shop",
                "auth": "optional",
                "captures": "cookie:jwt",
                "login": "/in",
                "strip_prefix": "/closed",
            },
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/services/*", "upstream": "shop", "accept_jwt": "verify"},
        ],
        "guessing": {"per_account": 3, "delay_after": 0},
        "trusted_proxies": "127.0.0.1",
    }
    store = {"url": redis.url, "prefix": "captured-logins:"}
    with gateway(tmp_path_factory.mktemp("one"), store, **sections) as one:
        yield one
        for log in (one.log, one.access_log, one.audit_log):
            assert "eyJ" not in log.read_text()
            assert "lk_" not in log.read_text()


Answer = tuple[int, dict[str, str], bytes]


class Visitor:
    """A client with an address of its own."""

    def __init__(self, running: Gateway) -> None:
        self.port = running.port
        self.address = next(ADDRESSES)

    def ask(self, method: str, path: str, typed: Any = None, **fields: str) -> Answer:
        body = b"" if typed is None else json.dumps(typed).encode()
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        with Client(self.port) as client:
            client.send(
                f"{method} {path} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
                f"X-Forwarded-For: {self.address}\r\n{lines}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            status, head, rest = client.answer()
        got: dict[str, str] = {}
        for line in head.decode().split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            got.setdefault(name.lower(), value)
        return status, got, rest

    def graphql(
        self, query: str = "{ login { mfaRequired token } }", key: str = "", **given: Any
    ) -> Any:
        fields = {"Authorization": f"Bearer {key}"} if key else {}
        _, _, body = self.ask("POST", "/graphql", {"query": query, "variables": given}, **fields)
        return json.loads(body)

    def say(self, said: Any, path: str = "/auth/x", **more: Any) -> Answer:
        """Ask the upstream to say this; `fields` are those of the request."""
        fields = more.pop("request", {})
        return self.ask("POST", path, {"say": said, **more}, **fields)

    def me(self, key: str, name: str = "") -> int:
        """The status of a call with a key, in a cookie of this name or in Authorization."""
        carried = {"Cookie": f"{name}={key}"} if name else {"Authorization": f"Bearer {key}"}
        return self.ask("GET", "/api/me", **carried)[0]


@pytest.fixture
def visitor(running: Gateway) -> Visitor:
    return Visitor(running)


# What begins a session.


def test_a_graphql_login_begins_a_session(running: Gateway, visitor: Visitor) -> None:
    """At the one path of the API, which anonymous queries use too."""
    assert visitor.graphql("{ products }") == {"data": {"products": ["tea"]}}
    said = visitor.graphql(username="alice", password="good")
    key = said["data"]["login"]["token"]
    assert key.startswith("lk_")
    assert visitor.me(key) == 200
    assert running.events(event="login", subject="alice")
    assert visitor.graphql("{ products }", key) == {"data": {"products": ["tea"]}}


def test_a_sign_up_begins_a_session(visitor: Visitor) -> None:
    """Anything at the place of the token: the reply keeps its shape, and no cache stores it."""
    code, fields, body = visitor.say({"token": "TOKEN", "id": 7}, sub="new", status=201)
    said = json.loads(body)
    assert (code, said["id"], fields["cache-control"]) == (201, 7, "no-store")
    assert visitor.me(said["token"]) == 200


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({"ok": True}, {}),
        ({"detail": "no such user"}, {"status": 404}),
        ({"token": "opaque"}, {}),
        ([1, "two", None], {"fields": {"X-Custom": "kept", "Cache-Control": "max-age=5"}}),
    ],
)
def test_a_reply_without_a_token_passes_as_it_came(
    visitor: Visitor, said: Any, more: dict[str, Any]
) -> None:
    code, fields, body = visitor.say(said, **more)
    assert (code, json.loads(body)) == (more.get("status", 200), said)
    for name, value in more.get("fields", {}).items():
        assert fields[name.lower()] == value


def test_the_upstream_gets_the_clients_own_authorization(
    visitor: Visitor, backend: tuple[Backend, str]
) -> None:
    visitor.say({}, request={"Authorization": "Basic YTpi", "X-User-Id": "root"})
    assert backend[0].last.headers["Authorization"] == "Basic YTpi"
    assert "X-User-Id" not in backend[0].last.headers
    assert not any(name.startswith("X-Latchkey") for name in backend[0].last.headers)


@pytest.mark.parametrize(
    ("path", "cookie"),
    [
        ("/in", ""),
        ("/in", "latchkey=DEAD"),
        ("/in", "latchkey=LIVING"),
        ("/auth/x", ""),
        ("/auth/x", "latchkey=DEAD"),
    ],
)
@pytest.mark.parametrize("credentials", ["tmp-3f2504e04f89", "TEMPORARY"])
def test_a_second_step_by_authorization(
    visitor: Visitor, backend: tuple[Backend, str], path: str, credentials: str, cookie: str
) -> None:
    """The temporary token reaches the backend in the client's own field, beside any cookie."""
    temporary = credentials.replace("TEMPORARY", token_of("alice", purpose="mfa"))
    living = visitor.graphql(username="alice", password="good")["data"]["login"]["token"]
    keys = {"DEAD": new_key(b"2" * 32).reveal(), "LIVING": living}
    sent = {"Authorization": f"Bearer {temporary}", "Sec-Fetch-Site": "same-origin"}
    if cookie:
        name, _, which = cookie.partition("=")
        sent["Cookie"] = f"{name}={keys[which]}"
    code, _, body = visitor.say({"token": "TOKEN"}, path, request=sent)
    assert (code, json.loads(body)["token"][:3]) == (200, "lk_")
    assert backend[0].last.headers["Authorization"] == f"Bearer {temporary}"


# Trust.


@pytest.mark.parametrize(
    "typed",
    [
        {"say": {"token": "FORGED"}},
        {"say": {"token": "FORGED"}, "status": 302},
        {"say": {"token": "TOKEN", "errors": ["no"]}},
        {"say": {"token": "TOKEN"}, "status": 401},
        {"say": {"data": {"token": "TOKEN"}}},
        {"say": {"refresh_token": "TOKEN"}},
    ],
)
def test_what_begins_none(visitor: Visitor, typed: dict[str, Any]) -> None:
    """Text of the client, a refusal, another place: no key, and no token gets out."""
    forged = token_of("root")
    sent = json.loads(json.dumps(typed).replace("FORGED", forged))
    _, _, body = visitor.ask("POST", "/auth/x", sent)
    assert b"lk_" not in body
    assert token_of("alice").encode()[:40] not in body.replace(forged.encode(), b"")


def test_a_token_that_is_not_verified_is_502(visitor: Visitor) -> None:
    """As at a login; and the answer shows no part of it."""
    for flaw in ({"claims": {"exp": 1}}, {"unsigned": True}):
        code, _, body = visitor.say({"token": "TOKEN"}, **flaw)
        assert (code, b"lk_" in body, b"eyJ" in body) == (502, False, False)


def test_aliases_open_nothing(visitor: Visitor) -> None:
    """A token under another name is removed."""
    said = visitor.graphql(username="alice", password="good", alias="mine")
    assert said == {"data": {"mine": {"mfaRequired": False, "token": ""}}}
    query = "{ login: profile { token: bio } }"
    assert "lk_" not in json.dumps(visitor.graphql(query, username="alice", password="good"))


# The session that the caller has.


def test_the_same_subject_keeps_its_key(visitor: Visitor) -> None:
    """A refresh on the same path replaces the token, as where a key is required."""
    key = visitor.graphql(username="alice", password="good")["data"]["login"]["token"]
    again = visitor.graphql(key=key, username="alice", password="good")
    assert again["data"]["login"]["token"] == key


def test_another_subject_gets_a_key_of_its_own(visitor: Visitor) -> None:
    """A key in a field is another device's, and lives on."""
    key = visitor.graphql(username="alice", password="good")["data"]["login"]["token"]
    other = visitor.graphql(key=key, username="bob", password="good")["data"]["login"]["token"]
    assert other != key
    assert (visitor.me(key), visitor.me(other)) == (200, 200)


def test_a_session_in_a_cookie_ends_with_the_next_login(visitor: Visitor) -> None:
    """So that whoever has planted the cookie gets nothing (wire-rules.md#E5)."""
    planted = visitor.graphql(username="mallory", password="good")["data"]["login"]["token"]
    own = {"Cookie": f"latchkey={planted}", "Sec-Fetch-Site": "same-origin"}
    code, fields, body = visitor.say({"token": "TOKEN"}, sub="victim", request=own)
    key = json.loads(body)["token"]
    assert (code, key != planted) == (200, True)
    assert fields["set-cookie"].startswith("latchkey=;")
    assert (visitor.me(planted), visitor.me(key)) == (401, 200)


def test_tokens_without_a_subject_share_no_session(visitor: Visitor) -> None:
    """They may be two people's."""
    _, _, body = visitor.say({"token": token_of("")}, sub="")
    nameless = {"say": {"token": "TOKEN"}, "sub": ""}
    _, _, body = visitor.ask("POST", "/auth/x", nameless)
    planted = json.loads(body)["token"]
    own = {"Cookie": f"latchkey={planted}", "Sec-Fetch-Site": "same-origin"}
    _, _, body = visitor.ask("POST", "/auth/x", nameless, **own)
    assert json.loads(body)["token"] not in ("", planted)
    assert visitor.me(planted) == 401


def test_a_dead_cookie_is_forgotten(visitor: Visitor) -> None:
    """The new one stays, where the answer sets it."""
    dead = new_key(b"1" * 32).reveal()
    own = {"Cookie": f"latchkey={dead}", "Sec-Fetch-Site": "same-origin"}
    code, fields, _ = visitor.say({}, request=own)
    assert (code, fields["set-cookie"].partition(";")[0]) == (200, "latchkey=")
    own["X-Requested-With"] = "cookie"
    code, fields, body = visitor.say({"token": "TOKEN"}, request=own)
    name, _, key = fields["set-cookie"].partition(";")[0].partition("=")
    assert (code, name, visitor.me(key, name)) == (200, "latchkey", 200)
    assert b"lk_" not in body


# Browsers.


def test_another_site_begins_no_session_by_a_cookie(visitor: Visitor) -> None:
    """It would log its visitor in as another user. In the reply, a script of its own gets nothing
    that it could not have asked for itself.
    """
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    by_cookie = {**foreign, "X-Requested-With": "cookie"}
    code, fields, body = visitor.say({"token": "TOKEN"}, request=by_cookie)
    assert (code, json.loads(body)["reason"], "set-cookie" in fields) == (403, "cross_site", False)
    assert visitor.say({"token": "TOKEN"}, request=foreign)[0] == 200


VISIT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/magic/abc", VISIT, 302),
        ("/magic/abc", {}, 302),
        ("/magic/abc", {**VISIT, "Sec-Fetch-Dest": "iframe"}, 403),
        ("/magic/abc", {**VISIT, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ("/closed/magic/abc", VISIT, 403),
        ("/closed/magic/abc", {**VISIT, "Sec-Fetch-Site": "none"}, 302),
    ],
)
def test_links_in_mails(visitor: Visitor, path: str, fields: dict[str, str], code: int) -> None:
    """From a site that shows mails, where the login says `cross_site: allow`, and by a visit."""
    got, answer, _ = visitor.ask("GET", path, **fields)
    assert got == code
    if code == 302:
        name, _, key = answer["set-cookie"].partition(";")[0].partition("=")
        home = path.removesuffix("/magic/abc") + "/home"  # the route strips this prefix
        assert (name, answer["location"], visitor.me(key, name)) == ("jwt", home, 200)
    else:
        assert "set-cookie" not in answer


def test_a_visit_ends_the_session_that_it_replaces(visitor: Visitor) -> None:
    _, answer, _ = visitor.ask("GET", "/magic/a")
    first = answer["set-cookie"].partition(";")[0].partition("=")[2]
    other = visitor.graphql(username="bob", password="good")["data"]["login"]["token"]
    _, answer, _ = visitor.ask("GET", "/magic/b", Cookie=f"latchkey={other}", **VISIT)
    again = answer["set-cookie"].partition(";")[0].partition("=")[2]
    assert [visitor.me(key, "jwt") for key in (first, again)] == [200, 200]
    assert visitor.me(other) == 401


# Guesses.


def test_passwords_are_counted_as_at_the_login(running: Gateway, visitor: Visitor) -> None:
    """By account; anonymous queries at the path are no guesses."""
    for _ in range(3):
        assert "errors" in visitor.graphql(username="carol", password="bad")
    assert visitor.graphql(username="carol", password="good")["reason"] == "too_many_attempts"
    assert "data" in visitor.graphql(username="dave", password="good")
    for _ in range(5):
        assert "data" in visitor.graphql("{ products }")
    assert running.events(event="login_failed", reason="status_200")


def test_a_pending_login_goes_on_at_the_same_path(running: Gateway, visitor: Visitor) -> None:
    """The temporary token passes; wrong codes count for the account that began."""

    def begin(name: str) -> str:
        query = "{ login { mfaRequired mfaToken } }"
        said = visitor.graphql(query, username=name, password="good")["data"]["login"]
        return str(said["mfaToken"])

    def second(token: str, code: str) -> Any:
        return visitor.graphql("{ verify }", t=token, code=code)

    mine, other = begin("mfa-alice"), begin("mfa-bobby")
    assert [begin("mfa-alice") for _ in range(4)] == [mine] * 4
    for _ in range(3):
        assert "errors" in second(mine, "bad")
    assert second(mine, "good")["reason"] == "too_many_attempts"
    assert begin("mfa-bobby") == other
    key = second(other, "good")["data"]["login"]["token"]
    assert visitor.me(key) == 200
    assert running.events(event="login_pending")


def test_a_code_alone_is_counted_too(visitor: Visitor) -> None:
    """With a name, or with a token that no login has given: as a guess, if the reply says no."""
    for _ in range(3):
        assert "errors" in visitor.graphql("{ verify }", t="made-up-by-the-client-1", code="bad")
    got = visitor.graphql("{ verify }", t="made-up-by-the-client-1", code="good")
    assert got["reason"] == "too_many_attempts"


def test_a_large_query_is_no_guess(visitor: Visitor) -> None:
    """However often it is refused, unless it holds a code: padding hides none."""
    large = "x" * 20_000
    for _ in range(6):
        assert visitor.say({"errors": ["no"]}, note=large)[0] == 200
    for _ in range(3):
        assert visitor.say({"errors": ["no"]}, note=large, verification_code="x")[0] == 200
    assert visitor.say({"errors": ["no"]}, note=large, verification_code="x")[0] == 429
    assert visitor.say({"errors": ["no"]}, note=large)[0] == 200


def test_a_temporary_token_is_no_token_anywhere(visitor: Visitor) -> None:
    """Neither a captured one, nor that of a service, nor a key."""
    whose: dict[str, Any] = {"sub": "eve", "claims": {"exp": 2**33}}
    _, _, body = visitor.say({"temporary": "TOKEN"}, **whose, two="steps")
    temporary = json.loads(body)["temporary"]
    assert temporary.startswith("eyJ")
    code, _, body = visitor.say({"token": "TOKEN"}, **whose)
    assert (code, b"lk_" in body) == (502, False)
    bearer = {"Authorization": f"Bearer {temporary}"}
    assert visitor.ask("GET", "/services/me", **bearer)[0] == 401
    assert visitor.ask("GET", "/api/me", **bearer)[0] == 401
    other = {"Authorization": f"Bearer {token_of('eve', n=1)}"}
    assert visitor.ask("GET", "/services/me", **other)[0] == 200

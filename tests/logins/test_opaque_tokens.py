"""`token_kind: opaque`: tokens that say nothing by themselves."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from tests.support.endpoints import BODY, Asked, World, answer, count, world
from tests.support.redis_server import RedisServer

TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"  # as DRF's documentation shows one
PIPED = "12|sLp1tSFWq0rDjCdq2kXWxNeJbSbQ8LPwTgWqOWtK"  # Sanctum's
JWE = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..MTIzNDU2Nzg5MDEy.c2VjcmV0dGV4dA.dGFndGFndGFndGFn"
LOGIN = {"kind": "backend", "path": "/login", "upstream": "accounts", "token_kind": "opaque"}
USER = {"id": 7, "role": "admin"}


def login(**more: Any) -> dict[str, Any]:
    return {**LOGIN, "token": "/token", "subject": "/user/id", **more}


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    async with world(redis.url, login=login(), guessing="off") as built:
        yield built


async def logged_in(place: World, reply: web.Response) -> tuple[int, Any, str]:
    """The status, the body and all that the client got."""
    place.backend.answer = reply
    status, fields, body = await place.ask("POST", "/login", BODY, Content_Type="application/json")
    return status, body, f"{dict(fields)}{body.decode('latin-1')}"


@pytest.mark.parametrize("token", [TOKEN, PIPED, JWE])
async def test_a_key_takes_the_tokens_place(place: World, token: str) -> None:
    """The session has the token, its user and what the reply says of the user."""
    data = {"expiry": None, "token": token, "user": USER}
    status, body, _ = await logged_in(place, answer(data))
    shown = json.loads(body)
    assert status == 200
    assert shown == {**data, "token": shown["token"]}
    resolved = await place.resolved(shown["token"])
    assert (resolved.token, resolved.session.subject) == (token.encode(), "7")
    assert resolved.session.claim("/user/role") == "admin"
    assert resolved.session.claims == {"expiry": None, "user": USER}


@pytest.mark.parametrize(
    ("where", "reply"),
    {
        "header": ("header:X-Token", answer({}, X_Token=PIPED)),
        "scheme": ("header:Authorization", answer({}, Authorization=f"Token {PIPED}")),
        "cookie": ("cookie:sid", answer({}, Set_Cookie=f"sid={TOKEN}; Path=/; HttpOnly")),
        "batch": ("/0/token", answer([{"token": PIPED}])),
    }.values(),
)
async def test_each_place(redis: RedisServer, where: str, reply: web.Response) -> None:
    """A field, behind a scheme, a cookie, or anywhere in JSON."""
    async with world(redis.url, login=login(token=where), guessing="off") as place:
        status, _, shown = await logged_in(place, reply)
        assert status == 200
        assert shown.count("lk_") == 1
        assert TOKEN not in shown
        assert PIPED not in shown
        assert await count(place) == 1


async def test_no_other_place_keeps_the_token(place: World) -> None:
    """Neither a field, nor a cookie in percent-encoding, nor a text around it."""
    reply = answer(
        {"token": PIPED, "url": f"https://a.example/?t={quote(PIPED)}", "also": f"Token {PIPED}"},
        X_Also=PIPED,
        Set_Cookie=f"also={quote(PIPED)}; Path=/",
    )
    status, body, shown = await logged_in(place, reply)
    assert status == 200
    assert PIPED.partition("|")[2] not in shown
    assert json.loads(body)["also"].startswith("Token lk_")


@pytest.mark.parametrize(
    "data",
    [
        {"token": "1234567", "user": USER},
        {"token": "welcome, alice, to the shop", "user": USER},
        {"token": "x" * 17000, "user": USER},
        {"token": "관리자관리자관리자관리자관리자관리자", "user": USER},
        {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "user": USER},
        {"token": 12345678901234567890, "user": USER},
        {"token": None, "user": USER},
        {"other": TOKEN, "user": USER},
        b'{"token": "%b", "token": "%b"}' % (TOKEN.encode(), PIPED.encode()),
        {"token": TOKEN, "success": False},
        {"token": TOKEN, "errors": [{"message": "no"}]},
    ],
)
async def test_what_is_no_token(place: World, data: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Too short, too long, no text of a token, unsigned, ambiguous, or beside a "no".

    The log says why, without a value.
    """
    status, _, shown = await logged_in(place, answer(data))
    assert status == 502
    assert await count(place) == 0
    assert TOKEN not in shown
    assert caplog.records
    assert not any(text in caplog.text for text in (TOKEN, PIPED, "1234567", "welcome", "관리"))


@pytest.mark.parametrize(
    "data", [{"token": TOKEN, "mfa_required": True}, {"token": TOKEN, "token_type": "mfa"}]
)
async def test_a_second_step_makes_no_session(place: World, data: Any) -> None:
    """Its token is good for that step alone."""
    status, _, shown = await logged_in(place, answer(data))
    assert status == 200
    assert "lk_" not in shown
    assert await count(place) == 0


@pytest.mark.parametrize(
    "sent",
    [
        {"username": TOKEN},
        {"first": TOKEN[:20], "second": TOKEN[20:]},
        {"username": TOKEN[4:]},
        {"username": TOKEN.upper()},
    ],
)
async def test_text_of_the_client_is_no_token(place: World, sent: Any) -> None:
    """As it came, joined of two fields, or behind some text of the backend's."""
    place.backend.answer = answer({"token": TOKEN, "user": USER})
    status, _, _ = await place.ask("POST", "/login", json.dumps(sent).encode())
    assert status == 502
    assert await count(place) == 0


async def test_a_token_may_hold_its_users_name(place: World) -> None:
    """That is no echo: most of it is the backend's own."""
    place.backend.answer = answer({"token": f"alice@shop.example-{TOKEN}", "user": USER})
    sent = json.dumps({"username": "alice@shop.example"}).encode()
    assert (await place.ask("POST", "/login", sent))[0] == 200


@pytest.mark.parametrize(
    ("member", "value", "seconds"),
    [
        ("expires_in", 120, 120),
        ("expiresIn", "120", 120),
        ("expires_at", "epoch", 600),
        ("expiry", "iso", 600),
        ("expiry", "naive", 600),
        ("expiry", None, None),
        ("expiry", "soon", None),
    ],
)
async def test_the_reply_says_how_long(
    place: World, member: str, value: Any, seconds: float | None
) -> None:
    """Seconds, UNIX time or a date; the session ends with its token."""
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + 600))
    spelled = {"epoch": int(now + 600), "iso": f"{moment}.123456Z", "naive": moment}
    data = {"token": TOKEN, "user": USER, member: spelled.get(value, value)}
    resolved = await place.resolved(json.loads((await logged_in(place, answer(data)))[1])["token"])
    longest = place.config.session.max_age
    assert abs(resolved.session.ends_at - now - (seconds or longest)) < 30


@pytest.mark.parametrize(
    ("lifetime", "data", "seconds"),
    [("10m", {}, 600), ("/session/ttl", {"session": {"ttl": 60}}, 60)],
)
async def test_config_says_how_long(
    redis: RedisServer, lifetime: str, data: Any, seconds: float
) -> None:
    """A duration, or the place in the reply."""
    async with world(redis.url, login=login(lifetime=lifetime), guessing="off") as place:
        reply = answer({"token": TOKEN, "user": USER, **data})
        resolved = await place.resolved(json.loads((await logged_in(place, reply))[1])["token"])
        assert abs(resolved.session.ends_at - time.time() - seconds) < 30
        wrong = answer({"token": TOKEN, "user": USER, "session": {"ttl": "soon"}})
        if lifetime.startswith("/"):
            assert (await logged_in(place, wrong))[0] == 502


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [("Max-Age=600", 600), ("Expires={}", 600), ("Path=/", None), ("Max-Age=soon", None)],
)
async def test_a_token_ends_with_its_cookie(
    redis: RedisServer, attributes: str, seconds: float | None
) -> None:
    """Unless the reply says more."""
    now = time.time()
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now + 600))
    reply = answer({}, Set_Cookie=f"sid={TOKEN}; {attributes.format(date)}")
    async with world(redis.url, login=login(token="cookie:sid"), guessing="off") as place:
        shown = (await logged_in(place, reply))[2]
        key = shown[shown.index("lk_") :].partition(";")[0]
        ends = (await place.resolved(key)).session.ends_at
        assert abs(ends - now - (seconds or place.config.session.max_age)) < 30


async def test_a_token_that_has_expired(place: World) -> None:
    """It opens no session."""
    data = {"token": TOKEN, "user": USER, "expiry": "2001-01-01T00:00:00Z"}
    assert (await logged_in(place, answer(data)))[0] == 502


USERINFO = login(userinfo="/api/me", subject=["sub", "/user/id"])


async def test_the_backend_says_whose_it_is(redis: RedisServer) -> None:
    """It is asked with the token, and its answer holds the claims."""
    asked: list[Asked] = []

    async def reply(request: Asked) -> web.Response:
        asked.append(request)
        if request.method == "POST":
            return answer({"token": TOKEN, "user": {"id": "of the reply"}})
        return answer({"user": USER, "groups": ["a", "b"]})

    async with world(redis.url, login=USERINFO, guessing="off") as place:
        place.backend.answer = reply
        _, _, body = await place.ask(
            "POST", "/login", BODY, Host="shop.example", X_Forwarded_Proto="https", Cookie="a=b"
        )
        resolved = await place.resolved(json.loads(body)["token"])
        assert resolved.session.subject == "7"
        assert resolved.session.claim("groups") == ["a", "b"]
        assert (asked[1].method, asked[1].target) == ("GET", "/api/me")
        assert asked[1].headers.getall("Authorization") == [f"Bearer {TOKEN}"]
        # Django's ALLOWED_HOSTS and SECURE_SSL_REDIRECT, and tenants by host.
        assert asked[1].headers.getall("Host") == ["shop.example"]
        assert asked[1].headers.getall("X-Forwarded-Proto") == ["https"]
        assert "Cookie" not in asked[1].headers


@pytest.mark.parametrize(
    ("token", "send_token", "lines"),
    [
        ("/token", "auto", {"Authorization": f"Bearer {TOKEN}"}),
        ("/token", "scheme:Token", {"Authorization": f"Token {TOKEN}"}),
        ("/token", "header:X-Auth", {"X-Auth": TOKEN}),
        ("/token", "cookie:sid", {"Cookie": f"sid={TOKEN}"}),
        ("/token", "query:t", {}),
        ("cookie:sid", "auto", {"Cookie": f"sid={TOKEN}"}),
        ("header:Authorization", "auto", {"Authorization": f"Token {TOKEN}"}),
    ],
)
async def test_it_is_asked_as_upstreams_are(
    redis: RedisServer, token: str, send_token: str, lines: dict[str, str]
) -> None:
    """In the same field, cookie or parameter, and in no other one."""
    fields = {"cookie:sid": ("Set-Cookie", f"sid={TOKEN}; Path=/")}
    fields["header:Authorization"] = ("Authorization", f"Token {TOKEN}")

    async def reply(request: Asked) -> web.Response:
        if request.method == "GET":
            return answer({"user": USER})
        name, value = fields.get(token, ("X-None", ""))
        return answer({"token": TOKEN} if token == "/token" else {}, 200, **{name: value})

    async with world(redis.url) as first:
        first.backend.answer = reply
        upstreams = {"accounts": {"servers": first.backend.url, "send_token": send_token}}
        section = {**USERINFO, "token": token}
        async with world(redis.url, login=section, upstreams=upstreams, guessing="off") as place:
            assert (await place.ask("POST", "/login", BODY))[0] == 200
        asked = first.backend.last
        assert asked.target == ("/api/me?t=" + TOKEN if send_token == "query:t" else "/api/me")
        assert {name: value for name, value in asked.headers.items() if TOKEN in value} == lines


@pytest.mark.parametrize("status", [200, 302, 401, 500])
async def test_a_backend_that_does_not_know_the_token(redis: RedisServer, status: int) -> None:
    """Then the login fails, whatever it has answered before."""

    async def reply(request: Asked) -> web.Response:
        if request.method == "POST":
            return answer({"token": TOKEN, "user": USER})
        return answer([USER] if status == 200 else {"user": USER}, status)

    async with world(redis.url, login=USERINFO, guessing="off") as place:
        place.backend.answer = reply
        assert (await place.ask("POST", "/login", BODY))[0] == 502
        assert await count(place) == 0


async def test_graphql_clients_name_no_user(redis: RedisServer) -> None:
    """An alias could make any text of a reply the subject."""
    section = login(token="/data/login/token", subject="/data/login/user/id", claims="data.login.r")
    async with world(redis.url, login=section, guessing="off") as place:
        data = {"data": {"login": {"token": TOKEN, "user": {"id": "admin"}}}}
        place.backend.answer = answer(data)
        for query, expected in (
            ("mutation { login { token user { id: nickname } } }", 502),
            ("mutation { login { token: secret user { id } } }", 502),
            ("mutation { login { token user { r: id } } }", 502),
            ("mutation { login { token user { id } } }", 200),
        ):
            sent = json.dumps({"query": query}).encode()
            assert (await place.ask("POST", "/login", sent))[0] == expected, query


async def test_what_a_session_keeps_is_bounded(redis: RedisServer) -> None:
    """Too much is left out as a whole, unless `claims` names what is needed."""
    data = {"token": TOKEN, "user": USER, "avatar": "x" * 5000}
    for claims, role in (((), None), (("user.role", "/user/none"), "admin")):
        async with world(redis.url, login=login(claims=claims), guessing="off") as place:
            reply = answer(data)
            resolved = await place.resolved(json.loads((await logged_in(place, reply))[1])["token"])
            assert resolved.session.subject == "7"
            assert resolved.session.claim("/user/role") == role
            assert resolved.session.claim("avatar") is None


WRITTEN = [
    ("application/json", {"user": {"role": "admin"}}),
    ("application/json", {"role": "Admin"}),
    ("application/x-www-form-urlencoded", "user[role]=admin"),
    ("application/x-www-form-urlencoded", "r%6fle=admin"),
]


@pytest.mark.parametrize(("content_type", "sent"), WRITTEN)
async def test_a_client_writes_no_claims(place: World, content_type: str, sent: Any) -> None:
    """Where a backend repeats its input, a typed role is no claim; what was not typed is one."""
    user = {"id": 7, "role": "admin", "username": "alice", "plan": "free"}
    place.backend.answer = answer({"token": TOKEN, "user": user, "role": ["admin"]})
    typed = {"username": "alice", "password": "wonderland", "plan": "gold"}
    body = json.dumps({**typed, **sent}) if isinstance(sent, dict) else f"username=alice&{sent}"
    _, _, got = await place.ask("POST", "/login", body.encode(), Content_Type=content_type)
    session = (await place.resolved(json.loads(got)["token"])).session
    del user["role"]
    assert (session.subject, session.claims) == ("7", {"user": user})


async def test_a_client_writes_no_claim_that_config_names(redis: RedisServer) -> None:
    chosen = login(claims=["/user/role", "/user/plan"])
    async with world(redis.url, login=chosen, guessing="off") as place:
        user = {"id": 7, "role": "admin", "plan": "free"}
        place.backend.answer = answer({"token": TOKEN, "user": user})
        body = b'{"username": "alice", "password": "wonderland", "role": "admin"}'
        _, _, got = await place.ask("POST", "/login", body, Content_Type="application/json")
        session = (await place.resolved(json.loads(got)["token"])).session
        assert (session.claim("/user/role"), session.claim("/user/plan")) == (None, "free")

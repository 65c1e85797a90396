"""`kind: backend`: what the backend gets, and what the client gets of its replies."""

import gzip
import json
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
from aiohttp import web

from gateway.store.errors import StoreUnavailable
from tests.conftest import token_of
from tests.support.endpoints import BODY, Asked, World, answer, count, world
from tests.support.redis_server import RedisServer

# What the backend gets.


async def test_the_request_reaches_the_backend_as_it_came(place: World) -> None:
    """Method, query, body and fields are the client's own; the path is the backend's."""
    place.backend.answer = answer({"token": token_of("alice")})
    await place.ask(
        "POST",
        "/login?next=%2Fa%20b&x=1+2",
        BODY,
        Content_Type="application/json",
        Accept="text/html",
        Cookie="theme=dark",
        Authorization="Basic YTpi",
        X_Forwarded_For="192.0.2.7",
        X_Request_Id="r1",
        Host="app.example",
    )
    got = place.backend.last
    assert (got.method, got.target, got.body) == (
        "POST",
        "/backend/login?next=%2Fa%20b&x=1+2",
        BODY,
    )
    for name, value in {
        "Content-Type": "application/json",
        "Accept": "text/html",
        "Cookie": "theme=dark",
        "Authorization": "Basic YTpi",
        "X-Forwarded-For": "192.0.2.7",
        "X-Request-Id": "r1",
        "Host": "app.example",
        "Accept-Encoding": "identity",
    }.items():
        assert got.headers.getall(name) == [value]


async def test_nothing_is_added_to_the_request(place: World) -> None:
    """No name of aiohttp's, no content type that the client did not send."""
    place.backend.answer = answer({"token": token_of("alice")})
    await place.ask("POST", "/login", BODY, Accept_Encoding="br", Connection="keep-alive, X-Hop")
    assert {name.lower() for name in place.backend.last.headers} <= {
        "host",
        "accept-encoding",
        "content-length",
        "connection",
    }


async def test_a_body_in_a_coding_goes_as_it_is(place: World) -> None:
    """A compressed body is the backend's to unpack, with the field that says so."""
    place.backend.answer = answer({"token": token_of("alice")})
    await place.ask("POST", "/login", gzip.compress(BODY), Content_Encoding="gzip")
    assert gzip.decompress(place.backend.last.body) == BODY
    assert place.backend.last.headers["Content-Encoding"] == "gzip"


async def test_a_login_sees_nothing_of_another_session(place: World) -> None:
    """With a resolved key, the token and the identity in the request are that session's."""
    place.backend.answer = answer({"token": token_of("alice")})
    await place.ask(
        "POST",
        "/login",
        BODY,
        Authorization=f"Bearer {token_of('bob')}",
        X_User_Id="bob",
        X_Latchkey_Session="0" * 64,
        X_Latchkey_Carrier="header",
    )
    names = {name.lower() for name in place.backend.last.headers}
    assert not names & {"authorization", "x-user-id", "x-latchkey-session", "x-latchkey-carrier"}


async def test_the_upstreams_own_host_can_be_asked_for(redis: RedisServer) -> None:
    """`host: upstream` holds for logins as it does for routes."""
    async with world(redis.url) as first:
        upstream = {"accounts": {"servers": [first.backend.url], "host": "upstream"}}
        async with world(redis.url, upstreams=upstream) as place:
            first.backend.answer = answer({"token": token_of("alice")})
            await place.ask("POST", "/login", BODY, Host="app.example")
            assert first.backend.last.headers.getall("Host") == [first.backend.url[7:]]


async def test_each_login_has_a_connection_of_its_own(place: World) -> None:
    """A kept connection may be closing; a login on it would fail, or be sent twice
    (wire-rules.md#D6).
    """
    connections = set()

    async def remember(asked: Asked) -> web.Response:
        connections.add(asked.headers.get("Connection"))
        return answer({"token": token_of("alice")})

    place.backend.answer = remember
    for _ in range(2):
        assert (await place.ask("POST", "/login", BODY))[0] == 200
    assert connections <= {"close"}


async def test_a_preflight_is_answered_by_the_backend(place: World) -> None:
    """Whether a page of another origin may log in is the backend's to say; nothing is issued."""
    place.backend.answer = web.Response(
        status=204,
        headers={"Access-Control-Allow-Origin": "https://app.example", "X-T": token_of("alice")},
    )
    status, headers, _ = await place.ask(
        "OPTIONS", "/login", Origin="https://app.example", Access_Control_Request_Method="POST"
    )
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "https://app.example")
    assert headers["X-T"] == ""
    assert await count(place) == 0


# What the client gets.


async def test_the_token_becomes_a_key(place: World) -> None:
    """The reply is the backend's, with a key in the token's place that opens the session."""
    token = token_of("alice", role="admin")
    reply = {"token": token, "refresh_token": "opaque", "user": {"name": "alice"}}
    place.backend.answer = answer(reply, status=201, X_Custom="kept", Cache_Control="public")
    status, headers, body = await place.ask(
        "POST", "/login", BODY, User_Agent="curl/8", X_Real_IP="192.0.2.7"
    )
    data = json.loads(body)
    assert (status, headers["X-Custom"], data["user"]) == (201, "kept", {"name": "alice"})
    assert data["refresh_token"] == ""
    assert data["token"].startswith("lk_")
    assert token.encode() not in body
    session = (await place.resolved(data["token"])).session
    assert (session.subject, session.login) == ("alice", "/login")
    assert session.token.reveal() == token
    assert headers.getall("Cache-Control") == ["no-store"]
    assert "Server" not in headers or "aiohttp" in headers["Server"]


async def test_the_session_ends_with_the_token(place: World) -> None:
    """A session outlives its token by no more than clocks differ, and never the configured age."""
    soon, skew = int(time.time()) + 60, place.config.session.clock_skew
    for expires, at_most in (
        (soon, soon + skew),
        (None, time.time() + 43_201),
        (10**30, time.time() + 43_201),
    ):
        place.backend.answer = answer({"token": token_of("alice", exp=expires)})
        _, _, body = await place.ask("POST", "/login", BODY)
        assert (await place.resolved(json.loads(body)["token"])).session.ends_at <= at_most


async def test_every_login_is_a_new_key(place: World) -> None:
    """Two devices of one subject have two sessions, also with the very same token."""
    place.backend.answer = answer({"token": token_of("alice")})
    keys = [json.loads((await place.ask("POST", "/login", BODY))[2])["token"] for _ in range(2)]
    assert len(set(keys)) == 2
    assert all([await place.is_known(key) for key in keys])


async def test_a_token_that_names_nobody_is_nobody_elses(place: World) -> None:
    """Without a subject, a session is listed with no other's."""
    subjects = set()
    for name in ("a", "b"):
        place.backend.answer = answer({"token": token_of("alice", sub=None, jti=name)})
        _, _, body = await place.ask("POST", "/login", BODY)
        subjects.add((await place.resolved(json.loads(body)["token"])).session.subject)
    assert len(subjects) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
async def test_a_refusal_comes_back_as_it_came(place: World, status: int) -> None:
    """What the backend says no with is for the client: status, fields and body."""
    place.backend.answer = answer(
        {"detail": "no", "refresh": ["required"]}, status=status, Retry_After="7", X_Why="because"
    )
    got, headers, body = await place.ask("POST", "/login", BODY)
    assert got == status
    assert body == b'{"detail": "no", "refresh": ["required"]}'
    assert (headers["Retry-After"], headers["X-Why"]) == ("7", "because")
    assert await count(place) == 0


async def test_a_refusal_leaks_no_token(place: World) -> None:
    """Even a refusal with a token in it does not hand one out."""
    token = token_of("alice")
    place.backend.answer = answer({"token": token}, status=409, X_Token=token)
    status, headers, body = await place.ask("POST", "/login", BODY)
    assert (status, json.loads(body), headers["X-Token"]) == (409, {"token": ""}, "")


async def test_a_redirect_with_a_token_is_swapped(place: World) -> None:
    """No 302 is followed; its cookie's token becomes a key (wire-rules.md#E2, #E12)."""
    token = token_of("alice")
    place.backend.answer = web.Response(
        status=302, headers={"Location": "/welcome", "Set-Cookie": f"jwt={token}; Path=/; HttpOnly"}
    )
    status, headers, _ = await place.ask("POST", "/login", BODY)
    assert (status, headers["Location"]) == (302, "/welcome")
    key = headers["Set-Cookie"].removeprefix("jwt=").removesuffix("; Path=/; HttpOnly")
    assert (await place.resolved(key)).session.token.reveal() == token
    assert len(place.backend.asked) == 1


async def test_a_redirect_without_a_token_passes(place: World) -> None:
    """A form login that failed sends the browser back to its form."""
    place.backend.answer = web.Response(status=303, headers={"Location": "/login?error=1"})
    status, headers, _ = await place.ask("POST", "/login", BODY)
    assert (status, headers["Location"]) == (303, "/login?error=1")
    assert await count(place) == 0


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)],
)
@pytest.mark.parametrize("status", [200, 401])
async def test_a_packed_reply_hides_no_token(
    place: World, coding: str, pack: Callable[[bytes], bytes], status: int
) -> None:
    """A backend that packs its reply without being asked is unpacked (wire-rules.md#E2)."""
    token = token_of("alice")
    packed = pack(json.dumps({"token": token}).encode())
    place.backend.answer = answer(packed, status=status, Content_Encoding=coding)
    got, headers, body = await place.ask("POST", "/login", BODY)
    assert got == status
    assert "Content-Encoding" not in headers
    given = json.loads(body)["token"]
    assert given.startswith("lk_") if status == 200 else given == ""


@pytest.mark.parametrize("coding", ["zstd", "compress", "gzip, gzip", "x-secret"])
async def test_a_reply_in_an_unknown_coding_is_refused(place: World, coding: str) -> None:
    """What cannot be read may hold a token, so it is not passed (wire-rules.md#E2)."""
    place.backend.answer = answer(b"packed somehow", Content_Encoding=coding)
    status, headers, body = await place.ask("POST", "/login", BODY)
    assert (status, headers["Content-Type"]) == (502, "application/problem+json")
    assert b"packed" not in body


async def test_a_reply_that_is_not_what_its_coding_says_is_refused(place: World) -> None:
    """Broken compression is a broken reply."""
    place.backend.answer = answer(b"this is no gzip", Content_Encoding="gzip")
    assert (await place.ask("POST", "/login", BODY))[0] == 502


async def test_a_chunked_reply_is_swapped(place: World) -> None:
    """A reply of unknown length is read to its end (wire-rules.md#E2)."""

    async def chunked(_asked: Asked) -> web.StreamResponse:
        response = web.Response(body=json.dumps({"token": token_of("alice")}).encode())
        response.enable_chunked_encoding()
        return response

    place.backend.answer = chunked
    _, _, body = await place.ask("POST", "/login", BODY)
    assert json.loads(body)["token"].startswith("lk_")


def _raw(subject: str) -> bytes:
    return token_of(subject).encode()


BROKEN_SUCCESSES: list[tuple[str, Callable[[], web.Response]]] = [
    ("no token", lambda: answer({"ok": True})),
    ("an opaque token", lambda: answer({"token": "opaque"})),
    ("only a refresh token", lambda: answer({"refresh": token_of("alice")})),
    ("a page", lambda: answer(b"<html>hello</html>", Content_Type="text/html")),
    ("nothing", lambda: web.Response(status=204)),
    ("half JSON", lambda: answer(b'{"token": "')),
    ("a list of nothing", lambda: answer([])),
    ("two tokens", lambda: answer({"tokens": [token_of("alice"), token_of("bob")]})),
    (
        "the same name twice",
        lambda: answer(b'{"token": "%b", "token": "%b"}' % (_raw("alice"), _raw("bob"))),
    ),
    ("an expired token", lambda: answer({"token": token_of("alice", exp=1)})),
]


@pytest.mark.parametrize(
    "make", [case[1] for case in BROKEN_SUCCESSES], ids=[case[0] for case in BROKEN_SUCCESSES]
)
async def test_a_success_without_a_usable_token_is_refused(
    place: World, caplog: pytest.LogCaptureFixture, make: Callable[[], web.Response]
) -> None:
    """It is a 502 with a clear line in the log, and no session."""
    place.backend.answer = make()
    status, _, body = await place.ask("POST", "/login", BODY, X_Request_Id="r-17")
    assert (status, json.loads(body)["reason"]) == (502, "no_token")
    assert b"eyJ" not in body
    assert [
        message for message in caplog.messages if "login r-17" in message and "token" in message
    ]
    assert "eyJ" not in caplog.text
    assert await count(place) == 0


async def test_an_expiry_that_is_a_text_is_refused(place: World) -> None:
    """A token without a known end makes no session."""
    header, _, signature = token_of("alice").split(".")
    token = (
        f"{header}.eyJzdWIiOiJhIiwiZXhwIjoiOTk5OTk5OTk5OSJ9.{signature}"  # {"exp": "9999999999"}
    )
    place.backend.answer = answer({"token": token})
    status, _, body = await place.ask("POST", "/login", BODY)
    assert (status, json.loads(body)["reason"]) == (502, "no_token")
    assert token.encode() not in body


@pytest.mark.parametrize(
    ("place_of_token", "make"),
    [
        ("/data/token", lambda token: answer({"data": {"token": token}})),
        ("header:X-Token", lambda token: answer({}, X_Token=token)),
        ("cookie:jwt", lambda token: answer({}, Set_Cookie=f"jwt={token}; Path=/")),
    ],
)
async def test_the_token_is_taken_from_where_config_says(
    redis: RedisServer, place_of_token: str, make: Callable[[str], web.Response]
) -> None:
    """A pointer, a field or a cookie: the key stands there afterwards."""
    login = {"kind": "backend", "path": "/login", "upstream": "accounts", "token": place_of_token}
    async with world(redis.url, login=login) as place:
        token = token_of("alice")
        place.backend.answer = make(token)
        status, headers, body = await place.ask("POST", "/login", BODY)
        assert status == 200
        text = body.decode() + str(headers)
        assert "lk_" in text
        assert token not in text
        assert await count(place) == 1


# What goes wrong.


async def test_when_the_store_takes_no_session_the_token_goes_nowhere(
    place: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """wire-rules.md#E3: 503 with Retry-After, and neither a token nor a key in the answer or the
    log.
    """

    async def down(**_what: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(place.sessions, "issue", down)
    token = token_of("alice")
    place.backend.answer = answer({"token": token}, Set_Cookie=f"jwt={token}")
    status, headers, body = await place.ask("POST", "/login", BODY)
    assert (status, json.loads(body)["reason"]) == (503, "store_unavailable")
    assert "Retry-After" in headers
    assert token not in body.decode() + str(headers) + caplog.text
    assert "lk_" not in body.decode() + str(headers)


async def test_the_same_browsers_former_session_ends(place: World) -> None:
    """wire-rules.md#E5: a new key each time, and the one in the browser's cookie is not left
    behind.
    """
    place.backend.answer = answer({"token": token_of("alice")})
    first, other = [json.loads((await place.ask("POST", "/login", BODY))[2])["token"] for _ in "ab"]
    session_id = (await place.resolved(first)).session.id
    _, _, body = await place.ask(
        "POST",
        "/login",
        BODY,
        X_Latchkey_Session=session_id,
        X_Latchkey_Carrier="cookie",
        X_Latchkey_Cookie="jwt",
    )
    new = json.loads(body)["token"]
    assert new != first
    assert [await place.is_known(key) for key in (first, other, new)] == [False, True, True]


async def test_a_key_in_a_header_is_not_ended_by_another_login(place: World) -> None:
    """A program that logs in as another user may want both."""
    place.backend.answer = answer({"token": token_of("alice")})
    first = json.loads((await place.ask("POST", "/login", BODY))[2])["token"]
    session_id = (await place.resolved(first)).session.id
    await place.ask(
        "POST", "/login", BODY, X_Latchkey_Session=session_id, X_Latchkey_Carrier="header"
    )
    assert await place.is_known(first)


async def test_large_requests_and_replies_are_refused(redis: RedisServer) -> None:
    """Both are read as a whole, so both are capped, a reply after unpacking too."""
    login = {
        "kind": "backend",
        "path": "/login",
        "upstream": "accounts",
        "max_body": 1000,
        "max_reply": 5000,
    }
    async with world(redis.url, login=login) as place:
        place.backend.answer = answer({"token": token_of("alice"), "pad": "x" * 1000})
        assert (await place.ask("POST", "/login", b"x" * 1000))[0] == 200
        for size in (1001, 5000):
            status, _, body = await place.ask("POST", "/login", b"x" * size)
            assert (status, json.loads(body)["reason"]) == (413, "body_too_large")
        assert len(place.backend.asked) == 1
        large = json.dumps({"token": token_of("alice"), "pad": "x" * 100_000}).encode()
        for packed, coding in ((large, "identity"), (gzip.compress(large), "gzip")):
            place.backend.answer = answer(packed, Content_Encoding=coding)
            status, _, body = await place.ask("POST", "/login", BODY)
            assert (status, json.loads(body)["reason"]) == (502, "login_reply")


async def test_a_long_token_in_a_field_is_read(place: World) -> None:
    """A token may be longer than aiohttp's own limit of 8 KiB for a field."""
    token = token_of("alice", pad="x" * 12_000)
    place.backend.answer = answer({}, X_Token=token)
    status, headers, _ = await place.ask("POST", "/login", BODY)
    assert status == 200
    assert (await place.resolved(headers["X-Token"])).session.token.reveal() == token


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(place: World, method: str) -> None:
    """wire-rules.md#E1: the login is asked for by its methods only, and says which."""
    status, headers, _ = await place.ask(method, "/login", BODY if method != "HEAD" else b"")
    assert (status, headers["Allow"]) == (405, "POST")
    assert place.backend.asked == []

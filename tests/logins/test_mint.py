"""`kind: mint`: the backend says yes and who; the gateway mints the token."""

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web

from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import Auto
from gateway.core.sessions.session import Device
from gateway.core.tokens.claims import MINTED
from gateway.store.renewals import RenewalRefused
from tests.conftest import token_of
from tests.support.endpoints import BODY, Asked, World, answer, count, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import private, signing, signing_key

MINT = {
    "kind": "mint",
    "path": "/login",
    "upstream": "accounts",
    "backend_path": "/backend/login",
    "claims": {"sub": "/user/id", "role": "/user/role"},
    "timeout": 2,
    "max_reply": "64KiB",
}
ALICE = {"user": {"id": "alice", "role": "admin"}}


def sections(**login: Any) -> dict[str, Any]:
    return {"signing": signing(audience="api"), "login": {**MINT, **login}}


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    async with world(redis.url, **sections()) as built:
        built.backend.answer = answer(ALICE)
        yield built


async def payload(place: World, key: str) -> dict[str, Any]:
    """What the token of a key's session says, verified by the key set that the gateway shows."""
    _, _, body = await place.ask("GET", "/.well-known/jwks.json")
    token = (await place.resolved(key)).session.token.reveal()
    keys = jwt.PyJWKSet.from_dict(json.loads(body))
    kid = jwt.get_unverified_header(token)["kid"]
    [by] = [key for key in keys.keys if key.key_id == kid]
    said: dict[str, Any] = jwt.decode(
        token, by, issuer="https://gateway.example", audience="api", algorithms=["ES256"]
    )
    return said


async def refusal(place: World) -> tuple[int, str]:
    status, _, body = await place.ask("POST", "/login", BODY)
    assert await count(place) == 0, "nothing is issued"
    return status, json.loads(body)["reason"]


# What the client gets.


async def test_the_reply_gets_a_key(place: World) -> None:
    """The backend's JSON stays, with a key added that opens a session of the gateway's token."""
    place.backend.answer = answer(
        {**ALICE, "n": 1.5}, status=201, X_Custom="kept", Cache_Control="public", ETag='"1"'
    )
    status, headers, body = await place.ask(
        "POST", "/login?a=b", BODY, Content_Type="application/json", X_Real_IP="192.0.2.7"
    )
    data = json.loads(body)
    key = data.pop("token")
    assert (status, headers["X-Custom"], data) == (201, "kept", {**ALICE, "n": 1.5})
    assert (headers.getall("Cache-Control"), "ETag" in headers) == (["no-store"], False)
    assert (place.backend.last.target, place.backend.last.body) == ("/backend/login?a=b", BODY)
    session = (await place.resolved(key)).session
    assert (session.subject, session.login) == ("alice", "/login")
    said = await payload(place, key)
    now = time.time()
    assert (said["sub"], said["role"]) == ("alice", "admin")
    assert now + 290 < said["exp"] <= now + 300
    assert said["iat"] == said["nbf"] <= now - 4


async def test_the_session_outlives_its_tokens(place: World) -> None:
    """A token lives for minutes, the session for as long as config.yaml lets it."""
    _, _, body = await place.ask("POST", "/login", BODY)
    session = (await place.resolved(json.loads(body)["token"])).session
    assert session.ends_at > session.expires_at + 3600
    assert session.renew_at == session.expires_at - 60


@pytest.mark.parametrize(
    ("status", "body", "fields", "expected"),
    [
        (200, b"<html>Welcome</html>", {"Content-Type": "text/html; charset=euc-kr"}, 200),
        (200, b"", {}, 200),
        (200, b'["a", "list"]', {}, 200),
        (204, b"", {}, 200),
        (202, b"OK", {"Content-Type": "text/plain", "Content-Language": "en"}, 202),
    ],
)
async def test_the_gateways_own_reply(
    redis: RedisServer, status: int, body: bytes, fields: dict[str, str], expected: int
) -> None:
    """Where the backend's is no JSON object, the gateway says what OAuth would."""
    async with world(redis.url, **sections(claims={"sub": "header:X-User"})) as place:
        place.backend.answer = web.Response(
            status=status, body=body or None, headers={"X-User": "alice", "X-Other": "1", **fields}
        )
        got, headers, answered = await place.ask("POST", "/login", BODY)
        data = json.loads(answered)
        assert (got, headers["Content-Type"]) == (expected, "application/json")
        assert ("Content-Language" in headers, headers["X-Other"]) == (False, "1")
        assert headers["Content-Length"] == str(len(answered))
        assert data["token_type"] == "Bearer"
        assert 43_100 < data["expires_in"] <= 43_200
        assert (await payload(place, data["token"]))["sub"] == "alice"


async def test_where_the_key_is_put(redis: RedisServer) -> None:
    """At a place of config.yaml; what stood there is replaced; what is no object refuses."""
    async with world(redis.url, **sections(reply="/data/key")) as place:
        for given in ({**ALICE, "data": {"key": "theirs", "a": 1}}, ALICE):
            place.backend.answer = answer(given)
            _, _, body = await place.ask("POST", "/login", BODY)
            assert await place.is_known(json.loads(body)["data"]["key"])
            assert b"theirs" not in body
    async with world(redis.url, **sections(reply="/data/key")) as place:
        place.backend.answer = answer({**ALICE, "data": ["no object"]})
        assert await refusal(place) == (502, "login_reply")
        place.backend.answer = answer(b'{"data": {}, "n": 1e999, "user": {"id": "a", "role": "b"}}')
        assert await refusal(place) == (502, "login_reply")


async def test_no_token_of_the_backends_gets_out(place: World) -> None:
    """A backend that issues tokens all the same hands none of them to the client."""
    theirs = token_of("alice")
    given = {**ALICE, "token": theirs, "jwt": theirs, "refresh_token": "opaque"}
    place.backend.answer = answer(given, Set_Cookie=f"jwt={theirs}", X_Jwt=theirs)
    _, headers, body = await place.ask("POST", "/login", BODY)
    data = json.loads(body)
    assert await place.is_known(data["token"])
    assert (data["jwt"], data["refresh_token"], "Set-Cookie" in headers) == ("", "", False)
    assert theirs not in body.decode() + str(headers)


async def test_refusals_and_redirects_pass_without_a_key(place: World) -> None:
    """Only a success is a yes."""
    for status in (302, 400, 401, 403, 422, 429, 500, 503):
        place.backend.answer = answer({**ALICE, "t": token_of("a")}, status=status, Location="/x")
        typed = b'{"username": "somebody else %d"}' % status
        got, headers, body = await place.ask("POST", "/login", typed)
        assert (got, headers["Location"]) == (status, "/x")
        assert json.loads(body) == {**ALICE, "t": ""}
    assert await count(place) == 0


async def test_a_no_with_status_200(place: World) -> None:
    """GraphQL says no in its own way, and that passes as well."""
    no = {"data": None, "errors": [{"message": "wrong password"}]}
    place.backend.answer = answer(no)
    status, _, body = await place.ask("POST", "/login", BODY)
    assert (status, json.loads(body), await count(place)) == (200, no, 0)
    assert [event.reason for event in place.events] == ["status_200"]


async def test_a_no_is_a_no_whatever_else_the_reply_holds(redis: RedisServer) -> None:
    """A user's claims, and a form's token: there is no login all the same."""
    async with world(redis.url, **sections(failed="/error")) as place:
        no = {**ALICE, "error": "wrong password", "token": "a form's", "key": "x"}
        place.backend.answer = answer(no)
        status, _, body = await place.ask("POST", "/login", BODY)
        assert (status, json.loads(body), await count(place)) == (200, no, 0)


NO = [
    {"ok": False},
    {"success": False},
    {"success": 0},
    {"success": "false"},
    {"isAuthenticated": False},
    {"logged_in": False},
    {"valid": False},
    {"error": "wrong password"},
    {"error": True},
    {"errors": {"password": ["wrong"]}},
    {"status": "error"},
    {"status": "fail"},
    {"status": "LOGIN_FAILED"},
    {"status": 401},
    {"statusCode": 403},
    {"code": "WRONG_PASSWORD"},
    {"result": "invalid credentials"},
    {"result": False},
    {"code": "BAD_CREDENTIALS"},
    {"status": "UNAUTHENTICATED"},
    {"fully_authenticated": False},
    {"mfa_required": True},
    {"status": "MFA_REQUIRED"},
    {"challenge": "c1"},
]


@pytest.mark.parametrize("no", NO, ids=json.dumps)
async def test_a_no_in_so_many_words(place: World, no: dict[str, Any]) -> None:
    """Beside the name that was typed, which many backends repeat, or beside a user who has only
    taken the first of two steps. The reply passes, and logs no user in.
    """
    for reply in ({**no, **ALICE}, {**ALICE, **no}, {"user": {**no, **ALICE["user"]}}):
        place.backend.answer = answer(reply)
        status, _, body = await place.ask("POST", "/login", BODY)
        assert (status, json.loads(body), await count(place)) == (200, reply, 0)


YES = [
    {"ok": True},
    {"success": "true"},
    {"error": None},
    {"error": ""},
    {"error": "none"},
    {"errors": []},
    {"status": "ok"},
    {"status": 200},
    {"code": 0},
    {"code": 401},  # of an employee, say
    {"code": "E-501"},
    {"mfa_required": False},
    {"mfa_enabled": True},
    {"message": "error"},
    {"user2": {"ok": False}},
]


@pytest.mark.parametrize("yes", YES, ids=json.dumps)
async def test_a_yes_stays_one(place: World, yes: dict[str, Any]) -> None:
    """What does not say no is no refusal."""
    place.backend.answer = answer({**ALICE, **yes})
    _, _, body = await place.ask("POST", "/login", BODY)
    assert await place.is_known(json.loads(body)["token"])


async def test_a_no_beside_a_field_that_says_who(redis: RedisServer) -> None:
    """A field says who; the body says that it was in vain, or that there is more to come."""
    async with world(redis.url, **sections(claims={"sub": "header:X-User"})) as place:
        for no in ({"ok": False}, {"mfa_required": True}):
            place.backend.answer = answer(no, X_User="alice")
            status, _, body = await place.ask("POST", "/login", BODY)
            assert (status, json.loads(body), await count(place)) == (200, no, 0)


async def test_a_preflight_is_answered_by_the_backend(place: World) -> None:
    """It is no login, whatever the backend says."""
    status, _, _ = await place.ask(
        "OPTIONS", "/login", Origin="https://a", Access_Control_Request_Method="POST"
    )
    assert (status, place.backend.last.method, await count(place)) == (200, "OPTIONS", 0)


async def test_every_login_is_a_new_key_and_ends_the_browsers_former_one(place: World) -> None:
    """wire-rules.md#E5, as for backend logins."""
    _, _, first = await place.ask("POST", "/login", BODY)
    key = json.loads(first)["token"]
    session_id = (await place.resolved(key)).session.id
    _, _, second = await place.ask(
        "POST", "/login", BODY, X_Latchkey_Session=session_id, X_Latchkey_Carrier="cookie"
    )
    assert json.loads(second)["token"] != key
    assert not await place.is_known(key)


async def test_a_browsers_form_gets_a_cookie(redis: RedisServer) -> None:
    """The backend's page comes as it is, and the key where no script can read it."""
    async with world(redis.url, **sections(claims={"sub": "header:X-User"})) as place:
        place.backend.answer = web.Response(
            text="<html>Welcome</html>", content_type="text/html", headers={"X-User": "alice"}
        )
        status, headers, body = await place.ask(
            "POST",
            "/login",
            b"username=alice",
            Content_Type="application/x-www-form-urlencoded",
            Accept="text/html",
            Sec_Fetch_Site="same-origin",
        )
        assert (status, body) == (200, b"<html>Welcome</html>")
        assert headers["Content-Type"].startswith("text/html")
        assert headers.getall("Cache-Control") == ["no-store"]
        cookie = headers["Set-Cookie"]
        assert cookie.startswith("latchkey=lk_")
        assert "HttpOnly" in cookie
        assert await place.is_known(cookie.partition("=")[2].partition(";")[0])


async def test_what_is_told_of_attempts(place: World) -> None:
    """Who logged in, or why not, for the audit log and the metrics."""
    await place.ask("POST", "/login", BODY, X_Real_IP="192.0.2.7", X_Request_Id="r1")
    place.backend.answer = answer({}, status=401)
    await place.ask("POST", "/login", BODY)
    place.backend.answer = answer({})
    await place.ask("POST", "/login", BODY)
    told = [(event.kind, event.subject, event.reason) for event in place.events]
    assert told == [
        ("login", "alice", ""),
        ("login_failed", "", "status_401"),
        ("login_failed", "", "no_claims"),
    ]
    assert (place.events[0].address, place.events[0].request_id) == ("192.0.2.7", "r1")


# What the backend may get wrong.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome, alice!</html>",
        b'{"user": {"id": "alice"}}',
        b'{"user": {"id": null, "role": "admin"}}',
        b'{"user": {"id": ["alice"], "role": "admin"}}',
        b'{"user": {"id": true, "role": "admin"}}',
        b'{"user": {"id": "alice", "id": "root", "role": "admin"}}',
        b'{"user": {"id": "alice", "role": "\\ud800"}}',
        b'{"user": {"id": "alice", "role": NaN}}',
        b'{"user": {"id": "\xff\xfe", "role": "admin"}}',
        b'{"user": {"id": "alice", "role": "' + b"x" * 5000 + b'"}}',
        b'{"error": "wrong password"}',
    ],
    ids=[
        "empty",
        "html",
        "a claim is missing",
        "null",
        "a list",
        "a boolean",
        "two ids",
        "a lone surrogate",
        "NaN",
        "no text",
        "too large",
        "a no with 200",
    ],
)
async def test_replies_that_do_not_say_who(
    place: World, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """502, nothing is issued, and the log says which claim but not what stood there."""
    place.backend.answer = answer(body)
    with caplog.at_level(logging.INFO):
        assert await refusal(place) == (502, "no_claims")
    assert "claims are unusable" in caplog.text
    assert "alice" not in caplog.text


async def test_a_large_reply(place: World) -> None:
    """No more is read than config.yaml allows."""
    place.backend.answer = answer({**ALICE, "pad": "x" * 70_000})
    assert await refusal(place) == (502, "login_reply")


async def test_a_slow_backend(redis: RedisServer) -> None:
    """The login's timeout ends the wait."""

    async def slowly(_asked: Asked) -> web.Response:
        await asyncio.sleep(5)
        return answer(ALICE)

    async with world(redis.url, **sections(timeout=0.2)) as place:
        place.backend.answer = slowly
        assert await refusal(place) == (504, "upstream_timeout")


async def test_no_claim_is_the_gateways_own(redis: RedisServer) -> None:
    """A backend that sends iss, aud, exp or jti changes nothing."""
    async with world(redis.url, **sections(claims={"sub": "/sub"})) as place:
        place.backend.answer = answer(
            {"sub": "alice", "iss": "evil", "aud": "evil", "exp": 2**40, "jti": "evil", "nbf": 0}
        )
        _, _, body = await place.ask("POST", "/login", BODY)
        said = await payload(place, json.loads(body)["token"])
        assert "evil" not in said.values()
        assert said["exp"] < time.time() + 301


# Minting anew.


async def test_a_new_token_says_the_same(place: World) -> None:
    """With times and a name of its own."""
    _, _, body = await place.ask("POST", "/login", BODY)
    resolved = await place.resolved(json.loads(body)["token"])
    renew = place.sessions.renewals._logins["/login"]
    renewed = await renew(resolved.session)
    options: Any = {"verify_signature": False}
    before = jwt.decode(resolved.session.token.reveal(), options=options)
    after = jwt.decode(renewed.token.reveal(), options=options)
    assert before.pop("jti") != after.pop("jti")
    for name in ("exp", "iat", "nbf"):
        assert after.pop(name) >= before.pop(name)
    assert before == after
    assert renewed.refresh == resolved.session.refresh


async def test_another_logins_session_is_not_vouched_for(place: World) -> None:
    """A session of a former backend login has unverified claims: no token is minted for them."""
    issued = await place.sessions.issue(
        token=token_of("alice", role="root"),
        subject="alice",
        login="/login",
        device=Device("curl", "192.0.2.7"),
        token_expiry=time.time() + 60,
        refresh='["json", "refresh", "opaque"]',
        renew_before=60,
    )
    renew = place.sessions.renewals._logins["/login"]
    with pytest.raises(RenewalRefused):
        await renew(issued.session)


async def test_a_backends_token_does_not_inherit_the_mark(redis: RedisServer) -> None:
    """The other way round: what takes the place of a minted token was not minted."""
    renew = {"upstream": "accounts", "backend_path": "/refresh"}
    login = {"kind": "backend", "path": "/login", "upstream": "accounts", "renew": renew}
    async with world(redis.url, login=login) as place:
        issued = await place.sessions.issue(
            token=token_of("alice"),
            subject="alice",
            login="/login",
            device=Device("curl", "192.0.2.7"),
            token_expiry=time.time() + 60,
            refresh=MINTED,
            renew_before=60,
        )
        reply = Reply(200, (), json.dumps({"token": token_of("alice", role="root")}).encode())
        replacement = place.sessions.renewals._logins["/login"]._replacement  # type: ignore[attr-defined]
        _, renewed = await replacement(issued.session, reply, Auto(), asked=False)
        assert (renewed.refresh, math.isinf(renewed.renew_at)) == ("", True)


# The key set.


async def test_the_key_set(redis: RedisServer) -> None:
    """Public keys only, cached for a minute, without a key; and no other method."""
    keys = [signing_key("RS256"), signing_key("HS256", kid="s"), signing_key("EdDSA", kid="old")]
    async with world(redis.url, **{**sections(), "signing": signing(*keys)}) as place:
        status, headers, body = await place.ask("GET", "/.well-known/jwks.json")
        shown = json.loads(body)["keys"]
        assert (status, headers["Content-Type"]) == (200, "application/jwk-set+json")
        assert headers["Cache-Control"] == "public, max-age=60"
        assert [(key["kty"], key["alg"]) for key in shown] == [
            ("RSA", "RS256"),
            ("OKP", "EdDSA"),
        ]
        assert shown[1]["kid"] == "old"
        assert not any({"d", "p", "q", "k", "dp", "dq", "qi"} & set(key) for key in shown)
        public: Any = jwt.PyJWK(shown[0]).key
        expected: Any = private("RS256")
        assert public.public_numbers() == expected.public_key().public_numbers()
        status, headers, body = await place.ask("HEAD", "/.well-known/jwks.json")
        assert (status, body) == (200, b"")
        status, headers, _ = await place.ask("POST", "/.well-known/jwks.json", b"x")
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


async def test_without_signing_there_is_no_key_set(redis: RedisServer) -> None:
    """The path is free for others."""
    async with world(redis.url) as place:
        assert (await place.ask("GET", "/.well-known/jwks.json"))[0] == 404

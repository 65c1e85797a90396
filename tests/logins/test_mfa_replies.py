"""Replies that are no login yet, or say no: they make no session, and come back."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import token_of
from tests.support.endpoints import BODY, answer, count, world
from tests.support.redis_server import RedisServer

BACKEND = {"kind": "backend", "path": "/login", "upstream": "accounts"}
TOKEN = token_of("alice")

# A reply, and what the client gets of it.
FIRST_STEPS: dict[str, Any] = {
    "a flag": {"mfa_required": True, "token": TOKEN},
    "a temporary token": {"mfa_required": True, "mfa_token": TOKEN},
    "only a temporary token": {"mfa_token": TOKEN, "methods": ["totp"]},
    "an opaque one": {"mfa_required": True, "mfa_token": "opaque"},
    "an opaque one of a known name": {"requires_2fa": True, "token": "opaque"},
    "a status": {"status": "MFA_REQUIRED", "token": TOKEN},
    "deep": {"data": {"login": {"twoFactorRequired": True, "accessToken": TOKEN}}},
    "a challenge": {"challenge": {"id": "c1", "token": TOKEN}},
    "no token at all": {"otp_sent": True},
    "a kind of token": {"token_type": "mfa", "access_token": TOKEN},
    "a factor that is not verified": {"mfa_verified": False, "token": TOKEN},
    "a message": {"message": "OTP sent to your phone", "token": TOKEN},
    "plainly no": {"success": False, "message": "wrong password", "token": TOKEN},
    "no without a token": {"ok": False, "message": "wrong password"},
    "no around the token": {"data": {"login": {"errors": ["wrong"], "token": TOKEN}}},
}


@pytest.mark.parametrize("said", FIRST_STEPS.values(), ids=FIRST_STEPS.keys())
async def test_the_first_step_comes_back_and_makes_no_session(
    redis: RedisServer, said: dict[str, Any]
) -> None:
    """As the backend wrote it, but for JWTs. The second step is a login like any other."""
    async with world(redis.url, login=BACKEND) as place:
        place.backend.answer = answer(said, Set_Cookie=f"jwt={TOKEN}", X_Auth_Token=TOKEN)
        status, headers, body = await place.ask("POST", "/login", BODY)
        assert (status, body) == (200, json.dumps(said).replace(TOKEN, "").encode())
        assert ("Set-Cookie" in headers, headers["X-Auth-Token"]) == (False, "")
        assert await count(place) == 0
        assert [event.kind for event in place.events] == ["login_failed"]
        place.backend.answer = answer({"token": TOKEN, "user": {"mfa_required": True}})
        _, _, body = await place.ask("POST", "/login", b'{"otp": "123456"}')
        assert await place.is_known(json.loads(body)["token"])


async def test_a_temporary_token_in_a_field_is_none(redis: RedisServer) -> None:
    """Of such a name neither; without anything that tells, the reply is a broken success."""
    async with world(redis.url, login=BACKEND, guessing="off") as place:
        for name in ("X-MFA-Token", "X-Temp-Token", "X-Reset-Token", "X-Challenge"):
            place.backend.answer = web.Response(headers={name: TOKEN})
            assert (await place.ask("POST", "/login", BODY))[0] == 502
        for cookie in ("mfa_token", "otp", "pre_auth_token", "temp_token", "verify_token"):
            place.backend.answer = answer({}, Set_Cookie=f"{cookie}={TOKEN}")
            assert (await place.ask("POST", "/login", BODY))[0] == 502
        assert await count(place) == 0


async def test_a_place_that_is_named_is_taken_at_its_word(redis: RedisServer) -> None:
    """Who names it knows what stands there; `failed` says when it is none."""
    said = {"mfa_required": True, "token": TOKEN}
    for more, expected in (({}, 1), ({"failed": "/mfa_required"}, 0)):
        async with world(redis.url, login={**BACKEND, "token": "/token", **more}) as place:
            place.backend.answer = answer(said)
            status, _, body = await place.ask("POST", "/login", BODY)
            assert (status, "lk_" in body.decode(), await count(place)) == (
                200,
                bool(expected),
                expected,
            )

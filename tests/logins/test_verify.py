"""`verify` on a login: only tokens that are believed become keys, and no other is ever shown."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from tests.support.endpoints import BODY, Backend, World, answer, backend, count, world
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer
from tests.support.signing import SECRET, by_hand, ec_signer, hs256, payload, published, rsa_signer

RSA, EC, MALLORY = rsa_signer(), ec_signer(), rsa_signer("mallory")


@asynccontextmanager
async def verifying(redis: RedisServer, **verify: Any) -> AsyncIterator[World]:
    """A login that verifies."""
    login = {
        "kind": "backend",
        "path": "/login",
        "upstream": "accounts",
        "backend_path": "/backend/login",
        "token": "/token",
        "verify": verify,
    }
    async with world(redis.url, login=login) as place:
        yield place


@asynccontextmanager
async def by_provider(redis: RedisServer, **verify: Any) -> AsyncIterator[tuple[World, Backend]]:
    """A login that verifies with the keys of a provider, which publishes two."""
    async with backend() as provider:
        provider.answer = answer(published(RSA, EC))
        async with verifying(redis, jwks=provider.url, **verify) as place:
            yield place, provider


async def log_in(place: World, token: str) -> tuple[int, str, str]:
    """What a login is answered whose backend gives this token: status, reason, key."""
    place.backend.answer = answer({"token": token, "user": "alice"}, X_Token=token)
    status, headers, body = await place.ask("POST", "/login", BODY)
    data = json.loads(body)
    if status != 200:
        assert token not in body.decode() + str(headers)
        assert "lk_" not in body.decode() + str(headers)
    return status, data.get("reason", ""), data.get("token", "")


async def test_a_token_that_is_believed_becomes_a_key(redis: RedisServer) -> None:
    """By a secret, by a public key, or by a provider's keys."""
    async with verifying(redis, secret=SECRET, algorithms="HS512") as place:
        assert (await log_in(place, jwt.encode(payload(), SECRET, "HS512")))[0] == 200
        assert (await log_in(place, jwt.encode(payload(), SECRET, "HS256")))[0] == 502
    async with verifying(redis, public_key=EC.pem) as place:
        status, _, key = await log_in(place, EC.token())
        assert status == 200
        assert (await place.resolved(key)).session.subject == "alice"
    async with by_provider(redis, issuer="https://id", audience="shop") as (place, provider):
        for signer in (RSA, EC, RSA):
            good = signer.token(iss="https://id", aud=["shop", "other"])
            assert (await log_in(place, good))[0] == 200
        assert len(provider.asked) == 1


BAD = {
    "of somebody else": (lambda: MALLORY.token({"kid": "rsa"}), "signature"),
    "by an unknown key": (MALLORY.token, "unknown_kid"),
    "by no algorithm": (
        lambda: by_hand({"alg": "none", "kid": "rsa"}, payload(), b""),
        "algorithm",
    ),
    "by a secret": (lambda: jwt.encode(payload(), SECRET, headers={"kid": "rsa"}), "algorithm"),
    "with its own key": (
        lambda: MALLORY.token({"kid": "rsa", "jwk": MALLORY.jwk}),
        "brings_its_key",
    ),
    "with an extension": (lambda: RSA.token({"crit": ["x"], "x": 1}), "crit"),
    "of another issuer": (lambda: RSA.token(iss="https://evil"), "wrong_issuer"),
    "for somebody else": (lambda: RSA.token(iss="https://id", aud="bank"), "wrong_audience"),
    "expired": (lambda: RSA.token(iss="https://id", aud="shop", exp=1), "expired"),
    "not yet valid": (
        lambda: RSA.token(iss="https://id", aud="shop", nbf=int(time.time()) + 600),
        "not_yet_valid",
    ),
    "without an end": (lambda: RSA.token(iss="https://id", aud="shop", exp=None), "no_expiry"),
    "huge": (lambda: RSA.token(iss="https://id", aud="shop", pad="x" * 20_000), "too_long"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
async def test_a_token_that_is_not_believed_is_502(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, make: Any, reason: str
) -> None:
    """Nothing is issued, nothing leaks, and the log says why."""
    rules = {"issuer": "https://id", "audience": "shop", "require_expiry": True}
    async with by_provider(redis, **rules) as (place, _):
        token = make()
        status, said, _ = await log_in(place, token)
        assert (status, said) == (502, "token_not_verified")
        assert await count(place) == 0
        assert any(
            message.endswith(f"the token is unusable: {reason}") for message in caplog.messages
        )
        assert token not in caplog.text


async def test_what_a_token_says_of_its_expiry_is_still_checked(redis: RedisServer) -> None:
    """An `exp` that is a text is no end; a far one is far, and the session's own limits hold."""
    async with verifying(redis, secret=SECRET) as place:
        far = jwt.encode(payload(exp=10**30), SECRET)
        status, _, key = await log_in(place, far)
        assert status == 200
        assert (await place.resolved(key)).session.ends_at <= time.time() + 43_201
        text = hs256(SECRET, {"sub": "alice", "exp": "9999999999"}, {"alg": "HS256"})
        assert (await log_in(place, text))[:2] == (502, "token_not_verified")


async def test_clocks_may_differ(redis: RedisServer) -> None:
    """By as much as the session settings say, or the login's own leeway."""
    for verify, expected in (({}, 200), ({"leeway": "1s"}, 502)):
        async with verifying(redis, public_key=RSA.pem, **verify) as place:
            early = RSA.token(iat=time.time() + 3, nbf=time.time() + 3)
            assert (await log_in(place, early))[0] == expected


async def test_a_provider_that_has_rotated_its_keys(redis: RedisServer) -> None:
    """The new key is fetched as soon as a login needs it (but for a pause after the last time), and
    the old one is gone with it.
    """
    async with by_provider(redis) as (place, provider):
        assert (await log_in(place, RSA.token()))[0] == 200
        provider.answer = answer(published(MALLORY))
        async with asyncio.timeout(HANG):
            while (await log_in(place, MALLORY.token()))[0] != 200:
                await asyncio.sleep(0.1)
        assert (await log_in(place, RSA.token()))[1] == "token_not_verified"
        assert len(provider.asked) == 2


async def test_a_provider_that_is_down(redis: RedisServer) -> None:
    """Before its keys are known, logins are 503; afterwards, they succeed."""
    async with by_provider(redis) as (place, provider):
        provider.answer = answer({}, status=500)
        status, reason, _ = await log_in(place, RSA.token())
        assert (status, reason) == (503, "keys_unavailable")
        assert await count(place) == 0


async def test_a_provider_that_has_rotated_its_keys_and_is_down(redis: RedisServer) -> None:
    """An unknown key may be a new one: that is 503, and counts as no failure. Tokens of known keys
    log in.
    """
    async with by_provider(redis) as (place, provider):
        assert (await log_in(place, RSA.token()))[0] == 200
        provider.answer = answer({}, status=500)
        await asyncio.sleep(5)  # the pause after the last time
        for _ in range(20):
            assert (await log_in(place, MALLORY.token()))[:2] == (503, "keys_unavailable")
        assert (await log_in(place, RSA.token()))[0] == 200
        assert len(provider.asked) == 2


def test_who_verifies_nothing_does_not_carry_what_it_takes() -> None:
    """PyJWT is 2 MiB that most workers never need."""
    script = (
        "import sys, gateway.processes.worker, gateway.logins.backend; "
        "assert 'jwt' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG)


async def test_a_refused_login_is_not_verified(redis: RedisServer) -> None:
    """There is nothing to verify, and the provider is not even asked."""
    async with by_provider(redis) as (place, provider):
        place.backend.answer = answer({"detail": "no", "hint": MALLORY.token()}, status=401)
        status, _, body = await place.ask("POST", "/login", BODY)
        assert (status, json.loads(body)) == (401, {"detail": "no", "hint": ""})
        assert provider.asked == []

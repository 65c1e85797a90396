"""wire-rules.md#E15, #E16: which tokens a renewal takes: of the same issuer and kind, signed, and
none that was sent.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import Auto
from gateway.core.sessions.session import Session
from gateway.store.renewals import RenewalFailed, RenewalRefused
from tests.conftest import SIGNING_SECRET
from tests.support.endpoints import BODY, World, answer, world
from tests.support.redis_server import RedisServer
from tests.support.signing import by_hand, payload, rsa_signer

SECRET = SIGNING_SECRET * 2


def token(algorithm: str = "HS256", typ: str = "JWT", **claims: Any) -> str:
    said = payload(**{"iss": "https://id", "at": time.time_ns(), **claims})
    return jwt.encode(said, SECRET, algorithm, {"typ": typ})


# A refresh token of the same backend's making.
REFRESH = token(kind="refresh")
LOGIN = {
    "kind": "backend",
    "path": "/login",
    "upstream": "accounts",
    "renew": {"upstream": "accounts", "backend_path": "/refresh"},
}


async def logged_in(place: World) -> Session:
    """A session that can be renewed."""
    place.backend.answer = answer({"token": token(), "refresh": REFRESH})
    _, _, body = await place.ask("POST", "/login", BODY)
    return (await place.resolved(json.loads(body)["token"])).session


async def renewed(place: World, session: Session, given: str) -> str:
    """The token that a session gets of this reply."""
    place.backend.answer = answer({"token": given, "refresh": REFRESH})
    got = await place.sessions.renewals._logins["/login"](session)
    assert REFRESH in got.refresh, "the same refresh token may be used again"
    return got.token.reveal()


@pytest.mark.parametrize("verify", [None, {"secret": SECRET, "algorithms": ["HS256", "HS512"]}])
async def test_a_token_of_the_same_kind_is_taken(redis: RedisServer, verify: Any) -> None:
    """Whatever else it says, and by whichever key of the same kind."""
    async with world(redis.url, login={**LOGIN, "verify": verify}) as place:
        session = await logged_in(place)
        for given in (token(role="admin"), token(typ="jwt"), token(sub=None)):
            assert await renewed(place, session, given) == given


BAD: dict[str, tuple[Callable[[], str], type[Exception]]] = {
    "of another issuer": (lambda: token(iss="https://evil"), RenewalRefused),
    "of no issuer": (lambda: token(iss=None), RenewalRefused),
    "of another algorithm": (lambda: token("HS512"), RenewalRefused),
    "of another type": (lambda: token(typ="logout+jwt"), RenewalRefused),
    "of somebody else": (lambda: token(sub="bob"), RenewalRefused),
    "that is not signed": (lambda: by_hand({"alg": "none"}, payload(), b"x"), RenewalFailed),
    "with an empty signature": (lambda: f"{token().rpartition('.')[0]}.", RenewalFailed),
    "that is the refresh token": (lambda: REFRESH, RenewalFailed),
}


@pytest.mark.parametrize("verify", [None, {"secret": SECRET, "algorithms": ["HS256", "HS512"]}])
@pytest.mark.parametrize(("make", "error"), BAD.values(), ids=BAD.keys())
async def test_another_token_is_not(
    redis: RedisServer, verify: Any, make: Callable[[], str], error: type[Exception]
) -> None:
    """By a backend that verifies its own as well as by rules that allow both algorithms: a token of
    another kind ends the session in time, and one that is none is not taken.
    """
    async with world(redis.url, login={**LOGIN, "verify": verify}) as place:
        session = await logged_in(place)
        with pytest.raises(error):
            await renewed(place, session, make())


async def test_a_token_that_is_not_verified_is_not_taken(redis: RedisServer) -> None:
    """A login's rules hold for its renewed tokens, also for those of the same algorithm."""
    signer = rsa_signer()
    async with world(redis.url, login={**LOGIN, "verify": {"public_key": signer.pem}}) as place:
        place.backend.answer = answer({"token": signer.token(), "refresh": REFRESH})
        _, _, body = await place.ask("POST", "/login", BODY)
        session = (await place.resolved(json.loads(body)["token"])).session
        good = signer.token(n=1)
        assert await renewed(place, session, good) == good
        with pytest.raises(RenewalFailed):
            await renewed(place, session, rsa_signer("mallory").token({"kid": "rsa"}))


async def test_a_refresh_token_that_the_client_has_sent_is_not_kept(redis: RedisServer) -> None:
    """On a route that captures, a reply may repeat what was typed as well."""
    async with world(redis.url, login=LOGIN) as place:
        session = await logged_in(place)
        replacement = place.sessions.renewals._logins["/login"]._replacement  # type: ignore[attr-defined]
        said = {"token": token(), "refresh": "a-refresh-token-of-mine"}
        reply = Reply(200, (), json.dumps(said).encode())
        for typed, expected in (("", said["refresh"]), (said["refresh"], REFRESH)):
            sent = EchoDetector("/switch", [], json.dumps({"note": typed}).encode())
            _, renewed = await replacement(session, reply, Auto(), asked=False, sent=sent)
            assert expected in renewed.refresh

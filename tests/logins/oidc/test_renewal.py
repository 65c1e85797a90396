"""`kind: oidc`: tokens are renewed at the provider's token endpoint, and what ends a session."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.store.renewals import RenewalFailed
from tests.support.endpoints import World, answer
from tests.support.faulty_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OPAQUE,
    REFRESH,
    FaultyProvider,
    logged_in,
    shop,
)
from tests.support.redis_server import RedisServer
from tests.support.signing import ec_signer

SECOND = "the-next-refresh-token"
LIFE, SKEW = 2, 0.5  # of the first token, and of the clocks, in seconds


@pytest.fixture
def provider(provider: FaultyProvider) -> FaultyProvider:
    """One whose first access tokens do not last long."""
    provider.grant["expires_in"] = LIFE
    return provider


@pytest.fixture
async def place(redis: RedisServer, provider: FaultyProvider) -> AsyncIterator[World]:
    async with shop(redis.url, provider, skew=SKEW) as built:
        yield built


async def due(place: World, provider: FaultyProvider) -> str:
    """The key of a session whose token is due, and whose requests have to wait for the next."""
    visitor = await logged_in(place, provider)
    session = await visitor.session()
    await asyncio.sleep(max(0.0, session.expires_at - SKEW - time.time()) + 0.1)
    provider.forms.clear()
    provider.grant["expires_in"] = 300
    return visitor.key


async def test_a_token_is_renewed(place: World, provider: FaultyProvider) -> None:
    """With the refresh token of the login, by who the gateway is; then with the next one."""
    key = await due(place, provider)
    before = (await place.sessions.resolve(key.encode(), renew=False)).session  # type: ignore[union-attr]
    provider.grant["refresh_token"] = SECOND
    provider.claims["nonce"] = None  # Core §12.2: it should not have one
    after = (await place.resolved(key)).session
    assert after.token != before.token
    assert (after.id, after.subject) == (before.id, "alice")
    assert after.expires_at > time.time() + 200
    assert provider.forms == [{"grant_type": "refresh_token", "refresh_token": REFRESH}]
    assert provider.client_of() == (CLIENT_ID, CLIENT_SECRET)
    assert SECOND in after.refresh
    assert "eyJ" in after.refresh, "the ID token is kept, for the logout"


async def test_a_provider_that_keeps_its_refresh_token(
    place: World, provider: FaultyProvider
) -> None:
    """Need not repeat it, and need not give another ID token: what was there stays."""
    key = await due(place, provider)
    before = (await place.sessions.resolve(key.encode(), renew=False)).session  # type: ignore[union-attr]
    provider.grant |= {"refresh_token": None, "id_token": None}
    assert (await place.resolved(key)).session.refresh == before.refresh


async def test_the_id_token_is_renewed(redis: RedisServer, provider: FaultyProvider) -> None:
    """Where it is the session's token."""
    provider.claims["exp"] = int(time.time()) + LIFE + 1
    async with shop(redis.url, provider, token="id_token", skew=SKEW) as place:
        key = await due(place, provider)
        provider.claims |= {"exp": int(time.time()) + 300, "nonce": None}
        assert (await place.resolved(key)).session.expires_at > time.time() + 200


async def test_the_realm_stays(redis: RedisServer, provider: FaultyProvider) -> None:
    """The renewed ID token names the same subject in the same realm, or the session ends."""
    provider.claims["tenant"] = "blue"
    async with shop(redis.url, provider, skew=SKEW, subject_prefix="{claim:tenant}:") as place:
        key = await due(place, provider)
        provider.claims["nonce"] = None
        provider.grant["expires_in"] = LIFE
        assert (await place.resolved(key)).session.subject == "blue:alice"
        provider.claims["tenant"] = "red"
        async with asyncio.timeout(20):
            while await place.is_known(key):
                await asyncio.sleep(0.2)
        assert place.events[-1].kind == "renew_failed"


Fault = dict[str, Any]
ENDS: dict[str, Fault] = {
    "a refresh token that is no good": {"granting": answer({"error": "invalid_grant"}, 400)},
    "another subject": {"claims": {"sub": "mallory"}},
    "another audience": {"claims": {"aud": "another client"}},
    "another signer": {"signer": ec_signer("unknown")},
    "an access token that is no JWT": {"grant": {"access_token": OPAQUE, "id_token": None}},
}
STAYS: dict[str, Fault] = {
    "a provider that is down": {"granting": answer(b"", 503)},
    "a page": {"granting": answer(b"<html>", Content_Type="text/html")},
    "a secret that is no good": {"granting": answer({"error": "invalid_client"}, 401)},
}


def spoil(provider: FaultyProvider, fault: Fault) -> None:
    provider.grant |= fault.get("grant", {})
    provider.claims |= fault.get("claims", {})
    provider.signer = fault.get("signer", provider.signer)
    said: web.Response | None = fault.get("granting")
    if said is not None:

        async def granting(_form: dict[str, str]) -> web.Response:
            return web.Response(status=said.status, headers=said.headers, body=said.body)

        provider.granting = granting


@pytest.mark.parametrize("fault", ENDS)
async def test_what_ends_a_session(place: World, provider: FaultyProvider, fault: str) -> None:
    """The present token stays until it expires, and no session gets another user's."""
    key = await due(place, provider)
    spoil(provider, ENDS[fault])
    async with asyncio.timeout(20):
        while await place.is_known(key):
            session = (await place.resolved(key)).session
            assert (session.subject, session.claims["sub"]) == ("alice", "alice")
            await asyncio.sleep(0.2)
    assert place.events[-1].kind == "renew_failed"


@pytest.mark.parametrize("fault", STAYS)
async def test_what_does_not_end_a_session(
    place: World, provider: FaultyProvider, fault: str
) -> None:
    """Requests are refused for now, and no user is logged out by a provider's fault."""
    key = await due(place, provider)
    spoil(provider, STAYS[fault])
    while await answers(place, key):
        await asyncio.sleep(0.1)
    provider.granting = None
    provider.claims["nonce"] = None
    async with asyncio.timeout(20):
        while not await answers(place, key):
            await asyncio.sleep(0.2)
    assert (await place.resolved(key)).session.expires_at > time.time() + 200


async def answers(place: World, key: str) -> bool:
    """Whether a request is served, rather than told to come back later."""
    try:
        return await place.is_known(key)
    except RenewalFailed:
        return False


async def test_without_a_refresh_token(place: World, provider: FaultyProvider) -> None:
    """A session ends with its token."""
    provider.grant["refresh_token"] = None
    visitor = await logged_in(place, provider)
    session = await visitor.session()
    assert session.ends_at == session.expires_at + SKEW
    assert (
        await place.sessions.replaced(visitor.key.encode(), await place.resolved(visitor.key))
        is None
    )
    assert [form["grant_type"] for form in provider.forms] == ["authorization_code"]


async def test_a_token_that_an_upstream_has_refused(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """Is replaced by another one, if the provider gives one."""
    provider.grant["expires_in"] = 300
    async with shop(redis.url, provider) as place:
        visitor = await logged_in(place, provider)
        resolved = await place.resolved(visitor.key)
        provider.access["jti"] = "another"
        replaced = await place.sessions.replaced(visitor.key.encode(), resolved)
        assert replaced is not None
        assert replaced.session.token != resolved.session.token

"""`kind: oidc`: logging out at the provider as well, and by the provider (back-channel)."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from tests.support.endpoints import World, answer
from tests.support.faulty_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    EVENT,
    REFRESH,
    FaultyProvider,
    Visitor,
    beside,
    logged_in,
    login,
    shop,
)
from tests.support.redis_server import RedisServer, redis_server
from tests.support.signing import by_hand, ec_signer, hs256, rsa_signer

# By the browser.


async def test_a_browser_logs_out_there_as_well(place: World, provider: FaultyProvider) -> None:
    """First the session ends, then the browser goes to the provider (RP-Initiated Logout §2)."""
    visitor = await logged_in(place, provider)
    key = visitor.key
    status, headers, _ = await visitor.submit("/logout")
    assert status == 303
    assert not await place.is_known(key)
    assert visitor.cookies == {}
    url = urlsplit(headers["Location"])
    assert url._replace(query="").geturl() == provider.server.url + "/end"
    asked = {name: value for name, [value] in parse_qs(url.query).items()}
    hint = jwt.decode(asked.pop("id_token_hint"), options={"verify_signature": False})
    assert (hint["sub"], hint["aud"]) == ("alice", CLIENT_ID)
    assert asked == {"client_id": CLIENT_ID, "post_logout_redirect_uri": "http://shop.example/"}
    assert [(event.kind, event.subject) for event in place.events[1:]] == [("logout", "alice")]


async def test_where_one_lands_afterwards(redis: RedisServer, provider: FaultyProvider) -> None:
    """As config.yaml says."""
    changes: dict[str, Any] = {"origin": "https://www.example", "after_logout": "/bye"}
    async with shop(redis.url, provider, **changes) as place:
        visitor = await logged_in(place, provider)
        _, headers, _ = await visitor.submit("/logout")
    asked = parse_qs(urlsplit(headers["Location"]).query)
    assert asked["post_logout_redirect_uri"] == ["https://www.example/bye"]


async def test_no_browser_sees_the_sessions_token(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """wire-rules.md#C4: where the ID token is what upstreams take, the provider has to do without
    it.
    """
    async with shop(redis.url, provider, token="id_token") as place:
        visitor = await logged_in(place, provider)
        assert "eyJ" not in (await visitor.session()).refresh
        _, headers, _ = await visitor.submit("/logout")
    asked = parse_qs(urlsplit(headers["Location"]).query)
    assert sorted(asked) == ["client_id", "post_logout_redirect_uri"]
    assert "eyJ" not in str(headers)


async def test_programs_are_not_sent_there(place: World, provider: FaultyProvider) -> None:
    """A script that fetches, and a program that sends the key in a field, get 204."""
    for accept, mode in (("text/html", "cors"), ("*/*", "navigate"), ("application/json", "cors")):
        visitor = await logged_in(place, provider)
        key = visitor.key
        status, headers, _ = await visitor.submit("/logout", accept, mode)
        assert (status in (200, 204), "Location" in headers) == (True, False)
        assert not await place.is_known(key)
    visitor = await logged_in(place, provider)
    resolved = await place.resolved(visitor.key)
    told = {"X-Latchkey-Carrier": "header", "X-Latchkey-Session": resolved.session.id}
    status, headers, _ = await place.ask("POST", "/logout", Accept="text/html", **told)
    assert "Location" not in headers
    assert not await place.is_known(visitor.key)


async def test_a_provider_without_a_logout(redis: RedisServer, provider: FaultyProvider) -> None:
    """Its sessions end here, and the page says so; its ID tokens are not kept."""
    provider.metadata["end_session_endpoint"] = None
    async with shop(redis.url, provider) as place:
        visitor = await logged_in(place, provider)
        assert "eyJ" not in (await visitor.session()).refresh
        status, _, body = await visitor.submit("/logout")
    assert status == 200
    assert "You are logged out" in body.decode()


async def test_a_provider_that_is_down_keeps_nobody(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """wire-rules.md#E4: a session ends whatever the other side says."""
    async with shop(redis.url, provider) as place:
        visitor = await logged_in(place, provider)
    provider.description = answer(b"", 503)
    async with beside(place, provider) as later:  # it has not heard of the provider yet
        visitor.place = later
        assert await later.is_known(visitor.key)
        key = visitor.key
        status, _, body = await visitor.submit("/logout")
        assert (status, "You are logged out" in body.decode()) == (200, True)
        assert not await later.is_known(key)


async def test_from_the_list_of_devices(place: World, provider: FaultyProvider) -> None:
    """There too, ending the present session is a logout; ending another one is none."""
    one, two = await logged_in(place, provider), await logged_in(place, provider)
    own, other = [(await place.resolved(visitor.key)).session.id for visitor in (one, two)]
    status, headers, _ = await one.submit(f"/sessions/{other}")
    assert (status, headers["Location"]) == (303, "/sessions")
    status, headers, _ = await one.submit(f"/sessions/{own}")
    assert (status, headers["Location"].partition("?")[0]) == (303, provider.server.url + "/end")
    three = await logged_in(place, provider)
    status, headers, _ = await three.submit("/logout?scope=all")
    assert headers["Location"].startswith(provider.server.url + "/end?")


async def test_the_forms_of_pages_may_lead_there(place: World, provider: FaultyProvider) -> None:
    """A form's redirects are followed only to where the page's policy allows (CSP form-action)."""
    visitor = await logged_in(place, provider)
    _, headers, _ = await visitor.go("/sessions")
    policy = headers["Content-Security-Policy"]
    assert f"form-action 'self' https: {provider.server.url};" in policy


# By the provider.


async def tell(place: World, token: str, path: str = "/login/id") -> int:
    """What the provider gets for a logout token."""
    status, headers, body = await place.ask(
        "POST",
        f"{path}/backchannel",
        urlencode({"logout_token": token}).encode(),
        Content_Type="application/x-www-form-urlencoded",
    )
    if status in (200, 400):
        assert body in (b"{}", b'{"error": "invalid_request"}')
        assert headers["Cache-Control"] == "no-store"
    return status


async def test_one_session_of_the_provider_ends(place: World, provider: FaultyProvider) -> None:
    """By `sid`: what came from it ends, here and on other gateways; other devices stay."""
    phone = await logged_in(place, provider, sid="phone")
    laptop = await logged_in(place, provider, sid="laptop")
    bob = await logged_in(place, provider, sub="bob", sid="bob's")
    place.events.clear()
    assert await tell(place, provider.logout_token(sid="phone", sub="alice")) == 200
    assert [await place.is_known(visitor.key) for visitor in (phone, laptop, bob)] == [
        False,
        True,
        True,
    ]
    [event] = place.events
    assert (event.kind, event.subject) == ("logout", "alice")
    assert (event.reason, event.by) == ("backchannel", "provider")


async def test_all_sessions_of_a_user_end(place: World, provider: FaultyProvider) -> None:
    """By `sub` alone: on all of the user's devices, and on no other user's."""
    devices = [await logged_in(place, provider, sid=str(at)) for at in range(3)]
    devices.append(await logged_in(place, provider, sid=None))
    bob = await logged_in(place, provider, sub="bob")
    assert await tell(place, provider.logout_token(sub="alice")) == 200
    assert not any([await place.is_known(device.key) for device in devices])
    assert await place.is_known(bob.key)


async def test_whatever_claim_is_the_subject(redis: RedisServer, provider: FaultyProvider) -> None:
    """The provider speaks of `sub`, even if the gateway calls users by something else."""
    async with shop(redis.url, provider, subject="nick", subject_prefix="id:") as place:
        visitor = await logged_in(place, provider, nick="al")
        assert (await visitor.session()).subject == "id:al"
        assert await tell(place, provider.logout_token(sub="alice")) == 200
        assert not await place.is_known(visitor.key)


async def test_every_gateway_hears_of_it(
    redis: RedisServer, place: World, provider: FaultyProvider
) -> None:
    """A session that another gateway has in its near cache ends there as well."""
    visitor = await logged_in(place, provider, sid="one")
    async with beside(place, provider) as other:
        resolved = await other.resolved(visitor.key)
        other.sessions.near.learned(
            visitor.key.encode(), resolved, resolved.session.id, time.time()
        )
        assert await tell(place, provider.logout_token(sid="one")) == 200
        async with asyncio.timeout(20):
            while other.sessions.near.get(visitor.key.encode(), time.time()) is not None:
                await asyncio.sleep(0.01)
        assert not await other.is_known(visitor.key)


async def test_nobody_there_is_no_error(place: World, provider: FaultyProvider) -> None:
    """Back-Channel Logout §2.7: a user who is logged out already is logged out."""
    assert await tell(place, provider.logout_token(sid="unknown")) == 200
    visitor = await logged_in(place, provider, sid="one")
    await place.sessions.revoke((await visitor.session()).id)
    assert await tell(place, provider.logout_token(sid="one")) == 200


async def test_the_index_heals(redis: RedisServer, place: World, provider: FaultyProvider) -> None:
    """What has ended leaves it when it is read, and it expires with its last session."""
    visitor = await logged_in(place, provider, sid="one")
    await logged_in(place, provider, sid="one")
    await place.sessions.revoke((await visitor.session()).id)
    with redis.client() as client:
        prefix = place.config.store.prefix
        names: Any = client.keys(f"{prefix}n:*")
        assert {client.zcard(name) for name in names} == {2}
        assert all(client.ttl(name) > 0 for name in names)
        for _ in range(2):
            assert await tell(place, provider.logout_token(sid="one")) == 200
            assert await tell(place, provider.logout_token(sub="alice")) == 200
        assert client.keys(f"{prefix}n:*") == []


async def test_a_token_is_used_once(place: World, provider: FaultyProvider) -> None:
    """Who has got hold of one cannot log people out with it for the rest of its life."""
    token = provider.logout_token(sub="alice")
    assert await tell(place, token) == 200
    visitor = await logged_in(place, provider)
    assert await tell(place, token) == 400
    assert await place.is_known(visitor.key)


async def test_the_other_client_of_the_same_provider(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """A token is for one client: for its path, and for its sessions."""
    other = login(provider, path="/login/two", client_id="another")
    async with shop(redis.url, provider, other) as place:
        visitor = await logged_in(place, provider, sid="one")
        token = provider.logout_token(sid="one", aud="another")
        assert await tell(place, token) == 400
        assert await tell(place, token, "/login/two") == 200
        assert await place.is_known(visitor.key)


async def test_a_token_for_several_clients(redis: RedisServer, provider: FaultyProvider) -> None:
    """Each of them is told, and each ends the sessions of its own."""
    other = login(provider, path="/login/two", client_id="another")
    async with shop(redis.url, provider, other) as place:
        one = await logged_in(place, provider)
        two = Visitor(place)
        provider.claims["aud"] = "another"
        await two.log_in(provider, "/login/two")
        token = provider.logout_token(sub="alice", aud=[CLIENT_ID, "another"])
        assert await tell(place, token) == 200
        assert [await place.is_known(visitor.key) for visitor in (one, two)] == [False, True]
        assert await tell(place, token, "/login/two") == 200
        assert not await place.is_known(two.key)


async def test_names_that_are_none(place: World, provider: FaultyProvider) -> None:
    """No logout token could say them; who has one logs in all the same, and out by the other."""
    for sid in (7, "", "a\nb", "\ud800", "a" * 2000):
        visitor = await logged_in(place, provider, sid=sid)
        assert await tell(place, provider.logout_token(sid=sid, sub="alice")) == 400
        assert await tell(place, provider.logout_token(sub="alice")) == 200
        assert not await place.is_known(visitor.key)


Make = Callable[[FaultyProvider], str]


def changed(**claims: Any) -> Make:
    return lambda provider: provider.logout_token(sub="alice", **claims)


def claims_of(provider: FaultyProvider) -> dict[str, Any]:
    claims = jwt.decode(provider.logout_token(sub="alice"), options={"verify_signature": False})
    assert isinstance(claims, dict)
    return claims


def typed(kind: object) -> Make:
    return lambda provider: provider.signer.token({"typ": kind}, **claims_of(provider))


BAD: dict[str, Make] = {
    "of another issuer": changed(iss="https://other.example"),
    "for another client": changed(aud="another"),
    "expired": changed(exp=int(time.time()) - 60),
    "without an end": changed(exp=None),
    "without a beginning": changed(iat=None),
    "from the future": changed(iat=int(time.time()) + 7200),
    "too old": changed(iat=int(time.time()) - 700),
    "without an event": changed(events=None),
    "of another event": changed(events={"http://other": {}}),
    "of an event that says nothing": changed(events={EVENT: True}),
    "of events that are a list": changed(events=[EVENT]),
    "with a nonce, as an ID token": changed(nonce="n"),
    "with an empty nonce": changed(nonce=""),
    "without a name of its own": changed(jti=None),
    "with a name that is no text": changed(jti=7),
    "of nobody": lambda provider: provider.logout_token(sub=None),
    "of a subject that is no text": lambda provider: provider.logout_token(sub=["alice"]),
    "of a session that is no text": changed(sid={"a": 1}),
    "an ID token": lambda provider: str(provider.given()["id_token"]),
    "an access token": lambda provider: str(provider.given()["access_token"]),
    "an access token for us": typed("at+jwt"),
    "of a type that is no text": typed(7),
    "signed by somebody else": lambda provider: rsa_signer("rsa", 3072).token(
        **claims_of(provider)
    ),
    "by a key that nobody knows": lambda provider: ec_signer("new").token(**claims_of(provider)),
    "alg none": lambda provider: by_hand({"alg": "none"}, claims_of(provider), b""),
    "signed with the public key's text": lambda provider: hs256(
        rsa_signer().pem, claims_of(provider), {"alg": "HS256", "kid": "rsa"}
    ),
    "signed with the client's secret": lambda provider: hs256(
        CLIENT_SECRET, claims_of(provider), {"alg": "HS256"}
    ),
    "no token": lambda _provider: "a.b.c",
    "nothing": lambda _provider: "",
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_logout_token_that_is_not_to_be_believed(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """400 (Back-Channel Logout §2.8), and no session ends; the log says why."""
    visitor = await logged_in(place, provider)
    assert await tell(place, BAD[fault](provider)) == 400
    assert await place.is_known(visitor.key)
    assert f"a logout token of {provider.issuer} is refused: " in caplog.text
    for secret in ("eyJ", REFRESH, CLIENT_SECRET):
        assert secret not in caplog.text


@pytest.mark.parametrize("kind", ["logout+jwt", "application/logout+jwt", "JWT", None])
async def test_the_types_that_it_may_have(
    place: World, provider: FaultyProvider, kind: str | None
) -> None:
    """Back-Channel Logout §2.4: one of its own, the usual one, or none."""
    visitor = await logged_in(place, provider)
    assert await tell(place, typed(kind)(provider)) == 200
    assert not await place.is_known(visitor.key)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"logout_token=a&logout_token=b", "application/x-www-form-urlencoded"),
        (b"logout_token=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=%d" % at for at in range(99)), "application/x-www-form-urlencoded"),
        (b'{"logout_token": "a.b.c"}', "application/json"),
        (b"logout_token=a.b.c", ""),
    ],
)
async def test_a_form_that_is_none(place: World, body: bytes, kind: str) -> None:
    """Is no logout token either."""
    fields = {"Content-Type": kind} if kind else {}
    assert (await place.ask("POST", "/login/id/backchannel", body, **fields))[0] == 400


async def test_a_form_that_is_too_large(place: World) -> None:
    """Is not read."""
    body = b"logout_token=" + b"a" * 100_000
    assert (await place.ask("POST", "/login/id/backchannel", body))[0] == 413


async def test_keys_that_cannot_be_had(redis: RedisServer, provider: FaultyProvider) -> None:
    """503: the provider may try again, and its token still counts then."""
    provider.description = answer(b"", 503)
    async with shop(redis.url, provider) as place:
        assert await tell(place, provider.logout_token(sub="alice")) == 503


async def test_a_store_that_is_down(tmp_path: Path, provider: FaultyProvider) -> None:
    """503, and it is not called done: the same token ends the sessions when the store is back."""
    with redis_server(tmp_path) as server:
        async with shop(server.url, provider, store_timeout=1) as place:
            visitor = await logged_in(place, provider)
            token = provider.logout_token(sub="alice")
            server.freeze()
            assert await tell(place, token) == 503
            server.thaw()
            async with asyncio.timeout(20):
                while await tell(place, token) != 200:
                    await asyncio.sleep(0.2)
            assert not await place.is_known(visitor.key)

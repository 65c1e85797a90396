"""Realms of logins: sessions keep theirs, whatever token or configuration comes next."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.config.logins.backend import BackendSection
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import parse_token_place
from gateway.core.sessions.realms import Realm, parse_prefix, realms_of
from gateway.core.sessions.session import Session, Token
from gateway.logins._token_finders import JwtFinder
from gateway.logins._token_replacement import OtherSubject, TokenReplacement
from gateway.outbound.token_readers import _at_its_word
from gateway.store.renewals import RenewalRefused
from tests.conftest import token_of
from tests.support.callers import by_header, log_in, log_in_with, unnamed_token
from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, user, write

BACKEND = {
    "kind": "backend",
    "path": "/login",
    "upstream": "accounts",
    "backend_path": "/backend/login",
}
PLACE = parse_token_place("/token")


# A session's next token.


async def succeeds(prefix: str, subject: str, token: str, *, asked: bool) -> bool:
    """Whether a token may take the place of that of a session with this subject."""
    realm = realms_of({"": parse_prefix(prefix)})[""]
    config = BackendSection.model_validate({**BACKEND, "subject": "sub"})
    replacement = TokenReplacement(config, JwtFinder(config, _at_its_word(0)), realm)
    session = Session("", subject, Token(token_of("1").encode()), "/login", time.time() + 60)
    reply = Reply(
        200, (("Content-Type", "application/json"),), json.dumps({"token": token}).encode()
    )
    try:
        await replacement(session, reply, PLACE, asked=asked)
    except OtherSubject:
        return False
    return True


@pytest.mark.parametrize("asked", [True, False], ids=["a renewal", "a capture"])
async def test_the_next_token_is_of_the_same_realm(asked: bool) -> None:
    """The same name in another one, or that of another session of before a prefix, is another
    subject; the host is the session's own.
    """
    blue, red = token_of("1", tenant="blue"), token_of("1", tenant="red")
    for prefix, subject, token, expected in (
        ("", "1", token_of("1"), True),
        ("", "1", token_of("2"), False),
        ("staff:", "staff:1", token_of("1"), True),
        ("staff:", "staff:1", token_of("2"), False),
        ("staff:", "staff:1", token_of("staff:1"), False),
        ("staff:", "1", token_of("1"), False),
        ("{host}:", "a.example:1", token_of("1"), True),
        ("{host}:", "a.example:1", token_of("a.example:1"), False),
        ("{claim:tenant}:", "blue:1", blue, True),
        ("{claim:tenant}:", "blue:1", red, False),
        ("{claim:tenant}:", "blue:1", token_of("1"), False),
    ):
        assert await succeeds(prefix, subject, token, asked=asked) is expected, (prefix, subject)


async def test_a_token_that_names_no_subject() -> None:
    """Is the session's own where that was asked for with its refresh token, unless it says that it
    is another tenant's.
    """
    plain = unnamed_token(1)
    for prefix, subject, token, asked, expected in (
        ("staff:", "staff:1", plain, True, True),
        ("staff:", "staff:1", plain, False, False),
        ("{claim:tenant}:", "blue:1", token_of("", tenant="blue"), True, True),
        ("{claim:tenant}:", "blue:1", token_of("", tenant="red"), True, False),
        ("{claim:tenant}:", "blue:1", plain, True, False),
    ):
        assert await succeeds(prefix, subject, token, asked=asked) is expected, (prefix, token)


async def test_users_of_a_realm(redis: RedisServer, tmp_path: Path) -> None:
    """A user's next token is found by the name without its realm; whose tenant has changed is not
    the one who has logged in.
    """
    file = write(tmp_path / "users.json", **{"al:ice": user(tenant="blue", role="admin")})
    login = {
        "kind": "users",
        "path": "/login",
        "file": str(file),
        "subject_prefix": "{claim:tenant}:",
    }
    async with world(redis.url, login=login, signing=signing()) as place:
        body = json.dumps({"username": "al:ice", "password": PASSWORD}).encode()
        _, _, text = await place.ask("POST", "/login", body, Content_Type="application/json")
        session = (await place.resolved(json.loads(text)["token"])).session
        assert (session.subject, session.claims["sub"]) == ("blue:al%3Aice", "blue:al%3Aice")
        renew = place.sessions.renewals._logins["/login"]
        assert (await renew(session)).token != session.token
        write(file, **{"al:ice": user(tenant="red", role="admin")})
        with pytest.raises(RenewalRefused):
            await renew(session)
        write(file, alice=user())
        body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
        status, _, text = await place.ask("POST", "/login", body, Content_Type="application/json")
        assert (status, json.loads(text)["reason"]) == (502, "no_realm")


# Tokens that name no subject.


async def test_an_unknown_subject_has_no_realm(redis: RedisServer) -> None:
    """It is shared with no other session, so there is nothing to tell apart; its scope is 409."""
    async with world(redis.url, login={**BACKEND, "subject_prefix": "staff:"}) as place:
        _, own = await log_in_with(place, unnamed_token(1))
        other, _ = await log_in_with(place, unnamed_token(2))
        assert (await place.ask("POST", "/logout?scope=all", **by_header(own)))[0] == 409
        assert await place.is_known(other)


# A configuration that changes.


def at(place: World, **login: Any) -> dict[str, Any]:
    """Sections that find the sessions of this place, with another login."""
    store = {"url": str(place.config.store.url), "prefix": place.config.store.prefix, "timeout": 2}
    return {"store": store, "login": {**BACKEND, **login}}


async def test_sessions_of_before_go_on_without_a_prefix(redis: RedisServer) -> None:
    """Names are subjects as they always were, colons and all."""
    async with world(redis.url) as before:
        keys = [(await log_in(before, name))[0] for name in ("alice", "a:b%3A")]
        async with world(redis.url, **at(before)) as after:
            found = [(await after.resolved(key)).session.subject for key in keys]
            assert found == ["alice", "a:b%3A"]
            _, own = await log_in(after, "a:b%3A")
            assert (await after.ask("POST", "/logout?scope=others", **by_header(own)))[0] == 204
            assert not await before.is_known(keys[1])


async def test_sessions_of_before_end_with_another_prefix(redis: RedisServer) -> None:
    """Their subject may be another person's now: with it, they would see and end that one's."""
    async with world(redis.url) as before:
        old, _ = await log_in(before, "1")
        async with world(redis.url, **at(before, subject_prefix="staff:")) as after:
            assert not await after.is_known(old)
            new, _ = await log_in(after, "1")
            assert (await after.resolved(new)).session.subject == "staff:1"
            async with world(redis.url, **at(before, subject_prefix="other:")) as last:
                assert not await last.is_known(new)


async def test_a_claim_that_is_no_name_makes_no_realm(redis: RedisServer) -> None:
    """The login is refused, and there is no session."""
    login = {**BACKEND, "subject_prefix": "{claim:tenant}:"}
    async with world(redis.url, login=login, guessing="off") as place:
        for tenant in (None, "", True, ["blue"], {"id": "blue"}, "a\nb"):
            with pytest.raises(KeyError):
                await log_in_with(place, token_of("1", tenant=tenant))
            assert place.refused[-1].reason == "no_realm"
        assert await place.sessions.directory.count() == 0
        key, _ = await log_in_with(place, token_of("1", tenant=7))
        assert (await place.resolved(key)).session.subject == "7:1"


def test_a_realm_by_itself() -> None:
    """Without any prefix, a name is a subject as it comes."""
    assert Realm().subject("staff:1", {}) == "staff:1"

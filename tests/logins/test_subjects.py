"""Whose a JWT is: by its claims, at places inside of them, or in the reply beside it."""

import json
from typing import Any

import pytest

from tests.conftest import SIGNING_SECRET, token_of
from tests.support.endpoints import BODY, World, answer, world
from tests.support.redis_server import RedisServer

LOGIN = {"kind": "backend", "path": "/login", "upstream": "accounts", "token": "/token"}
ASP_NET = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"


async def subject(place: World, reply: dict[str, Any], sent: bytes = BODY) -> str | None:
    """The subject of a login with this reply; None if it is unknown."""
    place.backend.answer = answer(reply)
    status, _, body = await place.ask("POST", "/login", sent)
    assert status == 200, body
    name: str | None = (await place.resolved(json.loads(body)["token"])).session.claim("sub")
    return name


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"id": 7}, "7"),
        ({"_id": "65f0c"}, "65f0c"),
        ({"userId": "u7"}, "u7"),
        ({"user": {"id": 7}}, "7"),
        ({"nameid": "7"}, "7"),
        ({ASP_NET: "7"}, "7"),
        ({"id": 7, "username": "alice"}, "alice"),
        ({"id": 7, "userId": 8}, "8"),
        ({"sub": None, "id": {"a": 1}}, None),
        ({"user": "alice"}, None),
        ({"id": True}, None),
    ],
)
async def test_names_that_frameworks_use(
    place: World, claims: dict[str, Any], expected: str | None
) -> None:
    """Those that were known before come first, so that a user with one keeps the subject."""
    reply = {"token": token_of("", **{"sub": None, **claims})}
    assert await subject(place, reply) == expected


@pytest.mark.parametrize(
    ("names", "reply", "expected"),
    [
        ("/org/user", {}, "9"),
        ("org.user", {}, "9"),
        ("/user/id", {"user": {"id": 7}}, "7"),
        ("/id", {"id": 7}, "7"),
        (["id", "/user/id"], {"id": 5, "user": {"id": 7}}, "7"),
        ("id", {"id": 7}, None),
        ("user.id", {"user": {"id": 7}}, None),
        ("/user/id", {"user": [{"id": 7}]}, None),
    ],
)
@pytest.mark.parametrize("verify", [None, {"secret": SIGNING_SECRET}])
async def test_places_in_the_token_and_in_the_reply(
    redis: RedisServer,
    names: str | list[str],
    reply: dict[str, Any],
    expected: str | None,
    verify: dict[str, Any] | None,
) -> None:
    """The token comes first. Only what begins with a slash is looked up in the reply."""
    section = {**LOGIN, "subject": names, **({} if verify is None else {"verify": verify})}
    async with world(redis.url, login=section, guessing="off") as place:
        token = token_of("", sub=None, org={"user": 9})
        assert await subject(place, {"token": token, **reply}) == expected


async def test_graphql_clients_name_no_user(redis: RedisServer) -> None:
    """An alias could make any text of a reply the subject, also beside a verified token."""
    section: dict[str, Any] = {
        **LOGIN,
        "token": "/data/login/token",
        "subject": "/data/login/user/id",
    }
    section["verify"] = {"secret": SIGNING_SECRET}
    async with world(redis.url, login=section, guessing="off") as place:
        token = token_of("", sub=None)
        place.backend.answer = answer({"data": {"login": {"token": token, "user": {"id": "1"}}}})
        for query, expected in (
            ("{ login { token user { id: nickname } } }", 502),
            ("{ login { token user { id } } }", 200),
        ):
            sent = json.dumps({"query": query}).encode()
            assert (await place.ask("POST", "/login", sent))[0] == expected


async def test_a_reply_with_two_names_names_none(redis: RedisServer) -> None:
    """Parsers read different ones of two members with one name."""
    async with world(redis.url, login={**LOGIN, "subject": "/id"}, guessing="off") as place:
        token = token_of("", sub=None)
        place.backend.answer = answer(b'{"token": "%b", "id": 1, "id": 2}' % token.encode())
        _, _, body = await place.ask("POST", "/login", BODY)
        assert (await place.resolved(json.loads(body)["token"])).session.claim("sub") is None

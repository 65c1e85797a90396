"""Logouts with a scope: 204 means that no other session of the subject lives."""

import json
import logging

import pytest

from gateway.core.sessions.session import Device
from gateway.endpoints.sessions import MAX_LISTED
from gateway.pages.english import ENGLISH
from gateway.pages.korean import KOREAN
from gateway.store.layout import Layout
from tests.conftest import token_of
from tests.support.callers import OWN, by_cookie, by_header, log_in, log_in_with, unnamed_token
from tests.support.endpoints import SECRET, World, world
from tests.support.page import read_page
from tests.support.redis_server import RedisServer

PAGE = {"Accept": "text/html"}


def layout(place: World) -> Layout:
    return Layout(place.config.store.prefix)


async def devices(place: World, number: int, subject: str = "alice") -> list[str]:
    """The ids of sessions on so many devices."""
    issued = [
        await place.sessions.issue(
            token=token_of(subject),
            subject=subject,
            login="/login",
            device=Device(f"Device {at}", "192.0.2.7"),
            token_expiry=None,
        )
        for at in range(number)
    ]
    return [made.session.id for made in issued]


# Tokens that name no subject.


async def test_others_of_an_unknown_subject_are_not_called_ended(place: World) -> None:
    """Two devices of one person whose tokens name no subject do not find each other: a logout of
    the others is 409, and ends nothing.
    """
    one, own = await log_in_with(place, unnamed_token(1))
    two, _ = await log_in_with(place, unnamed_token(2))
    status, headers, body = await place.ask("POST", "/logout?scope=others", **by_header(own))
    assert (status, json.loads(body)["reason"]) == (409, "unknown_subject")
    assert "Set-Cookie" not in headers
    assert await place.is_known(one)
    assert await place.is_known(two)
    assert place.refused[-1].reason == "unknown_subject"


async def test_all_of_an_unknown_subject_ends_this_device_alone(place: World) -> None:
    """Who wants to be out everywhere is out here at least; and is told that the others are not."""
    one, own = await log_in_with(place, unnamed_token(1))
    two, _ = await log_in_with(place, unnamed_token(2))
    status, headers, body = await place.ask("POST", "/logout?scope=all", **by_cookie(own), **OWN)
    assert (status, json.loads(body)["reason"]) == (409, "unknown_subject")
    assert headers["Set-Cookie"].startswith("jwt=; Max-Age=0")
    assert not await place.is_known(one)
    assert await place.is_known(two)
    [event] = [event for event in place.events if event.kind == "logout"]
    assert (event.session_id, event.reason) == (own, "all")


@pytest.mark.parametrize(("language", "texts"), [("en", ENGLISH), ("ko", KOREAN)])
@pytest.mark.parametrize("scope", ["all", "others"])
async def test_people_read_that_the_others_are_still_logged_in(
    place: World, scope: str, language: str, texts: object
) -> None:
    """A page in their language."""
    _, own = await log_in_with(place, unnamed_token(1))
    status, _, body = await place.ask(
        "POST",
        f"/logout?scope={scope}",
        Accept_Language=language,
        **by_cookie(own),
        **OWN,
        **PAGE,
    )
    assert status == 409
    notice = texts.notices["unknown_subject"]  # type: ignore[attr-defined]
    assert read_page(body).the("h1").text == notice.heading
    assert notice.words in read_page(body).text


@pytest.mark.parametrize(
    "claim", [True, None, [], ["alice"], {"id": 1}, 1.5, "", "a\nb", 2**60 * 1.0]
)
async def test_claims_that_are_no_name(place: World, claim: object) -> None:
    """A `sub` that is neither a text nor a whole number leaves the subject unknown."""
    tokens = [token_of("x", sub=claim, number=number) for number in (1, 2)]
    (_, own), (other, _) = [await log_in_with(place, token) for token in tokens]
    assert (await place.ask("POST", "/logout?scope=all", **by_header(own)))[0] == 409
    assert await place.is_known(other)


@pytest.mark.parametrize("claim", ["1", 1, 1.0])
async def test_a_number_is_a_name_however_it_is_written(place: World, claim: object) -> None:
    """1, 1.0 and "1" are the same person of one backend, whose other device ends."""
    other, _ = await log_in(place, "1")
    _, own = await log_in_with(place, token_of("x", sub=claim))
    assert (await place.ask("POST", "/logout?scope=others", **by_header(own)))[0] == 204
    assert not await place.is_known(other)


async def test_a_name_like_that_of_an_unknown_subject(place: World) -> None:
    """A subject that is called like the stand-in for no name is unknown, and is no other one."""
    _, victim = await log_in_with(place, unnamed_token(1))
    subject = (await place.sessions.directory.infos([victim]))[victim].subject
    _, own = await log_in(place, subject)
    assert (await place.sessions.directory.infos([own]))[own].subject != subject
    assert (await place.ask("DELETE", f"/sessions/{victim}", **by_header(own)))[0] == 404


async def test_the_list_of_an_unknown_subject(place: World) -> None:
    """Shows the caller's own session alone, and does not say that there is no other."""
    token = unnamed_token(1)
    _, own = await log_in_with(place, token)
    _, other = await log_in_with(place, token)
    _, _, body = await place.ask("GET", "/sessions", **by_header(own))
    data = json.loads(body)
    assert [device["handle"] for device in data["sessions"]] == [own]
    assert data["not_listed"] is None
    _, _, body = await place.ask("GET", "/sessions", **by_cookie(own), **PAGE)
    page = read_page(body)
    assert page.the("main").all("p")[-1].text == ENGLISH.others_unknown
    assert ENGLISH.only_device not in page.text
    assert (await place.ask("DELETE", f"/sessions/{other}", **by_header(own)))[0] == 404
    assert (await place.ask("DELETE", f"/sessions/{own}", **by_header(own)))[0] == 204


async def test_the_log_warns_once_of_tokens_without_a_subject(
    place: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At the first login whose token names no subject, with the claims that were looked for."""
    with caplog.at_level(logging.WARNING, "gateway.logins"):
        await log_in(place)
        assert caplog.records == []
        for number in range(3):
            await log_in_with(place, unnamed_token(number))
    [record] = caplog.records
    assert "the login /login, by any of sub, user_id, uid, username, email, " in record.message


# What an index does not tell.


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_sessions_that_cannot_be_read_end_as_well(
    redis: RedisServer, place: World, scope: str
) -> None:
    """A session that a newer gateway wrote is in no list, but it lives; so it ends."""
    _, own = await log_in(place)
    _, newer = await log_in(place)
    name = layout(place).session(newer)
    with redis.client() as client:
        record = client.get(name)
        assert isinstance(record, bytes)
        client.set(name, b"\xff" + record[1:], keepttl=True)
        _, _, body = await place.ask("GET", "/sessions", **by_header(own))
        data = json.loads(body)
        assert ([device["handle"] for device in data["sessions"]], data["not_listed"]) == ([own], 1)
        status, _, _ = await place.ask("POST", f"/logout?scope={scope}", **by_header(own))
        assert (status, client.exists(name)) == (204, 0)
    [event] = [event for event in place.events if event.session_id == newer and event.reason]
    assert (event.kind, event.subject) == ("logout", "alice")


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_a_lost_index_is_made_anew(redis: RedisServer, place: World, scope: str) -> None:
    """Redis has evicted it, or an operator has deleted it: the subject's other sessions end all
    the same, and those of another subject do not.
    """
    _, own = await log_in(place)
    others = [(await log_in(place))[0] for _ in range(3)]
    bystander, _ = await log_in(place, "bob")
    with redis.client() as client:
        client.delete(layout(place).subject("alice"))
    assert (await place.ask("POST", f"/logout?scope={scope}", **by_header(own)))[0] == 204
    for key in others:
        assert not await place.is_known(key)
    assert await place.is_known(bystander)


async def test_a_list_whose_index_was_lost(redis: RedisServer, place: World) -> None:
    """Shows all of them again."""
    ids = {(await log_in(place))[1] for _ in range(3)}
    with redis.client() as client:
        client.delete(layout(place).subject("alice"))
    _, _, body = await place.ask("GET", "/sessions", **by_header(min(ids)))
    assert {device["handle"] for device in json.loads(body)["sessions"]} == ids
    assert set(await place.sessions.directory.of("alice")) == ids


# A list that is bounded.


async def test_a_list_of_more_than_are_shown(redis: RedisServer) -> None:
    """A hundred are listed, and how many more there are; all of them can be ended."""
    unlimited = {"secrets": [SECRET], "max_per_subject": 0}
    async with world(redis.url, session=unlimited) as place:
        many = await devices(place, MAX_LISTED + 30)
        own = many[0]
        _, _, body = await place.ask("GET", "/sessions", **by_header(own))
        data = json.loads(body)
        handles = [device["handle"] for device in data["sessions"]]
        assert (len(set(handles)), handles[0], data["not_listed"]) == (MAX_LISTED, own, 30)
        _, _, body = await place.ask("GET", "/sessions", **by_cookie(own), **PAGE)
        page = read_page(body)
        assert len(page.the("ul").all("li")) == MAX_LISTED
        assert "30 more devices are not shown." in page.text
        hidden = min(set(many) - set(handles))
        assert (await place.ask("DELETE", f"/sessions/{hidden}", **by_header(own)))[0] == 204
        assert (await place.ask("POST", "/logout?scope=others", **by_header(own)))[0] == 204
        assert await place.sessions.living(many) == {own}
        data = json.loads((await place.ask("GET", "/sessions", **by_header(own)))[2])
        assert (len(data["sessions"]), data.keys()) == (1, {"sessions"})


async def test_what_has_ended_hides_nothing(redis: RedisServer, place: World) -> None:
    """Entries of sessions that are gone leave the index, and the list has the older ones."""
    ids = await devices(place, 90)
    with redis.client() as client:
        client.delete(*(layout(place).session(ended) for ended in ids[10:]))
    _, _, body = await place.ask("GET", "/sessions", **by_header(ids[0]))
    data = json.loads(body)
    assert {device["handle"] for device in data["sessions"]} == set(ids[:10])
    assert "not_listed" not in data


async def test_a_hundred_sessions_are_what_a_subject_may_have(place: World) -> None:
    """Unless config.yaml says otherwise; the next login ends the oldest."""
    ids = await devices(place, MAX_LISTED + 1)
    assert await place.sessions.living(ids) == set(ids[1:])

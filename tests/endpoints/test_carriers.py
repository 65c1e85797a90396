"""How a login hands out its key: in its reply, or in a cookie for the site's own pages."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from multidict import CIMultiDict

from tests.conftest import token_of
from tests.support.endpoints import BODY, World, answer, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

FORM = {"Content_Type": "application/x-www-form-urlencoded", "Accept": "text/html, */*;q=0.8"}
JSON = {"Content_Type": "application/json", "Accept": "*/*"}
OWN = {"Sec_Fetch_Site": "same-origin"}
FIELDS = urlencode({"username": "alice", "password": "wonderland"}).encode()


@pytest.fixture
async def here(redis: RedisServer) -> AsyncIterator[World]:
    async with world(redis.url) as running:
        running.backend.answer = answer({"token": token_of("alice"), "name": "Alice"})
        yield running


def cookie_in(fields: Any) -> str:
    """The one cookie that was set, with its attributes."""
    [line] = fields.getall("Set-Cookie")
    return str(line)


async def test_json_in_key_in_the_reply(here: World) -> None:
    """No cookie."""
    status, fields, body = await here.ask("POST", "/login", BODY, **JSON)
    assert (status, "Set-Cookie" in fields) == (200, False)
    assert re.search(rb'"token": "lk_[\w-]{49}"', body)


async def test_a_browsers_form_in_cookie_out(here: World) -> None:
    """The key is in no text that a script could read, and neither is the token."""
    status, fields, body = await here.ask("POST", "/login", FIELDS, **FORM, **OWN)
    assert (status, body) == (200, b'{"token": "", "name": "Alice"}')
    found = re.fullmatch(
        r"latchkey=(lk_[\w-]{49}); Path=/; HttpOnly; SameSite=Lax", cookie_in(fields)
    )
    assert found
    assert await here.is_known(found[1])
    assert fields["Cache-Control"] == "no-store"
    assert here.backend.last.body == FIELDS


async def test_over_https(here: World) -> None:
    """The name that browsers protect, and Secure."""
    _, fields, _ = await here.ask(
        "POST", "/login", FIELDS, **FORM, **OWN, X_Forwarded_Proto="https"
    )
    assert cookie_in(fields).startswith("__Host-latchkey=lk_")
    assert cookie_in(fields).endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")


async def test_a_redirect_after_a_form(here: World) -> None:
    """As server-side frameworks answer: the redirect passes, the token in its cookie becomes the
    key, and no second cookie is set.
    """
    here.backend.answer = web.Response(
        status=302,
        headers={"Location": "/home", "Set-Cookie": f"sid={token_of('alice')}; Path=/; HttpOnly"},
    )
    status, fields, _ = await here.ask("POST", "/login", FIELDS, **FORM, **OWN)
    assert (status, fields["Location"]) == (302, "/home")
    assert re.fullmatch(r"sid=lk_[\w-]{49}; Path=/; HttpOnly", cookie_in(fields))


@pytest.mark.parametrize(
    "said",
    [{}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
async def test_another_sites_form(here: World, said: dict[str, str]) -> None:
    """It could log a visitor in as another user: 403, and the backend is not even asked."""
    status, fields, _ = await here.ask("POST", "/login", FIELDS, **FORM, **said)
    assert (status, "Set-Cookie" in fields) == (403, False)
    assert here.backend.asked == []


@pytest.mark.parametrize(
    ("more", "extra", "by_cookie"),
    [
        ({"X_Requested_With": "cookie", **JSON}, b"", True),
        ({"X_Requested_With": "XMLHttpRequest", **FORM}, b"", False),
        ({**FORM}, b"&key_carrier=reply", False),
        ({**FORM, "Accept": "*/*"}, b"&key_carrier=cookie", True),
        ({**FORM, "Accept": "application/json"}, b"", False),
        ({"X_Requested_With": "com.example.app", **FORM}, b"&key_carrier=reply", False),
    ],
)
async def test_the_client_may_say(
    here: World, more: dict[str, str], extra: bytes, *, by_cookie: bool
) -> None:
    """In a field of the request or of the form."""
    body = BODY if "json" in more["Content_Type"] else FIELDS + extra
    status, fields, _ = await here.ask("POST", "/login", body, **more, **OWN)
    assert (status, "Set-Cookie" in fields) == (200, by_cookie)


@pytest.mark.parametrize(
    ("fields", "accept", "by_cookie"),
    [
        ({"key_carrier": "cookie"}, "*/*", True),
        ({"key_carrier": "reply"}, "text/html", False),
        ({"key_carrier": "nonsense"}, "text/html", True),
        ({"comment": '"key_carrier"\r\n\r\nreply'}, "text/html", True),
        ({}, "*/*", False),
        ({}, "text/html", True),
    ],
)
async def test_a_form_of_parts(
    here: World, fields: dict[str, str], accept: str, *, by_cookie: bool
) -> None:
    """As scripts send FormData (RFC 7578)."""
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {**fields, "username": "alice"}.items()
    )
    kind = {"Content_Type": "multipart/form-data; boundary=x", "Accept": accept}
    status, got, _ = await here.ask("POST", "/login", f"{parts}--x--\r\n".encode(), **kind, **OWN)
    assert (status, "Set-Cookie" in got) == (200, by_cookie)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", ""])
async def test_another_site_and_a_backends_own_cookie(here: World, kind: str) -> None:
    """Whatever the request looks like, it logs no visitor in as another user: no session begins,
    and the cookie does not come. A program, which does not say who caused it, is let in.
    """
    here.backend.answer = web.Response(headers={"Set-Cookie": f"sid={token_of('mallory')}"})
    said = {"Content_Type": kind, "Accept": "*/*"}
    for foreign in (
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        status, fields, body = await here.ask("POST", "/login", BODY, **said, **foreign)
        assert (status, "Set-Cookie" in fields) == (403, False)
        assert b"cross_site" in body
    assert {event.kind for event in here.events} == {"login_failed"}
    for more in ({}, OWN):
        status, fields, _ = await here.ask("POST", "/login", BODY, **said, **more)
        assert (status, cookie_in(fields)[:7]) == (200, "sid=lk_")


async def test_another_site_ends_no_session(here: World) -> None:
    """With a name and password of its own, whose key it gets in the reply, it cannot log a visitor
    out; nor is the backend asked.
    """
    key, told = await by_cookie_told(here, "latchkey")
    asked = len(here.backend.asked)
    for foreign in ({"Sec_Fetch_Site": "same-site"}, {"Origin": "https://evil.example"}):
        plain = {"Content_Type": "text/plain", "Accept": "*/*"}
        status, _, _ = await here.ask("POST", "/login", BODY, **plain, **told, **foreign)
        assert status == 403
    assert len(here.backend.asked) == asked
    assert await here.is_known(key)


@pytest.mark.parametrize(
    ("old", "how", "deleted"),
    [
        ("latchkey", JSON, True),
        ("latchkey", FORM, False),
        ("__Host-latchkey", FORM, True),
        ("sid", FORM, True),
    ],
)
async def test_one_key_is_left(
    here: World, old: str, how: dict[str, str], *, deleted: bool
) -> None:
    """The old cookie goes with its session, where the new key does not take its place: a browser
    would send both, and two keys are refused.
    """
    key, told = await by_cookie_told(here, old)
    body = BODY if how is JSON else FIELDS
    here.backend.answer = answer({"detail": "no"}, 401)
    status, fields, _ = await here.ask("POST", "/login", body, **how, **OWN, **told)
    assert (status, "Set-Cookie" in fields) == (401, False)
    here.backend.answer = answer({"token": token_of("alice")})
    status, fields, _ = await here.ask("POST", "/login", body, **how, **OWN, **told)
    assert status == 200
    lines = [line for line in fields.getall("Set-Cookie") if line.startswith(f"{old}=;")]
    assert [line.split("; ")[1] for line in lines] == (["Max-Age=0"] if deleted else [])
    assert all(line.endswith("; Secure") == old.startswith("__Host-") for line in lines)
    assert not await here.is_known(key)


async def by_cookie_told(here: World, name: str) -> tuple[str, dict[str, str]]:
    """A key, and what the relay says of a request that brings it in this cookie."""
    _, _, body = await here.ask("POST", "/login", BODY, **JSON)
    key = re.findall(rb"lk_[\w-]{49}", body)[0].decode()
    session_id = (await here.resolved(key)).session.id
    return key, {
        "X_Latchkey_Session": session_id,
        "X_Latchkey_Carrier": "cookie",
        "X_Latchkey_Cookie": name,
    }


@pytest.mark.parametrize(("carrier", "by_cookie"), [("reply", False), ("cookie", True)])
async def test_the_config_may_say(redis: RedisServer, carrier: str, *, by_cookie: bool) -> None:
    """Whatever the client wants; for one login or for all."""
    login = {"kind": "backend", "path": "/login", "upstream": "accounts"}
    for changes in (
        {"keys": {"carrier": carrier, "cookie": "sid"}},
        {"login": {**login, "carrier": carrier}, "keys": {"cookie": "sid"}},
    ):
        async with world(redis.url, **changes) as here:
            here.backend.answer = answer({"token": token_of("alice")})
            for body, fields in ((BODY, JSON), (FIELDS, FORM)):
                _, got, _ = await here.ask("POST", "/login", body, **fields, **OWN)
                assert ("Set-Cookie" in got) is by_cookie
                assert not by_cookie or cookie_in(got).startswith("sid=lk_")


async def test_no_fixation(here: World) -> None:
    """wire-rules.md#E5: a new key at every login, and the former one of the same browser ends."""
    _, fields, _ = await here.ask("POST", "/login", FIELDS, **FORM, **OWN)
    first = cookie_in(fields).partition("=")[2].partition(";")[0]
    session_id = (await here.resolved(first)).session.id
    _, fields, _ = await here.ask(
        "POST",
        "/login",
        FIELDS,
        **FORM,
        **OWN,
        X_Latchkey_Session=session_id,
        X_Latchkey_Carrier="cookie",
    )
    second = cookie_in(fields).partition("=")[2].partition(";")[0]
    assert second != first
    assert await here.is_known(second)
    assert not await here.is_known(first)


THEIRS = [
    "latchkey=lk_fixed; Path=/",
    "__Host-latchkey=x; Path=/; Secure",
    " latchkey = x; Path=/login",
    "a=lk_trip.forged",
    "sid=opaque",
    "theme=dark; Path=/",
]


@pytest.mark.parametrize("cookie", [True, False])
@pytest.mark.parametrize("kind", ["backend", "mint"])
async def test_no_backend_sets_the_cookies_of_keys(
    redis: RedisServer, kind: str, cookie: bool
) -> None:
    """wire-rules.md#E7: neither as it logs a user in nor as it refuses to; what else it sets
    passes.
    """
    login = {"kind": kind, "path": "/login", "upstream": "accounts"}
    mint = {"signing": signing(), "login": {**login, "claims": {"sub": "header:X-User"}}}
    backends = {"login": {**login, "token": "cookie:sid"}}
    async with world(redis.url, **(mint if kind == "mint" else backends)) as place:
        own = {"X_Requested_With": "cookie", **OWN} if cookie else {}
        for status in (200, 302, 401):
            lines = [("Set-Cookie", cookie) for cookie in THEIRS]
            if kind == "backend" and status < 400:
                lines.append(("Set-Cookie", f"sid={token_of('alice')}; Path=/"))
            place.backend.answer = web.Response(
                status=status, headers=CIMultiDict([("X-User", "alice"), *lines])
            )
            got, fields, _ = await place.ask("POST", "/login", BODY, **own)
            assert got == status
            handed_out = status == 200 or (kind == "backend" and status == 302)
            set_by = fields.getall("Set-Cookie")
            kept = [line for line in set_by if "lk_" not in line]
            assert kept == (THEIRS[-2:] if kind == "mint" else THEIRS[-1:])
            in_cookie = handed_out and (cookie or kind == "backend")
            assert len(set_by) == len(kept) + in_cookie

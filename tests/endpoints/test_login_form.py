"""The login page's own form: for the gateway's users, without JavaScript."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, user, write

HTML = {"Accept": "text/html,*/*;q=0.8"}
OWN = {"Sec_Fetch_Site": "same-origin", "Content_Type": "application/x-www-form-urlencoded", **HTML}


class Form(HTMLParser):
    """The page's only form: where it leads, and its fields with what they hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert not self.action
            self.action = given["action"]
            assert given["method"] == "post"
        if tag == "input":
            self.fields[given["name"]] = given.get("value", "")


@pytest.fixture
async def place(redis: RedisServer, tmp_path: Path) -> AsyncIterator[World]:
    file = write(tmp_path / "users.json", alice=user(role="admin"))
    login = {"kind": "users", "path": "/login", "file": str(file)}
    async with world(
        redis.url,
        signing=signing(),
        login=login,
        pages={"login": "/signin"},
        login_page="/signin",  # as the configuration's reader fills it in
    ) as built:
        yield built


async def form(place: World, back: str = "/orders?page=2", language: str = "en") -> Form:
    query = urlencode({"return_to": back})
    status, headers, page = await place.ask(
        "GET", f"/signin?{query}", **HTML, Accept_Language=language
    )
    assert status == 200
    assert "script-src" not in headers["Content-Security-Policy"]
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    return Form(page.decode())


async def test_logging_in(place: World) -> None:
    """The key comes in a cookie, and the browser goes on to where it was going."""
    shown = await form(place)
    assert (shown.action, set(shown.fields)) == (
        "/login",
        {"return_to", "username", "password"},
    )
    sent = urlencode({**shown.fields, "username": "alice", "password": PASSWORD}).encode()
    status, headers, _ = await place.ask("POST", shown.action, sent, **OWN)
    assert (status, headers["Location"]) == (303, "/orders?page=2")
    found = re.fullmatch(r"latchkey=(lk_[\w-]{49}); .*HttpOnly.*", headers["Set-Cookie"])
    assert found
    assert await place.is_known(found[1])


async def test_a_wrong_password(place: World) -> None:
    """A page says so, does not show what was typed, and leads back."""
    sent = urlencode({"username": "alice", "password": "hunter2hunter2"}).encode()
    status, headers, page = await place.ask("POST", "/login", sent, **OWN)
    assert (status, "Set-Cookie" in headers) == (401, False)
    assert b'<a href="/signin">' in page
    assert b"hunter2" not in page


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_nobody_is_led_elsewhere(place: World, back: str) -> None:
    """CWE-601: neither by the page nor by the form."""
    assert (await form(place, back)).fields["return_to"] == "/"
    sent = urlencode({"username": "alice", "password": PASSWORD, "return_to": back}).encode()
    _, headers, _ = await place.ask("POST", "/login", sent, **OWN)
    assert headers["Location"] == "/"


async def test_what_is_in_a_path_is_escaped(place: World) -> None:
    """The way back is whatever the address said."""
    shown = await form(place, '/"><script>alert(1)</script>')
    assert shown.fields["return_to"] in ("/", '/"><script>alert(1)</script>')
    assert set(shown.fields) == {"return_to", "username", "password"}

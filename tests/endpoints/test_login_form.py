"""The login page's own form: for the gateway's users, without JavaScript."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.pages.english import ENGLISH
from gateway.pages.korean import KOREAN
from gateway.pages.texts import Texts
from tests.support.endpoints import World, world
from tests.support.page import read_page
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


WRONG = {"username": "alice", "password": "hunter2hunter2"}


@pytest.mark.parametrize(
    ("language", "texts"), [("en", ENGLISH), ("ko", KOREAN)], ids=["English", "Korean"]
)
async def test_a_wrong_password(place: World, language: str, texts: Texts) -> None:
    """The form is there once more and says so at its fields, and to those who cannot see it; it
    does not show what was typed, and still leads to where one was going.
    """
    shown = await form(place)
    sent = urlencode({**shown.fields, **WRONG}).encode()
    status, headers, body = await place.ask("POST", "/login", sent, **OWN, Accept_Language=language)
    assert (status, "Set-Cookie" in headers) == (401, False)
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert "hunter2" not in body.decode()
    assert '"alice"' not in body.decode()
    again, page = Form(body.decode()), read_page(body)
    assert (again.action, again.fields) == (shown.action, shown.fields)
    [said] = [
        paragraph for paragraph in page.all("p") if paragraph.attributes.get("role") == "alert"
    ]
    notice = texts.notice("wrong_login")
    assert said.text == f"{notice.heading} {notice.words}"
    assert page.the("title").text.startswith(notice.heading)
    fields = [
        element for element in page.all("input") if element.attributes.get("type") != "hidden"
    ]
    assert {field.attributes["aria-describedby"] for field in fields} == {said.attributes["id"]}
    right = urlencode({**again.fields, "username": "alice", "password": PASSWORD}).encode()
    status, headers, _ = await place.ask("POST", again.action, right, **OWN)
    assert (status, headers["Location"]) == (303, "/orders?page=2")


async def test_whatever_else_is_refused(place: World) -> None:
    """An empty form, and one that comes too often: the form says so, with its status."""
    empty = b"username=&password=&return_to=%2Forders"
    for sent, status, reason in (
        (b"return_to=%2Forders", 400, "bad_login"),
        (b"username=alice&username=bob&password=x&return_to=%2Forders", 400, "bad_login"),
        *[(empty, 401, "wrong_login")] * 3,
        (empty, 429, "too_many_attempts"),
    ):
        got, headers, body = await place.ask("POST", "/login", sent, **OWN)
        assert got == status
        assert ENGLISH.notice(reason).words in read_page(body).the("form").text
        assert Form(body.decode()).fields["return_to"] == "/orders"
    assert int(headers["Retry-After"]) > 0


async def test_another_sites_form_is_not_shown_again(place: World) -> None:
    """A visitor who was tricked is told so, and led nowhere."""
    sent = urlencode({**WRONG, "return_to": "/orders"}).encode()
    status, _, body = await place.ask("POST", "/login", sent, **{**OWN, "Sec_Fetch_Site": "none"})
    assert status == 401
    status, _, body = await place.ask(
        "POST", "/login", sent, **{**OWN, "Sec_Fetch_Site": "cross-site"}
    )
    assert (status, read_page(body).all("form")) == (403, [])


async def test_the_address_of_a_refused_form(place: World) -> None:
    """Who reloads it, or comes back to it, is led to the form; programs are told what is served."""
    for method in ("GET", "HEAD"):
        status, headers, _ = await place.ask(method, "/login", **HTML)
        assert (status, headers["Location"]) == (303, "/signin")
    status, headers, _ = await place.ask("GET", "/login")
    assert (status, headers["Allow"]) == (405, "POST")


async def test_a_login_page_of_ones_own(redis: RedisServer, tmp_path: Path) -> None:
    """It has a form that the gateway does not know, so a page leads back there, and from there to
    where one was going.
    """
    file = write(tmp_path / "users.json", alice=user())
    login = {"kind": "users", "path": "/login", "file": str(file)}
    async with world(redis.url, signing=signing(), login=login, login_page="/my/page") as place:
        for sent, target in ((WRONG, "/login?return_to=/orders"), ({}, "/login")):
            status, _, body = await place.ask("POST", target, urlencode(sent).encode(), **OWN)
            link = read_page(body).the("a").attributes["href"]
            assert (status, link) == (
                (401, "/my/page?return_to=/orders") if sent else (400, "/my/page")
            )


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

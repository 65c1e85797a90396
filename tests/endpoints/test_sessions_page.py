"""The list of the caller's sessions as people see it, and pages in place of what was refused."""

import json
import re
from pathlib import Path

import pytest

from gateway.core.http import refusals
from gateway.core.sessions.records import SessionInfo
from gateway.pages import views
from gateway.pages.english import ENGLISH
from gateway.pages.korean import KOREAN
from gateway.pages.refusals import RefusalPages
from gateway.pages.rendering import SESSIONS, Templates
from gateway.pages.texts import Texts
from tests.support.callers import OWN, by_cookie, by_header, log_in
from tests.support.endpoints import World, world
from tests.support.page import Element, read_page
from tests.support.redis_server import RedisServer

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1"
NOW = 1_800_000_000


async def page_of(place: World, session_id: str, path: str = "/sessions", **more: str) -> Element:
    """What a browser with this session is shown."""
    status, headers, body = await place.ask(
        "GET", path, **by_cookie(session_id), **{**BROWSER, **more}
    )
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return read_page(body)


def posts_to(button: Element, page: Element) -> str:
    """Where a button's form goes; it is a POST that works without a script."""
    [form] = [element for element in page.all("form") if button in element.all("button")]
    assert form.attributes["method"] == "post"
    return form.attributes["action"]


# What it holds.


async def test_the_page(place: World) -> None:
    """Each device with its address and times, the present one marked and first, and its buttons."""
    _, own = await log_in(place, User_Agent=FIREFOX, X_Real_Ip="192.0.2.7")
    _, other = await log_in(place, User_Agent=IPHONE, X_Real_Ip="2001:db8::1")
    page = await page_of(place, own)
    assert page.the("title").text == page.the("h1").text == "Your devices"
    first, second = page.the("ul").all("li")
    assert first.the("h2").text == "Firefox on Linux This device"
    assert second.the("h2").text == "Safari on iPhone"
    assert [term.text for term in first.all("dt")] == ["IP address", "Logged in", "Last active"]
    assert first.all("dd")[0].text == "192.0.2.7"
    for moment in first.all("time") + second.all("time"):
        machine, plain = moment.attributes["datetime"], moment.text
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", machine)
        assert plain == f"{machine[:10]} {machine[11:16]} UTC"
    assert first.all("dd")[1].text.startswith("just now ")
    buttons = page.all("button")
    assert [(button.text, posts_to(button, page)) for button in buttons] == [
        ("Log out", f"/sessions/{own}"),
        ("Log out", f"/sessions/{other}"),
        ("Log out all other devices", "/logout?scope=others"),
        ("Log out everywhere", "/logout?scope=all"),
    ]


async def test_an_only_device(place: World) -> None:
    """With nothing else to log out, there are no buttons for it."""
    _, own = await log_in(place)
    page = await page_of(place, own)
    assert [posts_to(button, page) for button in page.all("button")] == [f"/sessions/{own}"]
    assert page.the("main").all("p")[-1].text == ENGLISH.only_device


async def test_everybody_can_use_it(place: World) -> None:
    """WCAG: a language, one main heading and a landmark; buttons whose names say which device they
    mean and contain what they show (2.5.3); what they refer to exists.
    """
    _, own = await log_in(place, User_Agent=FIREFOX)
    await log_in(place, User_Agent=IPHONE)
    page = await page_of(place, own)
    assert page.the("html").attributes["lang"] == "en"
    assert len(page.the("main").all("h1")) == 1
    names = [button.attributes["aria-label"] for button in page.the("ul").all("button")]
    assert names == ["Log out Firefox on Linux", "Log out Safari on iPhone"]
    ids = [element.attributes["id"] for element in page.everything() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for button in page.the("ul").all("button"):
        assert button.text in button.attributes["aria-label"]
        assert button.attributes["aria-describedby"] in ids
    zoom = [element for element in page.all("meta") if element.attributes.get("name") == "viewport"]
    assert zoom[0].attributes["content"] == "width=device-width, initial-scale=1"
    assert ":focus-visible" in page.the("style").text


def test_colours_can_be_told_apart() -> None:
    """WCAG 1.4.3: a contrast of 4.5 at least, in the light and in the dark."""
    style = (Path(views.__file__).parent / "templates" / "style.css").read_text()
    found = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(found) == 2
    for block in found:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for behind in ("ground", "card"):
            for name in ("ink", "quiet", "accent", "danger"):
                assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
        assert contrast(colours["accent"], colours["tint"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


async def test_nothing_comes_from_elsewhere(place: World) -> None:
    """No script, no address of another place, and a policy under which there could be none."""
    _, own = await log_in(place)
    policies = set()
    for path, fields in (("/sessions", by_cookie(own)), ("/sessions", {}), ("/nothing", {})):
        _, headers, body = await place.ask("GET", path, **fields, **BROWSER)
        page = read_page(body)
        policy = headers["Content-Security-Policy"].split("; ")
        nonce = page.the("style").attributes["nonce"]
        assert policy == [
            "default-src 'none'",
            f"style-src 'nonce-{nonce}'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Vary"] == "Accept, Accept-Language"
        for element in page.everything():
            assert element.tag not in ("script", "link", "img", "iframe", "object", "embed")
            assert not {"src", "style"} & set(element.attributes)
            assert not [name for name in element.attributes if name.startswith("on")]
        assert not re.search(r"url\(|@import|https?:", page.the("style").text)
        policies.add(nonce)
    assert len(policies) == 3  # a nonce is used once


async def test_what_came_from_outside_is_only_text(place: World) -> None:
    """A label or an address in the store that looks like markup is shown as it is."""
    _, own = await log_in(place, X_Real_Ip="<b>'\"&amp;</b>")
    _, _, body = await place.ask("GET", "/sessions", **by_cookie(own), **BROWSER)
    assert b"<b>" not in body
    assert read_page(body).all("dd")[0].text == "<b>'\"&amp;</b>"


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", '" onclick="x', "앱 <b> 'x'"])
def test_a_label_that_looks_like_markup(label: str) -> None:
    """Nothing of it becomes an element or an attribute, and all of it is seen."""
    said = SessionInfo("alice", label, "192.0.2.7", NOW + 60, NOW, NOW)
    device = views.device("h", said, ENGLISH, current=False, now=NOW)
    context = {"text": ENGLISH, "devices": [device], "sessions_path": "/s", "logout_path": "/l"}
    page = read_page(Templates(None).get_template(SESSIONS).render(context).encode())
    assert page.the("h2").text == label
    assert page.all("script") == []
    assert page.the("button").attributes == {
        "aria-label": f"Log out {label}",
        "aria-describedby": "about-1",
    }


# Its language.


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", KOREAN),
        ("ko", KOREAN),
        ("fr-FR, ko;q=0.4", KOREAN),
        ("en-GB,en;q=0.9,ko;q=0.8", ENGLISH),
        ("fr", ENGLISH),
        ("", ENGLISH),
    ],
)
async def test_the_readers_language(place: World, wanted: str, texts: Texts) -> None:
    """By Accept-Language, with weights; English is for all others. It is said in the answer."""
    _, own = await log_in(place, User_Agent=FIREFOX)
    await log_in(place)
    status, headers, body = await place.ask(
        "GET", "/sessions", **by_cookie(own), **BROWSER, Accept_Language=wanted
    )
    page = read_page(body)
    assert (status, headers["Content-Language"]) == (200, texts.language)
    assert page.the("html").attributes["lang"] == texts.language
    assert page.the("h1").text == texts.title
    assert page.all("button")[-1].text == texts.log_out_everywhere
    assert page.all("button")[0].attributes["aria-label"] == texts.log_out_of.format(
        texts.device("Firefox on Linux")
    )
    assert texts.just_now in page.all("dd")[1].text


@pytest.mark.parametrize(
    ("seconds", "english", "korean"),
    [
        (-5, "just now", "방금 전"),
        (0, "just now", "방금 전"),
        (59.9, "just now", "방금 전"),
        (60, "1 minute ago", "1분 전"),
        (119, "1 minute ago", "1분 전"),
        (3599, "59 minutes ago", "59분 전"),
        (3600, "1 hour ago", "1시간 전"),
        (2 * 3600, "2 hours ago", "2시간 전"),
        (86399, "23 hours ago", "23시간 전"),
        (86400, "1 day ago", "1일 전"),
        (400 * 86400, "400 days ago", "400일 전"),
    ],
)
def test_how_long_ago(seconds: float, english: str, korean: str) -> None:
    """In the largest unit that there was one of."""
    assert (ENGLISH.ago(seconds), KOREAN.ago(seconds)) == (english, korean)


@pytest.mark.parametrize(
    ("label", "korean"),
    [
        ("Firefox on Linux", "Firefox (Linux)"),
        ("Android app on Android", "Android 앱 (Android)"),
        ("Unknown device", "알 수 없는 기기"),
        ("curl", "curl"),
    ],
)
def test_devices_by_name(label: str, korean: str) -> None:
    """The label is English at rest, and is translated as far as it is English."""
    assert (ENGLISH.device(label), KOREAN.device(label)) == (label, korean)


def test_no_text_is_left_in_english() -> None:
    """Each language says the same things; what a button is named contains what it shows."""
    for texts in views.LANGUAGES.values():
        assert set(texts.notices) == set(ENGLISH.notices)
        assert texts.log_out in texts.log_out_of
        assert texts.log_out_of.count("{}") == 1
    for name in ENGLISH.__slots__:
        if isinstance(getattr(ENGLISH, name), str):
            assert getattr(ENGLISH, name) != getattr(KOREAN, name), name


# JSON or a page.


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER["Accept"], True),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html", True),
    ],
)
async def test_who_gets_which(place: World, accept: str, html: bool) -> None:
    """A page is for who prefers HTML, whichever way the key came; JSON is for all others."""
    _, own = await log_in(place)
    for fields in (by_header(own), by_cookie(own), {}):
        _, headers, body = await place.ask("GET", "/sessions", **fields, Accept=accept)
        assert headers["Content-Type"].startswith("text/html") is html
        if not html:
            json.loads(body)
    _, headers, body = await place.ask("HEAD", "/sessions", **by_cookie(own), Accept=accept)
    assert headers["Content-Type"].startswith("text/html") is html
    assert body == b""


@pytest.mark.parametrize("texts", [ENGLISH, KOREAN])
async def test_a_refusal_is_a_page_for_people(place: World, texts: Texts) -> None:
    """With the status, the challenge and the methods that a program would get."""
    _, own = await log_in(place)
    people = {**BROWSER, "Accept_Language": texts.language}
    evil = {"Sec_Fetch_Site": "cross-site"}
    for method, path, fields, status, reason in (
        ("GET", "/sessions", {}, 401, "no_key"),
        ("GET", "/sessions", {"X_Latchkey_Carrier": "cookie"}, 401, "invalid_key"),
        ("POST", "/logout?scope=all", {}, 401, "no_key"),
        ("POST", f"/sessions/{own}", {**by_cookie(own), **evil}, 403, "cross_site"),
        ("POST", f"/sessions/{'0' * 43}", {**by_cookie(own), **OWN}, 404, "no_session"),
        ("GET", f"/sessions/{own}", by_cookie(own), 405, ""),
        ("POST", "/logout?scope=x", {**by_cookie(own), **OWN}, 400, ""),
    ):
        got, headers, body = await place.ask(method, path, **fields, **people)
        page, notice = read_page(body), texts.notice(reason)
        assert got == status
        assert (page.the("h1").text, page.the("html").attributes["lang"]) == (
            notice.heading,
            texts.language,
        )
        assert page.the("main").all("p")[0].text == notice.words
        assert ("WWW-Authenticate" in headers) is (status == 401)
        assert ("Allow" in headers) is (status == 405)
        links = [link.attributes["href"] for link in page.all("a")]
        assert links == (["/sessions"] if status == 404 else [])


async def test_people_are_sent_to_the_login_page(redis: RedisServer) -> None:
    """If there is one: and from there back to where they wanted to go; programs get their 401."""
    async with world(redis.url, login_page="/signin") as place:
        for method, path, location in (
            ("GET", "/sessions", "/signin?return_to=/sessions"),
            ("GET", "/sessions?x=1", "/signin?return_to=/sessions%3Fx%3D1"),
            ("POST", f"/sessions/{'0' * 43}", "/signin"),
            ("POST", "/logout?scope=all", "/signin"),
        ):
            status, headers, _ = await place.ask(method, path, **BROWSER)
            assert (status, headers["Location"]) == (303, location)
            assert (await place.ask(method, path))[0] == 401


@pytest.mark.parametrize("login_page", [None, "/signin"])
@pytest.mark.parametrize("texts", [ENGLISH, KOREAN])
async def test_people_read_that_they_are_logged_out(
    redis: RedisServer, login_page: str | None, texts: Texts
) -> None:
    """On a page, from which they may log in again; whether or not there was a session."""
    async with world(redis.url, login_page=login_page) as place:
        _, own = await log_in(place)
        for path, fields in (("/logout", {**by_cookie(own), **OWN}), ("/logout", {})):
            status, headers, body = await place.ask(
                "POST", path, **fields, **BROWSER, Accept_Language=texts.language
            )
            page = read_page(body)
            assert (status, page.the("h1").text) == (200, texts.logged_out.heading)
            assert ("Set-Cookie" in headers) is bool(fields)
            links = [(link.attributes["href"], link.text) for link in page.all("a")]
            assert links == ([(login_page, texts.again)] if login_page else [])


# Templates of the operator's own.


async def test_templates_of_ones_own(redis: RedisServer, tmp_path: Path) -> None:
    """One of the same name wins, may build on ours, and ours are there for all others."""
    (tmp_path / "style.css").write_text("body { color: rebeccapurple }")
    (tmp_path / "sessions.html").write_text(
        '{% extends "latchkey/sessions.html" %}{% block title %}Acme{% endblock %}'
    )
    async with world(redis.url, pages={"templates": str(tmp_path)}) as place:
        _, own = await log_in(place)
        page = await page_of(place, own)
        assert page.the("title").text == "Acme"
        assert page.the("h1").text == ENGLISH.title
        assert page.the("style").text == "body { color: rebeccapurple }"
        _, _, body = await place.ask("GET", "/sessions", **BROWSER)
        assert read_page(body).the("h1").text == ENGLISH.notice("no_key").heading


OWN_TEXTS = """
en:
  title: Where you are <signed in>
  minutes: [a minute ago, "{} minutes ago, at the most"]
  devices: {Unknown device: Something}
  notices:
    no_key: {heading: Sign in to Acme}
    busy: {heading: Come back later, words: Please.}
fr: {title: Vos appareils, this_device: Cet appareil}
"""


async def test_texts_of_ones_own(redis: RedisServer, tmp_path: Path) -> None:
    """What the file beside the templates says is said, in any language, and is a text; what it
    leaves out is as before, in English where the gateway has no words.
    """
    (tmp_path / "texts.yaml").write_text(OWN_TEXTS)
    async with world(redis.url, pages={"templates": str(tmp_path)}) as place:
        _, own = await log_in(place)
        shown = (
            ("en", "en", "Where you are <signed in>", "This device"),
            ("ko", "ko", KOREAN.title, KOREAN.this_device),
            ("fr-CA", "fr", "Vos appareils", "Cet appareil"),
            ("de", "en", "Where you are <signed in>", "This device"),
        )
        for wanted, language, title, mark in shown:
            _, headers, body = await place.ask(
                "GET", "/sessions", **by_cookie(own), **BROWSER, Accept_Language=wanted
            )
            page = read_page(body)
            assert (headers["Content-Language"], page.the("h1").text) == (language, title)
            assert page.the("html").attributes["lang"] == language
            assert mark in page.the("h2").text
            assert ("Something" in page.the("h2").text) is (language == "en")
        _, _, body = await place.ask("GET", "/sessions", **BROWSER)
        page = read_page(body)
        assert page.the("h1").text == "Sign in to Acme"
        assert page.the("p").text == ENGLISH.notice("no_key").words
    texts = Templates(str(tmp_path)).texts("en")
    assert (texts.ago(60), texts.ago(120)) == ("a minute ago", "2 minutes ago, at the most")
    refusal = RefusalPages(str(tmp_path)).page(refusals.BUSY, "fr;q=0.1, de")
    assert refusal.fields["Content-Language"] == "fr"
    assert read_page(refusal.body).the("h1").text == ENGLISH.notice("busy").heading
    refusal = RefusalPages(str(tmp_path)).page(refusals.BUSY, "en")
    assert read_page(refusal.body).the("h1").text == "Come back later"


async def test_texts_that_break_later(
    redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Are said in the log, and pages are shown with the gateway's own."""
    async with world(redis.url, pages={"templates": str(tmp_path)}) as place:
        (tmp_path / "texts.yaml").write_text("en: [")
        _, own = await log_in(place)
        assert (await page_of(place, own)).the("h1").text == ENGLISH.title
        assert "texts.yaml cannot be used: line 1" in caplog.text


async def test_a_name_that_is_not_known_shows_nothing(redis: RedisServer, tmp_path: Path) -> None:
    """What was wrong only for some people is no reason to show those nothing at all."""
    (tmp_path / "sessions.html").write_text("<p>{% if nonce %}{{ no.such.thing }}{% endif %}.</p>")
    async with world(redis.url, pages={"templates": str(tmp_path)}) as place:
        _, own = await log_in(place)
        assert (await page_of(place, own)).the("p").text == "."


async def test_the_list_elsewhere_or_nowhere(redis: RedisServer) -> None:
    """Its path is config.yaml's to say, and so is that there is none."""
    async with world(redis.url, sessions="/my/devices", logout={"path": "/bye"}) as place:
        _, own = await log_in(place)
        page = await page_of(place, own, "/my/devices")
        assert posts_to(page.all("button")[0], page) == f"/my/devices/{own}"
        await log_in(place)
        page = await page_of(place, own, "/my/devices")
        assert posts_to(page.all("button")[-1], page) == "/bye?scope=all"
        assert (await place.ask("GET", "/sessions", **by_cookie(own)))[0] == 404
    async with world(redis.url, sessions=False) as place:
        _, own = await log_in(place)
        for method, path in (("GET", "/sessions"), ("DELETE", f"/sessions/{own}")):
            assert (await place.ask(method, path, **by_cookie(own)))[0] == 404
        asked = {**by_cookie(own), **OWN, **BROWSER}
        _, _, body = await place.ask("POST", "/logout?scope=all", **asked)
        assert read_page(body).the("h1").text == ENGLISH.logged_out.heading

"""Every page in a real browser: in both languages, light and dark, on a desk and on a phone."""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gateway.core.http import return_paths
from gateway.pages.english import ENGLISH
from gateway.pages.korean import KOREAN
from gateway.pages.texts import Texts
from tests.e2e.test_browser_sessions import go, press, sees
from tests.support.gateway import Gateway, gateway
from tests.support.processes import free_port
from tests.support.raw import Upstream, Visit
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, user, write

DESK, PHONE = 1000, 375  # widths, in CSS pixels

# WCAG 2.2 §1.4.3 and §1.4.11: for text, and for what shows where a field is.
TEXT, EDGE = 4.5, 3

# The colours of each element and those behind it, and whether it says something itself.
LOOK = """
const behind = each => {
  for (; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
};
const says = each => [...each.childNodes].some(n => n.nodeType === 3 && n.data.trim());
return [...document.body.querySelectorAll("*")].filter(e => e.checkVisibility()).map(each => ({
  tag: each.localName, text: says(each), colour: getComputedStyle(each).color,
  ground: behind(each), edge: getComputedStyle(each).borderTopColor,
  around: behind(each.parentElement),
}));
"""


def site(visit: Visit) -> None:
    """A site that has a page, and sends people from another one to itself under another name."""
    leaves = visit.request().startswith(b"GET /leave")
    there = b"Location: http://127.0.0.1:%d/\r\n" % visit.sock.getsockname()[1]
    body = b"<!doctype html><title>Home</title><h1>Home</h1>"
    visit.send(
        b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b"
        % (b"302 Found\r\n" + there.rstrip() if leaves else b"200 OK", len(body), body)
    )
    visit.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Gateway]:
    """A gateway with everything that has a page."""
    folder = tmp_path_factory.mktemp("front")
    upstream = Upstream()
    upstream.answer = site
    issuer = f"http://127.0.0.1:{free_port()}"
    provider = {"kind": "oidc", "path": "/login/id", "name": "Example", "issuer": issuer}
    with gateway(
        folder,
        {"url": redis.url, "prefix": "pages:"},
        upstreams={"site": upstream.url, "nowhere": "http://127.0.0.1:1"},
        signing=signing(),
        login=[
            {
                "kind": "users",
                "path": "/login",
                "file": str(write_users(folder)),
                "remember": {"idle_timeout": "8d", "max_age": "20d"},
            },
            {**provider, "client_id": "shop", "subject_prefix": "id:"},
        ],
        pages={"login": "/signin", "leads_to": upstream.url},
        routes=[
            {"path": "/home", "upstream": "site"},
            {"path": "/leave", "upstream": "site"},
            {"path": "/admin", "upstream": "site", "claims": {"role": "admin"}},
            {"path": "/away", "upstream": "nowhere", "auth": "public"},
        ],
    ) as running:
        yield running
    upstream.stop()


def write_users(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return write(folder / "users.json", alice=user())


def reads(browser: Chrome, language: str, scheme: str, width: int) -> None:
    """Makes the browser one of this reader's."""
    agent = browser.execute_cdp_cmd("Browser.getVersion", {})["userAgent"]
    override = {"userAgent": agent, "acceptLanguage": language}
    browser.execute_cdp_cmd("Network.setUserAgentOverride", override)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def log_in(browser: Chrome, password: str) -> None:
    """By the keyboard alone, from wherever a fresh page begins."""
    fields = browser.find_elements(By.CSS_SELECTOR, "input:not([type=hidden])")
    if browser.switch_to.active_element != fields[0]:
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys("alice", Keys.TAB)
    browser.switch_to.active_element.send_keys(password, Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)


def is_for_everybody(browser: Chrome, texts: Texts, heading: str, width: int) -> None:
    """A page that all people can read: with their eyes, their ears, and their fingers."""
    sees(browser, "h1", heading)
    assert browser.find_element(By.TAG_NAME, "html").get_dom_attribute("lang") == texts.language
    assert heading in browser.title
    for element in browser.find_elements(By.CSS_SELECTOR, "a, button, input:not([type=hidden])"):
        assert element.accessible_name
        if element.tag_name != "a" or "button" in str(element.get_dom_attribute("class")):
            assert element.size["height"] >= 44  # WCAG 2.2 §2.5.5, in CSS pixels
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    assert size["width"] == width, "nothing sticks out"
    looks: list[dict[str, Any]] = browser.execute_script(LOOK)
    for look in looks:
        if look["text"]:
            assert contrast(look["colour"], look["ground"]) >= TEXT, look
        if look["tag"] == "input":
            assert contrast(look["edge"], look["around"]) >= EDGE, look


def contrast(one: str, other: str) -> float:
    """Of two colours, as CSS spells them: WCAG 2.2's definition of contrast ratio."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "width"), [("light", DESK), ("dark", PHONE)])
@pytest.mark.parametrize("texts", [ENGLISH, KOREAN], ids=["English", "Korean"])
def test_every_page(browser: Chrome, front: Gateway, texts: Texts, scheme: str, width: int) -> None:
    """From the login page over a wrong password to where one was going, to the devices and other
    pages, and out again: without a mouse, and without anything that cannot be read.
    """
    reads(browser, texts.language, scheme, width)
    browser.delete_all_cookies()

    def shows(heading: str) -> None:
        is_for_everybody(browser, texts, heading, width)

    go(browser, front, "/home?a=1")
    shows(texts.log_in.heading)
    log_in(browser, "a wrong one")
    wrong = texts.notice("wrong_login")
    sees(browser, "strong", wrong.heading)
    shows(texts.log_in.heading)
    assert browser.switch_to.active_element.accessible_name == texts.user_name
    log_in(browser, PASSWORD)
    sees(browser, "h1", "Home")
    assert browser.current_url.endswith("/home?a=1")
    go(browser, front, "/sessions")
    shows(texts.title)
    for path, reason in (
        ("/admin", "forbidden"),
        ("/nowhere", "no_route"),
        ("/away", "upstream_unreachable"),
        ("/login/id", "provider_unavailable"),
    ):
        go(browser, front, path)
        shows(texts.notice(reason).heading)
    browser.get(f"data:text/html,<a href='http://localhost:{front.port}/logout'>elsewhere</a>")
    browser.find_element(By.TAG_NAME, "a").click()
    shows(texts.log_out_question.heading)
    press(browser, texts.log_out)
    shows(texts.logged_out.heading)
    assert browser.get_cookies() == []
    browser.find_element(By.LINK_TEXT, texts.again).send_keys(Keys.ENTER)
    sees(browser, "h1", texts.log_in.heading)
    assert browser.current_url.endswith("/signin")


@pytest.mark.parametrize("texts", [ENGLISH, KOREAN], ids=["English", "Korean"])
@pytest.mark.parametrize("remembered", [True, False])
def test_remember_me(browser: Chrome, front: Gateway, texts: Texts, remembered: bool) -> None:
    """A checked box lets the cookie last longer than the session may be idle; without the check,
    the browser forgets it when it closes.
    """
    reads(browser, texts.language, "light", DESK)
    browser.delete_all_cookies()
    go(browser, front, "/home")
    box = browser.find_element(By.CSS_SELECTOR, "input[type=checkbox]")
    assert box.accessible_name == texts.remember_me
    browser.find_element(By.NAME, "username").send_keys("alice")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.TAB)
    assert browser.switch_to.active_element == box
    box.send_keys(*[Keys.SPACE] * remembered, Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    sees(browser, "h1", "Home")
    cookie = browser.get_cookie("latchkey")
    assert cookie is not None
    assert ("expiry" in cookie) == remembered
    if remembered:
        assert abs(cookie["expiry"] - time.time() - 9 * 86400) < 60


def test_a_route_that_leads_elsewhere(browser: Chrome, front: Gateway) -> None:
    """Browsers look at each step of the way from a form; one that config.yaml names may be gone."""
    reads(browser, "en", "light", DESK)
    browser.delete_all_cookies()
    go(browser, front, "/leave")
    log_in(browser, PASSWORD)
    sees(browser, "h1", "Home")
    assert browser.current_url.startswith("http://127.0.0.1:")


def test_a_way_back_stays_on_this_site(browser: Chrome) -> None:
    """CWE-601: whatever is taken for a path of this site, a browser takes for one, too."""
    parts = [
        "/",
        "\\",
        ".",
        "..",
        ";",
        "@",
        ":",
        "?",
        "#",
        "%2f",
        "%5C",
        "%09",
        "\t",
        "\n",
        " ",
        "e.x",
    ]
    texts = ["".join(letters) for size in range(1, 5) for letters in product(parts, repeat=size)]
    paths = [text for text in texts if return_paths.safe(text) == text]
    assert len(paths) > 1000
    reading = (
        "return arguments[0].filter(p => new URL(p, 'https://a.b/c/d').origin !== 'https://a.b')"
    )
    assert browser.execute_script(reading, paths) == []
    assert browser.execute_script(reading, ["//e.x", "/\t/e.x", "/a"]) == ["//e.x", "/\t/e.x"]


@pytest.fixture(autouse=True)
def _nothing_is_blocked(browser: Chrome) -> Iterator[None]:
    """The pages obey their own policy; Chromium reports refusals and a missing icon by itself."""
    yield
    told = [str(line["message"]) for line in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    usual = ("with a status of", "/favicon.ico")
    assert [message for message in told if not any(text in message for text in usual)] == []

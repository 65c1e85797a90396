"""A browser on a route that requires a recent login (`require.max_age`)."""

import re
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import token_of
from tests.e2e.test_browser_pages import write_users
from tests.e2e.test_browser_sessions import go, html, sees
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Upstream, Visit
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD
from tests.wire.test_step_up import HOUR, aged

FORM = """<!doctype html><title>Log in</title>
<form method="post" action="/login"><input name="username"><input name="password" type="password">
<input type="hidden" name="next" value="{}"><button>Log in</button></form>"""


def site(visit: Visit) -> None:
    """A site that names what was asked for, with a login page that knows where to go on."""
    for request in visit.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        method, target, _ = head.decode().split(" ", 2)
        path, _, query = target.partition("?")
        if method == "POST":
            [back] = re.findall("next=(.*)", body.decode())
            cookie = f"Set-Cookie: jwt={token_of('alice')}; Path=/; HttpOnly\r\n"
            visit.send(html("303 See Other", "", f"Location: {unquote_plus(back)}\r\n{cookie}"))
        elif path == "/enter":
            visit.send(html("200 OK", FORM.format(escape(parse_qs(query)["return_to"][0]))))
        else:
            visit.send(html("200 OK", f"<title>Shop</title><h1>{escape(target)}</h1>"))


@pytest.fixture(scope="module", params=["backend", "users"])
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis: RedisServer
) -> Iterator[Gateway]:
    """A gateway whose users log in at the site's own page, and one at the gateway's."""
    folder = tmp_path_factory.mktemp("front")
    sections: dict[str, Any] = {
        "login": {"kind": "backend", "path": "/login", "upstream": "site"},
        "login_page": "/enter",
    }
    if request.param == "users":
        users = str(write_users(folder))
        sections = {
            "login": {"kind": "users", "path": "/login", "file": users},
            "pages": {"login": "/signin"},
            "signing": signing(),
        }
    with (
        Upstream(site) as upstream,
        gateway(
            folder,
            {"url": redis.url, "prefix": f"{request.param}:"},
            upstreams={"site": upstream.url},
            routes=[
                {"path": "/enter", "upstream": "site", "auth": "public"},
                {"path": "/pay/*", "upstream": "site", "require": {"max_age": "10m"}},
                {"path": "/*", "upstream": "site"},
            ],
            **sections,
        ) as running,
    ):
        yield running


def key_of(browser: Chrome) -> str:
    [key] = [
        cookie["value"] for cookie in browser.get_cookies() if cookie["value"].startswith("lk_")
    ]
    return str(key)


def log_in(browser: Chrome) -> None:
    browser.find_element(By.NAME, "username").send_keys("alice")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)


def test_an_old_login_is_made_anew(front: Gateway, redis: RedisServer, browser: Chrome) -> None:
    """A form is shown although the browser is logged in. After it comes the page that was asked
    for, with its query, and the key is another one. Other pages ask for nothing.
    """
    browser.delete_all_cookies()
    go(browser, front, "/home")
    log_in(browser)
    sees(browser, "h1", "/home")
    old = aged(front, redis, key_of(browser), HOUR)
    go(browser, front, "/home")
    sees(browser, "h1", "/home")
    go(browser, front, "/pay/1?n=2")
    sees(browser, "button", "Log in")
    assert "max_age=600" in browser.current_url
    log_in(browser)
    sees(browser, "h1", "/pay/1?n=2")
    assert key_of(browser) != old
    go(browser, front, "/pay/2")
    sees(browser, "h1", "/pay/2")

"""Logging in at a real OpenID provider, with a real browser: there, back, and out again."""

import http.client
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.chromium import chromium
from tests.support.gateway import Gateway, gateway
from tests.support.openid import OpenIdProvider, client, openid_provider
from tests.support.processes import HANG, eventually, free_port
from tests.support.raw import Upstream, Visit
from tests.support.redis_server import RedisServer

JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
TOKEN_LIFE = 5


def site(visit: Visit) -> None:
    """A site that greets whom it is told of."""
    for request in visit.requests():
        path = request.split(b" ")[1].decode()
        named = re.search(rb"\r\nX-User-Id: ([^\r]+)", request)
        text = f"Hello {named[1].decode()} at {path}" if named else f"Nobody is at {path}"
        form = '<form method="post" action="/logout"><button id="out">Log out</button></form>'
        body = f'<!doctype html><title>Shop</title><p id="hello">{text}</p>{form}'.encode()
        visit.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


@dataclass
class Shop:
    """Two gateways before a site, and the provider at which one logs in. Browsers use the first."""

    gateways: Sequence[Gateway]
    upstream: Upstream
    provider: OpenIdProvider

    @property
    def front(self) -> Gateway:
        return self.gateways[0]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.front.port}"

    def tokens(self) -> list[dict[str, object]]:
        """What the tokens say that the site got, in their order."""
        got = re.findall(rb"\r\nAuthorization: Bearer ([^\r]+)", self.upstream.got)
        return [jwt.decode(token, options={"verify_signature": False}) for token in got]

    def ask(self, path: str, cookie: str, at: int = 0) -> int:
        """The status of a request with this cookie at one of the gateways."""
        port = self.gateways[at].port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)
        try:
            connection.request("GET", path, headers={"Cookie": cookie})
            return connection.getresponse().status
        finally:
            connection.close()

    def everywhere(self, cookie: str) -> list[int]:
        """The same at each of the gateways."""
        return [self.ask("/home/", cookie, at) for at in range(len(self.gateways))]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Shop]:
    upstream = Upstream()
    upstream.answer = site
    folder = tmp_path_factory.mktemp("shop")
    port, at = free_port(), free_port()
    url = f"http://localhost:{port}"
    clients = [
        client(url, "/login/example"),
        client(url, "/login/other", name="The other shop", by_session=False),
    ]
    with openid_provider(folder / "id", at, *clients, token_life=TOKEN_LIFE) as provider:
        logins = [
            {
                "kind": "oidc",
                "path": client["redirect_uris"].removeprefix(url).removesuffix("/callback"),
                "name": name,
                "issuer": provider.issuer,
                "client_id": client["client_id"],
                "client_secret": client["client_secret"],
                "client_auth": auth,
                "token": token,
                "scopes": ["openid", "profile"],
                "renew_before": 2,
            }
            for client, name, auth, token in zip(
                clients,
                ("Example ID", "Other ID"),
                ("client_secret_basic", "client_secret_post"),
                ("access_token", "id_token"),
                strict=True,
            )
        ]
        sections: dict[str, Any] = {
            "upstreams": {"site": upstream.url},
            "login": logins,
            "pages": {"login": "/login"},
            "session": {"secrets": ["a secret of the tests, long enough"], "clock_skew": 1},
            "routes": [
                {"path": "/", "upstream": "site", "auth": "optional"},
                {"path": "/home/*", "upstream": "site"},
                {"path": "/pay/*", "upstream": "site", "require": {"max_age": "10m"}},
            ],
        }
        with (
            gateway(folder / "front", redis.url, at=port, **sections) as front,
            gateway(folder / "second", redis.url, **sections) as second,
        ):
            yield Shop([front, second], upstream, provider)
    upstream.stop()


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser without any cookie."""
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Another browser of the same user."""
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def wait(browser: Chrome, condition: Callable[[Chrome], object]) -> None:
    # The page that is looked at may just be going away.
    passing = (NoSuchElementException, StaleElementReferenceException)
    try:
        WebDriverWait(browser, HANG, ignored_exceptions=passing).until(condition)
    except TimeoutException:
        text = browser.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"{browser.current_url}: {text}") from None


def says(browser: Chrome, text: str) -> None:
    """Waits until the page says this."""
    wait(browser, lambda browser: text in browser.find_element(By.TAG_NAME, "body").text)


def identify(browser: Chrome, name: str, by: str = "allow") -> None:
    """At the provider: says who one is, and lets the shop know, or cancels."""
    wait(browser, lambda browser: browser.title == "Example ID")
    browser.find_element(By.NAME, "username").send_keys(name)
    browser.find_element(By.NAME, "password").send_keys(f"{name}'s password")
    browser.find_element(By.ID, "log-in").click()
    decide(browser, by)


def decide(browser: Chrome, by: str = "allow") -> None:
    says(browser, "requires the following permissions")
    [*_, cancel, accept] = browser.find_elements(By.CSS_SELECTOR, "input[type=submit]")
    (accept if by == "allow" else cancel).click()


def log_in(browser: Chrome, shop: Shop, name: str = "alice", *, at: str = "Example ID") -> None:
    """From a page that one may not see, by the choice, to the provider and back to that page."""
    browser.get(f"{shop.url}/home/cart?n=1")
    says(browser, "Log in to go on.")
    browser.find_element(By.LINK_TEXT, f"Continue with {at}").click()
    identify(browser, name)
    says(browser, "Hello")


def leave_provider(browser: Chrome, shop: Shop) -> None:
    """Logs out there, which the gateway learns behind the browser's back."""
    browser.get(f"{shop.provider.issuer}/logout/")
    browser.find_element(By.NAME, "allow").click()


def ends(shop: Shop, cookie: str) -> None:
    """Waits until a session has ended at each of the gateways."""
    until = time.monotonic() + HANG
    while shop.everywhere(cookie) != [401, 401]:
        assert time.monotonic() < until, shop.provider.log.read_text()
        time.sleep(0.05)


def cookies(browser: Chrome) -> dict[str, dict[str, object]]:
    return {cookie["name"]: cookie for cookie in browser.get_cookies()}


def cookie_of(browser: Chrome) -> str:
    """The key, as the browser sends it."""
    return f"latchkey={cookies(browser)['latchkey']['value']}"


def test_there_and_back_and_out(shop: Shop, browser: Chrome) -> None:
    """The whole way: the choice, the provider, back to the page that was asked for; a call, and a
    logout that ends the session here first and the login at the provider as well.
    """
    shop.upstream.clear(site)
    log_in(browser, shop)
    assert browser.current_url == f"{shop.url}/home/cart?n=1"
    says(browser, "Hello 1 at /home/cart?n=1")

    key = cookies(browser)["latchkey"]
    assert re.fullmatch(r"lk_[\w-]{49}", str(key["value"]))
    assert (key["httpOnly"], key["sameSite"], key["path"]) == (True, "Lax", "/")
    assert list(cookies(browser)) == ["latchkey"], "what was taken along is gone"
    assert not JWT.search(browser.page_source)

    [*_, token] = shop.tokens()
    assert (token["username"], token["iss"]) == ("alice", shop.provider.issuer)
    assert b"lk_" not in shop.upstream.got

    cookie = f"latchkey={key['value']}"
    assert shop.ask("/home/", cookie) == 200
    browser.find_element(By.ID, "out").click()
    wait(browser, lambda browser: browser.current_url == f"{shop.url}/")
    says(browser, "Nobody is at /")
    assert shop.ask("/home/", cookie) == 401
    assert "latchkey" not in cookies(browser)
    [event] = shop.front.events(event="logout", subject="1")
    assert "reason" not in event or event["reason"] == ""

    browser.get(f"{shop.url}/login/example")
    wait(browser, lambda browser: browser.title == "Example ID")
    eventually(lambda: "GET /o/logout/?" in shop.provider.log.read_text())


def test_who_is_known_there_does_not_log_in_again(shop: Shop, browser: Chrome) -> None:
    """A second login makes a second key, and the first one ends (wire-rules.md#E5)."""
    log_in(browser, shop)
    first = cookie_of(browser)
    browser.get(f"{shop.url}/login/example?return_to=/home/again")
    decide(browser)
    says(browser, "Hello 1 at /home/again")
    second = cookie_of(browser)
    assert first != second
    assert shop.ask("/home/", first) == 401
    assert shop.ask("/home/", second) == 200


def test_a_recent_login_is_made_at_the_provider(shop: Shop, browser: Chrome) -> None:
    """A route with `max_age`: a user who has logged in there an hour ago gives the password once
    more, and is back at the page.
    """
    log_in(browser, shop)
    with sqlite3.connect(shop.provider.log.parent / "db.sqlite3") as people:
        people.execute("UPDATE auth_user SET last_login = datetime('now', '-1 hour')")
    browser.get(f"{shop.url}/login/example?return_to=/home/again")
    decide(browser)
    says(browser, "Hello 1 at /home/again")
    old = cookie_of(browser)
    assert (shop.ask("/home/", old), shop.ask("/pay/", old)) == (200, 401)
    browser.get(f"{shop.url}/pay/1?n=2")
    says(browser, "Log in to go on.")
    browser.find_element(By.LINK_TEXT, "Continue with Example ID").click()
    identify(browser, "alice")
    says(browser, "Hello 1 at /pay/1?n=2")
    assert shop.ask("/pay/", cookie_of(browser)) == 200


def test_two_windows_at_once(shop: Shop, browser: Chrome) -> None:
    """Each has a login state of its own, so both arrive where they wanted to go."""
    browser.get(f"{shop.url}/login/example?return_to=/home/one")
    wait(browser, lambda browser: browser.title == "Example ID")
    one = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(f"{shop.url}/login/example?return_to=/home/two")
    identify(browser, "bob")
    says(browser, "Hello 2 at /home/two")
    browser.switch_to.window(one)
    browser.refresh()  # the provider has given its forms another secret
    identify(browser, "bob")
    says(browser, "Hello 2 at /home/one")


def test_the_other_client_and_its_way_to_say_who_it_is(shop: Shop, browser: Chrome) -> None:
    """Two logins stand side by side; this one sends its secret in the form, and its sessions' token
    is the ID token, which no browser ever gets.
    """
    log_in(browser, shop, at="Other ID")
    [*_, token] = shop.tokens()
    assert (token["aud"], token["iss"]) == ("client of /login/other", shop.provider.issuer)
    assert token["nonce"]
    browser.find_element(By.ID, "out").click()
    # The session's own token is no hint for the provider, so it asks.
    wait(browser, lambda browser: browser.current_url.startswith(f"{shop.provider.issuer}/logout/"))
    assert "id_token_hint" not in browser.current_url
    browser.find_element(By.NAME, "allow").click()
    says(browser, "Nobody is at /")


def test_whoever_cancels_is_told_so(shop: Shop, browser: Chrome) -> None:
    """No text of the provider's is shown, nothing is issued, and one can begin anew."""
    browser.get(f"{shop.url}/login/example?return_to=/home/later")
    identify(browser, "bob", "cancel")
    says(browser, "You have not been logged in")
    assert urlsplit(browser.current_url).path == "/login/example/callback"
    assert cookies(browser) == {}
    browser.refresh()
    says(browser, "This login has expired")
    browser.find_element(By.LINK_TEXT, "Log in again").click()
    decide(browser)
    says(browser, "Hello 2 at /")


def test_the_token_is_renewed(shop: Shop, browser: Chrome) -> None:
    """When it is due, with a refresh token that the provider takes once only, and unnoticed."""
    log_in(browser, shop, "alice")
    shop.upstream.clear(site)
    cookie, until = cookie_of(browser), time.monotonic() + HANG
    while len({token["jti"] for token in shop.tokens()}) < 3:
        assert shop.ask("/home/", cookie) == 200
        assert time.monotonic() < until
        time.sleep(0.2)
    assert all(token["username"] == "alice" for token in shop.tokens())


def test_a_logout_at_the_provider_ends_the_session_here(
    shop: Shop, browser: Chrome, laptop: Chrome
) -> None:
    """On every gateway, by the provider's session (`sid`): the same user's other browser stays."""
    for visitor in (browser, laptop):
        log_in(visitor, shop, "bob")
    left, other = cookie_of(browser), cookie_of(laptop)
    assert shop.everywhere(left) == shop.everywhere(other) == [200, 200]
    leave_provider(browser, shop)
    ends(shop, left)
    assert shop.everywhere(other) == [200, 200]
    [event] = shop.front.events(event="logout", reason="backchannel")
    assert (event["subject"], event["by"]) == ("2", "provider")


def test_a_logout_at_the_provider_may_end_all_sessions(
    shop: Shop, browser: Chrome, laptop: Chrome
) -> None:
    """A provider that names the user alone (`sub`) ends them on all devices, on every gateway."""
    for visitor in (browser, laptop):
        log_in(visitor, shop, "bob", at="Other ID")
    left, other = cookie_of(browser), cookie_of(laptop)
    assert shop.everywhere(left) == shop.everywhere(other) == [200, 200]
    leave_provider(browser, shop)
    ends(shop, left)
    ends(shop, other)


def test_from_the_list_of_devices(shop: Shop, browser: Chrome) -> None:
    """The page's own policy lets its form lead to the provider, and back."""
    log_in(browser, shop)
    cookie = cookie_of(browser)
    browser.get(f"{shop.url}/sessions")
    browser.find_element(By.CSS_SELECTOR, "li.current button").click()
    wait(browser, lambda browser: browser.current_url == f"{shop.url}/")
    says(browser, "Nobody is at /")
    assert shop.ask("/home/", cookie) == 401
    browser.get(f"{shop.url}/login/example")
    wait(browser, lambda browser: browser.title == "Example ID")


def test_nothing_secret_is_logged(shop: Shop, browser: Chrome) -> None:
    """No code, state or token is in a log of the gateway's; paths are, without their queries."""
    log_in(browser, shop)
    records = shop.front.records(route="/login/example/callback")
    assert {record["path"] for record in records} == {"/login/example/callback"}
    text = "".join(log.read_text() for log in shop.front.log.parent.glob("*.log"))
    assert not JWT.search(text)
    assert not re.search(r"[?&](code|state|nonce)=", text)

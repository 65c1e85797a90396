"""What pages can do to a user who is logged in, the site's own and others': by a real browser."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.conftest import json_answer, token_of
from tests.e2e.test_browser_sessions import html, press, sees
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Upstream, Visit, always, ask
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, user, write

ICON = '<link rel="icon" href="data:,">'
BLANK = f"<!doctype html><title>Blank</title>{ICON}"
HOME = f"<!doctype html><title>Home</title>{ICON}<p>Hello {{}}</p>"

# RFC 6455 §1.3.
_HANDSHAKE = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def site(visit: Visit) -> None:
    """A home page, an API, a WebSocket; and a login that reads whatever comes as a form, and hands
    its token out in a cookie.
    """
    for request in visit.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        match head.split(b" ")[1]:
            case b"/cookie":
                [name] = re.findall(rb"username=(\w+)", body)
                token = token_of(name.decode())
                lines = f"Location: /home\r\nSet-Cookie: jwt={token}; Path=/; HttpOnly\r\n"
                visit.send(html("303 See Other", "", lines))
            case b"/home":
                [name] = re.findall(rb"\r\nX-User-Id: (\w+)", head)
                visit.send(html("200 OK", HOME.format(name.decode())))
            case b"/socket":
                visit.send(accepted(head))
            case b"/public":
                visit.send(html("200 OK", BLANK))
            case _:
                visit.send(json_answer("200 OK", {"done": True}))


def accepted(head: bytes) -> bytes:
    """The opening handshake's answer, RFC 6455 §4.2.2."""
    [nonce] = re.findall(rb"(?i)\r\nsec-websocket-key: (\S+)", head)
    digest = base64.b64encode(hashlib.sha1(nonce + _HANDSHAKE).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % digest
    )


_LOGIN = (
    b"POST /cookie HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    b"Content-Length: 16\r\n\r\nusername=mallory"
)


@dataclass
class Place:
    """The site that a test is about, and the browser that is there."""

    browser: Chrome
    relay: Gateway
    backend: Upstream
    others: Upstream  # of all other sites
    host: str
    user: str

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.relay.port}"

    def go(self, path: str) -> None:
        self.browser.get(self.origin + path)

    def leave_for(self, host: str) -> None:
        """To a page of another site, which then does what the test has it do."""
        self.browser.get(f"http://{host}:{self.others.port}/")
        self.backend.clear(site)

    def log_in(self) -> None:
        """By the gateway's own page, as a person does."""
        self.go("/home")
        assert self.browser.current_url == f"{self.origin}/signin?return_to=/home"
        self.browser.find_element(By.NAME, "username").send_keys(self.user)
        self.browser.find_element(By.NAME, "password").send_keys(PASSWORD)
        press(self.browser, "Log in")
        sees(self.browser, "p", f"Hello {self.user}")

    def is_logged_in(self) -> bool:
        self.go("/home")
        return self.browser.title == "Home"

    def cookies(self) -> list[str]:
        return [str(cookie["name"]) for cookie in self.browser.get_cookies()]

    def fetch(self, path: str, **options: object) -> object:
        """The status that a script sees, `opaque` where it may see none, or `failed`."""
        script = """
            const [url, options, done] = arguments;
            fetch(url, options).then(got => done(got.status || got.type), () => done("failed"));
        """
        return self.browser.execute_async_script(script, self.origin + path, options)

    def connect(self) -> object:
        """Whether a script's WebSocket opens."""
        script = """
            const [url, done] = arguments, socket = new WebSocket(url);
            socket.onopen = () => { done("open"); socket.close(); };
            socket.onerror = () => done("refused");
        """
        url = self.origin.replace("http", "ws") + "/socket"
        return self.browser.execute_async_script(script, url)

    def post(self, path: str, enctype: str = "", **fields: str) -> None:
        """A form that submits itself."""
        script = """
            const [action, enctype, fields] = arguments, form = document.createElement("form");
            Object.assign(form, {method: "post", action, enctype});
            for (const [name, value] of Object.entries(fields)) {
                const input = document.createElement("input");
                Object.assign(input, {name, value});
                form.append(input);
            }
            document.body.append(form);
            form.submit();
        """
        self.browser.execute_script(script, self.origin + path, enctype, fields)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Upstream, Upstream]]:
    """The site's backend, and all other sites."""
    backend, others = Upstream(), Upstream()
    backend.answer, others.answer = site, always(html("200 OK", BLANK))
    yield backend, others
    backend.stop()
    others.stop()


# Browsers think localhost as safe as HTTPS: they send Sec-Fetch-Site there, and take cookies that
# are for HTTPS alone. At other names it is Origin that has to tell.
HOSTS = {"shop.localhost": True, "shop.test": False}


@pytest.fixture(scope="module", params=HOSTS)
def front(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    servers: tuple[Upstream, Upstream],
) -> Iterator[tuple[str, Gateway, Path]]:
    """The site's name, its gateway, and its file of users."""
    backend, others = servers
    folder = tmp_path_factory.mktemp("front")
    users = write(folder / "users.json")
    app = f"http://app.{request.param}:{others.port}"
    of_backend = {"kind": "backend", "upstream": "site", "subject_prefix": ""}
    with gateway(
        folder,
        redis.url,
        upstreams={"site": backend.url},
        signing=signing(),
        login=[
            {"kind": "users", "path": "/login", "file": str(users), "subject_prefix": ""},
            {**of_backend, "path": "/cookie", "token": "cookie:jwt"},
        ],
        keys={"secure": HOSTS[request.param]},
        pages={"login": "/signin"},
        routes=[
            {"path": "/public", "upstream": "site", "auth": "public"},
            {"path": "/home", "upstream": "site"},
            {"path": "/act", "upstream": "site"},
            {"path": "/socket", "upstream": "site", "websocket": True},
            {"path": "/api/*", "upstream": "site", "cors": {"origins": app, "credentials": True}},
            {
                "path": "/api/admin/*",
                "upstream": "site",
                "claims": {"role": "admin"},
                "cors": {"origins": app, "credentials": True},
            },
        ],
    ) as running:
        yield request.param, running, users


@pytest.fixture
def place(
    front: tuple[str, Gateway, Path], servers: tuple[Upstream, Upstream], browser: Chrome
) -> Place:
    """A user whom no other test knows, logged in by the page's form."""
    host, relay, users = front
    name = f"alice{secrets.token_hex(4)}"
    write(users, **{name: user()})
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    made = Place(browser, relay, *servers, host, name)
    made.log_in()
    return made


def test_the_sites_own_pages(place: Place) -> None:
    """The form's key is in a cookie that no script reads, and with it they may do anything."""
    [cookie] = place.browser.get_cookies()
    secure = HOSTS[place.host]
    assert cookie["name"] == ("__Host-latchkey" if secure else "latchkey")
    assert re.fullmatch(r"lk_[\w-]{49}", cookie["value"])
    assert (cookie["httpOnly"], cookie["secure"]) == (True, secure)
    assert (cookie["sameSite"], cookie["path"], cookie["domain"]) == ("Lax", "/", place.host)
    assert place.browser.execute_script("return document.cookie") == ""
    assert place.fetch("/act", method="POST") == 200
    assert place.fetch("/act", method="DELETE") == 200
    assert place.connect() == "open"


@pytest.mark.parametrize("other", ["x.{}", "evil.localhost", "evil.test"])
def test_other_sites_pages(place: Place, other: str) -> None:
    """Scripts, forms and WebSockets do nothing, not even those of a sibling, whose requests have
    the cookie; and the session goes on.
    """
    other = other.format(place.host)
    place.leave_for(other)
    send = {"method": "POST", "mode": "no-cors", "credentials": "include"}
    assert place.fetch("/act", **send) == "opaque"
    assert place.fetch("/act", method="DELETE", credentials="include") == "failed"
    assert place.fetch("/api/x", method="DELETE", credentials="include") == "failed"
    assert place.connect() == "refused"
    place.post("/act", a="b")
    is_sibling = other.endswith(place.host)
    sees(place.browser, "h1", "This request was blocked" if is_sibling else "Log in")
    place.leave_for(other)
    assert place.fetch("/logout", **send) == "opaque"
    assert place.fetch("/logout?scope=all", mode="no-cors", credentials="include") == "opaque"
    assert place.backend.got == b""
    assert place.is_logged_in()


@pytest.mark.parametrize("other", ["x.{}", "evil.test"])
def test_other_sites_logins(place: Place, other: str) -> None:
    """No visitor becomes another user: by a form, nor by one that is not to look like one, at
    a backend that sets the cookie by itself.
    """
    before = place.cookies()
    for path, enctype in (("/login", ""), ("/cookie", ""), ("/cookie", "text/plain")):
        place.leave_for(other.format(place.host))
        place.post(path, enctype, username=place.user, password=PASSWORD)
        sees(place.browser, "h1", "This request was blocked")
        assert place.cookies() == before
    assert place.is_logged_in()


def test_a_siblings_cookie(place: Place) -> None:
    """Its pages can have the browser send a cookie here; a key in it logs no visitor in."""
    [mine] = place.browser.get_cookies()
    place.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    names = ("session", "latchkey") if HOSTS[place.host] else ("session",)
    for name in names:
        place.leave_for(f"x.{place.host}")
        script = "[document.cookie] = arguments; return document.cookie"
        line = f"{name}={mine['value']}; Path=/; Domain={place.host}"
        assert name in place.browser.execute_script(script, line)
        assert not place.is_logged_in()
        assert name in place.cookies()
        place.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    place.log_in()


def test_a_key_that_a_sibling_plants(place: Place) -> None:
    """Beside the visitor's own it makes him no other person, nor keeps him out: where it cannot
    be told from his, he logs in again, and it is gone, from whatever path and domain.
    """
    mallory = re.search(rb"jwt=(lk_[\w-]{49})", ask(place.relay.port, _LOGIN))
    assert mallory is not None
    for path in ("/", "/home"):
        place.leave_for(f"x.{place.host}")
        line = f"jwt={mallory[1].decode()}; Path={path}; Domain={place.host}"
        place.browser.execute_script("[document.cookie] = arguments", line)
        if HOSTS[place.host]:
            assert place.is_logged_in()  # by a cookie that no sibling can set
        else:
            assert not place.is_logged_in()
            assert place.cookies() == []
            place.log_in()
        sees(place.browser, "p", f"Hello {place.user}")


def test_a_link_to_the_logout(place: Place) -> None:
    """Another site leads to a question; its button is the site's own."""
    place.leave_for("evil.test")
    place.browser.execute_script(f"location = '{place.origin}/logout'")
    sees(place.browser, "h1", "Do you want to log out?")
    assert place.is_logged_in()
    place.leave_for("evil.test")
    place.browser.execute_script(f"location = '{place.origin}/logout'")
    sees(place.browser, "h1", "Do you want to log out?")
    press(place.browser, "Log out")
    sees(place.browser, "h1", "You are logged out")
    assert place.cookies() == []
    assert not place.is_logged_in()


def test_another_login_in_the_same_browser(place: Place) -> None:
    """The new key is the only one that is left, in whatever cookie it is; so it goes on."""
    place.go("/public")
    place.post("/cookie", "text/plain", username="mallory")
    sees(place.browser, "p", "Hello mallory")
    assert place.cookies() == ["jwt"]
    place.go("/signin?return_to=/home")
    place.browser.find_element(By.NAME, "username").send_keys(place.user)
    place.browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(place.browser, "Log in")
    sees(place.browser, "p", f"Hello {place.user}")
    assert len(place.cookies()) == 1


def test_an_apps_pages(place: Place) -> None:
    """Those of an origin that config.yaml names read answers and refusals, and may do what the
    site's own may where they have a key; elsewhere they are like any other.
    """
    place.leave_for(f"app.{place.host}")
    as_json = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{}"}
    assert place.fetch("/api/x", credentials="include", **as_json) == 200
    assert place.fetch("/api/x", **as_json) == 401
    assert place.fetch("/api/admin/x", credentials="include", **as_json) == 403
    assert place.fetch("/act", credentials="include", **as_json) == "failed"
    key = {"Authorization": f"Bearer {key_of(place)}"}
    assert place.fetch("/api/x", method="PUT", headers=key) == 200
    assert place.connect() == "refused"


def key_of(place: Place) -> str:
    """The key that a program has, in the browser's place."""
    place.go("/home")
    [cookie] = place.browser.get_cookies()
    place.leave_for(f"app.{place.host}")
    return str(cookie["value"])

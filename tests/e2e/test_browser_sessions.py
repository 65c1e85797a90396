"""A person and their devices: a real browser without JavaScript, and a backend with a cookie."""

import http.client
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.conftest import token_of
from tests.support.chromium import chromium
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import Upstream, Visit
from tests.support.redis_server import RedisServer

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1"

LOGIN_PAGE = """<!doctype html><title>Log in</title><script>document.title = "scripted"</script>
<form method="post" action="/login"><input name="username"><button>Log in</button></form>"""


def site(visit: Visit) -> None:
    """A site as there are many: a form, and a JWT in a cookie."""
    for request in visit.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        match head.split(b" ")[:2]:
            case [b"POST", _]:
                token = token_of(body.decode().removeprefix("username="))
                lines = f"Location: /home\r\nSet-Cookie: jwt={token}; Path=/; HttpOnly\r\n"
                visit.send(html("303 See Other", "", lines))
            case [_, b"/home"]:
                [name] = re.findall(rb"\r\nX-User-Id: (\w+)", head)
                visit.send(html("200 OK", f"<title>Home</title><p>Hello {name.decode()}</p>"))
            case _:
                visit.send(html("200 OK", LOGIN_PAGE))


@pytest.fixture
def name() -> str:
    """A person whom no other test knows: Redis is shared."""
    return f"alice{secrets.token_hex(4)}"


def html(status: str, text: str, lines: str = "") -> bytes:
    body = text.encode()
    fields = f"Content-Type: text/html\r\nContent-Length: {len(body)}\r\n{lines}"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Gateway]:
    """The gateway before that site."""
    backend = Upstream()
    backend.answer = site
    with gateway(
        tmp_path_factory.mktemp("front"),
        redis.url,
        upstreams={"site": backend.url},
        login={"kind": "backend", "path": "/login", "upstream": "site"},
        routes=[
            {"path": "/", "upstream": "site", "auth": "public"},
            {"path": "/home", "upstream": "site"},
        ],
    ) as running:
        yield running
    backend.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), javascript=False) as started:
        yield started


@dataclass
class Phone:
    """The other device: a client with a cookie."""

    port: int
    fields: dict[str, str] = field(default_factory=lambda: {"User-Agent": IPHONE})

    def ask(self, method: str, path: str, body: str = "") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        try:
            connection.request(method, path, body, self.fields)
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def log_in(self, name: str) -> None:
        answer = self.ask("POST", "/login", f"username={name}")
        cookie = str(answer.getheader("Set-Cookie")).partition(";")[0]
        assert re.fullmatch(r"jwt=lk_[\w-]{49}", cookie)
        self.fields["Cookie"] = cookie

    def is_let_in(self) -> bool:
        status = self.ask("GET", "/home").status
        assert status in (200, 401)
        return status == 200


def log_in(browser: Chrome, front: Gateway, name: str) -> None:
    """As a person does, and without scripts."""
    go(browser, front, "/")
    assert browser.title == "Log in"
    browser.find_element(By.NAME, "username").send_keys(name)
    press(browser, "Log in")
    sees(browser, "p", f"Hello {name}")


def press(browser: Chrome, name: str) -> None:
    """Presses the one button that is called this, for eyes or for ears."""
    buttons = browser.find_elements(By.TAG_NAME, "button")
    [button] = [found for found in buttons if found.accessible_name == name]
    button.click()


def sees(browser: Chrome, tag: str, *texts: str) -> None:
    """Waits until the page has these elements of a kind, and no others.

    While a page gives way to the next, the driver fails in several ways.
    """

    def shown(_browser: Chrome) -> bool:
        return [element.text for element in browser.find_elements(By.TAG_NAME, tag)] == list(texts)

    wait = WebDriverWait(browser, HANG, ignored_exceptions=[WebDriverException])
    try:
        wait.until(shown)
    except TimeoutException:
        raise AssertionError(f"at {browser.current_url}: {browser.page_source}") from None


def go(browser: Chrome, front: Gateway, path: str) -> None:
    browser.get(f"http://localhost:{front.port}{path}")


@pytest.fixture(autouse=True)
def _nothing_is_blocked(browser: Chrome) -> Iterator[None]:
    """The page obeys its own policy; Chromium reports 401s and a missing icon by itself."""
    yield
    told = [str(line["message"]) for line in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    usual = ("status of 401", "/favicon.ico")
    assert [message for message in told if not any(text in message for text in usual)] == []


def test_one_device_ends_another(browser: Chrome, front: Gateway, name: str) -> None:
    """Log in on two, see both, end the other one: it is refused at once, and this one goes on."""
    log_in(browser, front, name)
    phone = Phone(front.port)
    phone.log_in(name)
    assert phone.is_let_in()
    go(browser, front, "/sessions")
    sees(browser, "h2", "Chrome on Linux\nThis device", "Safari on iPhone")
    card = browser.find_element(By.TAG_NAME, "li")
    assert card.value_of_css_property("border-radius") == "12px"  # the policy lets the style in
    press(browser, "Log out Safari on iPhone")
    sees(browser, "h2", "Chrome on Linux\nThis device")
    assert browser.current_url == f"http://localhost:{front.port}/sessions"
    assert not phone.is_let_in()
    go(browser, front, "/home")
    sees(browser, "p", f"Hello {name}")
    go(browser, front, "/sessions")
    press(browser, "Log out Chrome on Linux")
    sees(browser, "h1", "You are logged out")
    assert browser.get_cookies() == []


@pytest.mark.parametrize("everywhere", [False, True])
def test_many_at_once(browser: Chrome, front: Gateway, name: str, everywhere: bool) -> None:
    """All others, or really all, with one press of a button."""
    log_in(browser, front, name)
    phones = [Phone(front.port) for _ in range(3)]
    for phone in phones:
        phone.log_in(name)
    go(browser, front, "/sessions")
    sees(browser, "h2", "Chrome on Linux\nThis device", *["Safari on iPhone"] * 3)
    press(browser, "Log out everywhere" if everywhere else "Log out all other devices")
    if everywhere:
        sees(browser, "h1", "You are logged out")
        assert browser.get_cookies() == []
    else:
        sees(browser, "h2", "Chrome on Linux\nThis device")
    assert not any(phone.is_let_in() for phone in phones)


def test_it_is_at_home_in_korean_on_a_phone_in_the_dark(
    browser: Chrome, front: Gateway, name: str
) -> None:
    """The reader's language and colours; nothing sticks out of a narrow screen."""
    log_in(browser, front, name)
    agent = browser.execute_cdp_cmd("Browser.getVersion", {})["userAgent"]
    override = {"userAgent": agent, "acceptLanguage": "ko-KR,ko;q=0.9,en;q=0.8"}
    browser.execute_cdp_cmd("Network.setUserAgentOverride", override)
    light, dark = (ground_on_a_phone(browser, front, scheme) for scheme in ("light", "dark"))
    assert light != dark
    sees(browser, "h1", "로그인된 기기")
    assert browser.find_element(By.TAG_NAME, "html").get_dom_attribute("lang") == "ko"
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    assert size["width"] == 375
    press(browser, "Chrome (Linux) 로그아웃")
    sees(browser, "h1", "로그아웃되었습니다")


def ground_on_a_phone(browser: Chrome, front: Gateway, scheme: str) -> str:
    """The colour behind everything on a narrow screen."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": 375, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    go(browser, front, "/sessions")
    return browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")

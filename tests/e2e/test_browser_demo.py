"""The whole demo, as a newcomer runs it: one command, and a real browser."""

import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.demo import Demo, running_demo
from tests.support.processes import HANG, alive

JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
KEY = re.compile(r"lk_[\w-]{49}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all tests that do not end theirs."""
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def click(browser: Chrome, name: str) -> None:
    browser.find_element(By.ID, name).click()


def shows(browser: Chrome, name: str, text: str) -> str:
    """Waits until an element shows this text, and returns all of its text."""
    element = browser.find_element(By.ID, name)
    WebDriverWait(browser, HANG).until(lambda _browser: text in element.text)
    return element.text


def test_the_demo_in_a_browser(demo: Demo, browser: Chrome) -> None:
    """Log in, see a key and no JWT, call, see what the backend got, log out, see the 401."""
    browser.get(demo.url)
    assert browser.title == "Latchkey demo"

    click(browser, "again")
    shows(browser, "call-verdict", "GET /api/me: 401")

    browser.find_element(By.ID, "password").send_keys(" but wrong")
    browser.find_element(By.CSS_SELECTOR, "#login button").click()
    shows(browser, "verdict", "401: the backend says no")

    browser.find_element(By.CSS_SELECTOR, "button.user").click()
    browser.find_element(By.CSS_SELECTOR, "#login button").click()
    shows(browser, "verdict", "The token is a key of 52 characters, not a JWT.")
    keys = KEY.findall(shows(browser, "login-reply", '"token"'))
    assert len(keys) == 1
    assert '"refresh_token": ""' in shows(browser, "login-reply", "refresh_token")

    click(browser, "call-me")
    shows(browser, "call-verdict", "GET /api/me: 200 as alice")
    assert shows(browser, "sent", "Authorization") == f"Authorization: Bearer {keys[0]}"
    assert "Bearer eyJ" in shows(browser, "seen", "Authorization: Bearer eyJ")

    click(browser, "call-orders")
    shows(browser, "call-reply", "Looking glass")

    click(browser, "logout")
    shows(browser, "logout-verdict", "POST /logout: 204")
    click(browser, "again")
    shows(browser, "logout-verdict", "401: the key is refused, at once.")
    shows(browser, "seen", "the request ended at the gateway")

    assert not JWT.search(browser.page_source)
    # Chromium reports the failed calls by itself; anything else would be the page's own fault.
    told = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    assert [message for message in told if "status of 401" not in message] == []


def test_the_demo_with_a_login_page(tmp_path: Path, browser: Chrome) -> None:
    """Log in with the form, call with the cookie, see the device, log out, be asked to log in."""
    with running_demo(tmp_path, "demo/members.yaml") as demo:
        browser.get(demo.url)
        assert browser.current_url.startswith(f"{demo.url}/welcome")
        browser.find_element(By.NAME, "username").send_keys("alice")
        browser.find_element(By.NAME, "password").send_keys("wonderland")
        browser.find_element(By.CSS_SELECTOR, "main button").click()
        WebDriverWait(browser, HANG).until(lambda _browser: browser.title == "Latchkey demo")

        click(browser, "call-me")
        shows(browser, "call-verdict", "GET /api/me: 200 as alice")
        assert "Bearer eyJ" in shows(browser, "seen", "Authorization: Bearer eyJ")
        assert shows(browser, "sent", "no Authorization") == "no Authorization"

        browser.get(f"{demo.url}/sessions")
        browser.find_element(By.CSS_SELECTOR, ".current button").click()
        WebDriverWait(browser, HANG).until(lambda _browser: "logged out" in browser.page_source)
        browser.get(demo.url)
        assert browser.current_url.startswith(f"{demo.url}/welcome")


def test_the_printed_lines_name_the_gateway(demo: Demo) -> None:
    """The newcomer finds the address, the users and the curl lines in the terminal."""
    text = demo.log.read_text()
    for line in (
        f"In a browser:  {demo.url}",
        f"curl -s {demo.url}/login",
        f"curl -s {demo.url}/api/me",
        f"curl -i -X POST {demo.url}/logout",
        "alice / wonderland",
    ):
        assert line in text


def test_the_page_needs_nothing_from_elsewhere(demo: Demo) -> None:
    """No script, style, font or image of another site, and a policy that says so."""
    with urllib.request.urlopen(demo.url, timeout=HANG) as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert path.startswith(("/public/", "data:,"))
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a stop and an abrupt end take the backend, the gateway and the store along."""
    with running_demo(tmp_path) as demo:
        family = descendants(demo.process.pid)
        assert len(family) >= 4  # backend, supervisor, worker, store
        demo.process.send_signal(number)
        demo.process.wait(HANG * 2)
    until = time.monotonic() + HANG
    while left := [pid for pid in family if alive(pid)]:
        assert time.monotonic() < until, f"left behind: {left}\n{demo.log.read_text()}"
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """The process ids of all children, and of theirs."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    children = [int(pid) for pid in text.split()]
    return children + [pid for child in children for pid in descendants(child)]

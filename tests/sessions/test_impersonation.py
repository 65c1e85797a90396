"""Impersonation: a second session for another subject, which is shown, bounded, and leads back."""

import json
import re
import time
from typing import Any

import pytest

from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import Client, Upstream, Visit, ask, request, set_cookies, status
from tests.wire.vectors import cases

OWN = "Sec-Fetch-Site: same-origin"
SWITCH = "POST /api/impersonate/alice"


def backend(visit: Visit) -> None:
    """Gives a token for the name in a login, or for the one in the path of an impersonation."""
    for sent in visit.requests():
        path, body = sent.split(b" ")[1].decode(), sent.partition(b"\r\n\r\n")[2]
        if path == "/login":
            name = json.loads(body)["username"]
            token = token_of(name, role="admin" if name in ("root", "other-root") else "user")
            visit.send(json_answer("200 OK", {"token": token}))
        elif path == "/api/impersonate/nobody":
            visit.send(json_answer("404 Not Found", {"detail": "Nobody."}))
        elif path.startswith("/api/impersonate/"):
            name = path.rpartition("/")[2]
            token = token_of(name, role="admin" if name == "other-root" else "user")
            visit.send(json_answer("200 OK", {"token": token, "user": name}))
        elif path == "/api/switch":
            setting = f"sid={token_of('alice')}; Path=/api; HttpOnly; SameSite=Strict"
            visit.send(json_answer("200 OK", {}, f"Set-Cookie: {setting}"))
        elif path == "/api/stream":
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        else:
            user = re.search(rb"\r\nX-User-Id: ([^\r]*)", sent)
            visit.send(json_answer("200 OK", {"user": user[1].decode() if user else None}))


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with a route at which administrators act as others."""
    return start(
        upstreams={"shop": upstream.url},
        login={
            "kind": "backend",
            "path": "/login",
            "upstream": "shop",
            "token": "/token",
            "remember": {"idle_timeout": "10m"},
        },
        whoami="/whoami",
        guessing="off",
        trusted_proxies="127.0.0.1",
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {
                "path": "/api/impersonate/*",
                "upstream": "shop",
                "captures": "/token",
                "impersonates": {"claims": {"role": "admin"}},
            },
            {
                "path": "/api/switch",
                "upstream": "shop",
                "captures": "cookie:sid",
                "impersonates": {"claims": {"role": ["admin"]}},
            },
        ],
    )


@pytest.fixture(autouse=True)
def shop(upstream: Upstream) -> Upstream:
    upstream.clear(backend)
    return upstream


def log_in(site: Gateway, name: str = "root") -> str:
    body = json.dumps({"username": name})
    answer = ask(site.port, request("POST /login", "Content-Type: application/json", body=body))
    return str(told(answer)["token"])


def told(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def send(site: Gateway, line: str, key: str, *fields: str, cookie: bool = False) -> bytes:
    carrier = f"Cookie: a=b; latchkey={key}" if cookie else f"Authorization: Bearer {key}"
    return ask(site.port, request(line, carrier, *fields))


def user(site: Gateway, key: str) -> str | None:
    """Who a key is for; None if it opens nothing."""
    answer = send(site, "GET /api/x", key)
    return str(told(answer)["user"]) if status(answer) == 200 else None


def switch(site: Gateway, key: str, name: str = "alice") -> str:
    answer = send(site, f"POST /api/impersonate/{name}", key)
    assert status(answer) == 200, answer
    assert b"eyJ" not in answer
    return str(told(answer)["token"])


def listed(site: Gateway, key: str) -> list[dict[str, Any]]:
    answer = send(site, "GET /sessions", key)
    assert status(answer) == 200, answer
    sessions: list[dict[str, Any]] = told(answer)["sessions"]
    return sessions


def test_a_second_session_acts_as_the_other_subject(site: Gateway) -> None:
    """And the first one goes on beside it; a logout of the second one leads back."""
    root = log_in(site)
    alice = switch(site, root)
    assert alice.startswith("lk_")
    assert (user(site, root), user(site, alice)) == ("root", "alice")
    answer = send(site, "POST /logout", alice)
    assert (status(answer), told(answer)) == (200, {"token": root, "token_type": "Bearer"})
    assert b"\r\nCache-Control: no-store\r\n" in answer
    assert (user(site, root), user(site, alice)) == ("root", None)
    answer = send(site, "POST /logout", root)
    assert (status(answer), user(site, root)) == (204, None)


def test_a_cookie_changes_and_comes_back(site: Gateway) -> None:
    """In the same cookie; no script reads either key."""
    root = log_in(site)
    answer = send(site, SWITCH, root, OWN, cookie=True)
    [setting] = set_cookies(answer)
    alice = setting.partition(";")[0].removeprefix("latchkey=")
    assert (user(site, alice), b"lk_" in answer.partition(b"\r\n\r\n")[2]) == ("alice", False)
    assert setting.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Lax"
    answer = send(site, "POST /logout", alice, OWN, cookie=True)
    assert set_cookies(answer) == [f"latchkey={root}; Path=/; HttpOnly; SameSite=Lax"]
    assert status(answer) == 204
    assert (user(site, root), user(site, alice)) == ("root", None)
    alice = switch(site, root)
    page = send(site, "POST /logout", alice, OWN, "Accept: text/html", cookie=True)
    assert (status(page), b"\r\nLocation: /\r\n" in page) == (303, True)


def test_a_cookie_that_lasts_does_so_in_both_sessions(site: Gateway) -> None:
    """Each ends an eighth of the idle timeout later than its session."""
    body = json.dumps({"username": "root", "remember_me": True})
    fields = ("Content-Type: application/json", "X-Requested-With: cookie", OWN)
    [setting] = set_cookies(ask(site.port, request("POST /login", *fields, body=body)))
    root = setting.partition(";")[0].removeprefix("latchkey=")
    [setting] = set_cookies(send(site, SWITCH, root, OWN, cookie=True))
    alice = setting.partition(";")[0].removeprefix("latchkey=")
    back = set_cookies(send(site, "POST /logout", alice, OWN, cookie=True))
    for cookie, key in ((setting, alice), (back[0], root)):
        lasts = re.fullmatch(
            rf"latchkey={key}; Max-Age=(\d+); Path=/; HttpOnly; SameSite=Lax", cookie
        )
        assert lasts
        assert 600 < int(lasts[1]) <= 676  # rounded up
    assert len(back) == 1


def test_a_backends_own_cookie_takes_the_key(site: Gateway) -> None:
    """The browser has one cookie with a key at a time, and the first key comes back in it."""
    root = log_in(site)
    answer = send(site, "POST /api/switch", root, OWN, cookie=True)
    [setting] = [value for value in set_cookies(answer) if value.startswith("sid=lk_")]
    assert setting.endswith("; Path=/api; HttpOnly; SameSite=Strict")
    assert "latchkey=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax" in set_cookies(answer)
    alice = setting.partition(";")[0].removeprefix("sid=")
    assert user(site, alice) == "alice"
    answer = ask(site.port, request("POST /logout", f"Cookie: sid={alice}", OWN))
    [setting] = set_cookies(answer)
    assert setting == f"sid={root}; Path=/api; HttpOnly; SameSite=Strict"
    line = f"Cookie: {setting.partition(';')[0]}"
    assert told(ask(site.port, request("GET /api/x", line)))["user"] == "root"


def test_over_https_the_cookie_is_for_https(site: Gateway) -> None:
    """Before and after."""
    root, https = log_in(site), "X-Forwarded-Proto: https"
    line = f"Cookie: __Host-latchkey={root}"
    [setting] = set_cookies(ask(site.port, request(SWITCH, line, OWN, https)))
    assert setting.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    line = f"Cookie: {setting.partition(';')[0]}"
    [setting] = set_cookies(ask(site.port, request("POST /logout", line, OWN, https)))
    assert setting == f"__Host-latchkey={root}; Path=/; HttpOnly; SameSite=Lax; Secure"


def test_the_list_and_the_audit_log_tell_who_it_is(site: Gateway) -> None:
    """The user sees the other one, and can end that session."""
    own, root = log_in(site, "alice"), log_in(site)
    key = switch(site, root)
    shown = [session for session in listed(site, own) if "impersonated_by" in session]
    assert [session["impersonated_by"] for session in shown] == ["root"]
    assert "impersonated_by" not in next(
        session for session in listed(site, own) if session["current"]
    )
    [event] = site.events(event="login", reason="impersonation", session=shown[0]["handle"][:12])
    assert (event["subject"], event["by"], event["address"]) == ("alice", "root", "127.0.0.1")
    assert told(send(site, "GET /whoami", key))["impersonated_by"] == "root"
    assert "impersonated_by" not in told(send(site, "GET /whoami", own))
    page = send(site, "GET /sessions", own, "Accept: text/html")
    assert b"root acts here in your place" in page
    assert status(send(site, f"DELETE /sessions/{shown[0]['handle']}", own)) == 204
    assert (user(site, key), user(site, root), user(site, own)) == (None, "root", "alice")
    metric = 'latchkey_events_total{event="login",reason="impersonation"}'
    assert site.metrics()[metric] >= 1


def test_the_logout_tells_who_it_was(site: Gateway) -> None:
    """As the login does."""
    key = switch(site, log_in(site), "bob")
    send(site, "POST /logout", key)
    [event] = site.events(event="logout", subject="bob")
    assert event["by"] == "root"


# Who may not.


def test_only_whose_claims_allow_it(site: Gateway, shop: Upstream) -> None:
    """403 before the upstream is asked; and 401 without a session."""
    key = log_in(site, "mallory")
    shop.clear(backend)
    answer = send(site, SWITCH, key)
    assert (status(answer), told(answer)["reason"]) == (403, "forbidden")
    assert status(ask(site.port, request(SWITCH))) == 401
    assert shop.got == b""


def test_no_third_session(site: Gateway, shop: Upstream) -> None:
    """Even if the second one's subject may impersonate."""
    root = log_in(site)
    other = switch(site, root, "other-root")
    shop.clear(backend)
    answer = send(site, SWITCH, other)
    assert (status(answer), told(answer)["reason"]) == (403, "impersonating")
    assert shop.got == b""
    assert user(site, other) == "other-root"


@cases(
    "line",
    {
        "a form": (SWITCH, ("Sec-Fetch-Site: cross-site",)),
        "a link": ("GET /api/impersonate/alice", ("Sec-Fetch-Site: cross-site",)),
        "a link of old": ("GET /api/impersonate/alice", ()),
    },
    "fields",
)
def test_another_sites_page_may_not(
    site: Gateway, shop: Upstream, line: str, fields: tuple[str, ...]
) -> None:
    """It would make its visitor act as another."""
    root = log_in(site)
    shop.clear(backend)
    answer = send(site, line, root, *fields, cookie=True)
    assert (status(answer), told(answer)["reason"]) == (403, "cross_site")
    assert (shop.got, set_cookies(answer)) == (b"", [])


def test_asking_what_may_be_done_begins_nothing(site: Gateway) -> None:
    """Nor does the reply show the token."""
    root = log_in(site)
    answer = send(site, "OPTIONS /api/impersonate/alice", root)
    assert (status(answer), told(answer)) == (200, {"token": "", "user": "alice"})


def test_the_own_subject_is_no_other(site: Gateway) -> None:
    """A token of the same subject makes no second session."""
    root = log_in(site)
    answer = send(site, "POST /api/impersonate/root", root)
    assert (status(answer), b"lk_" in answer, b"eyJ" in answer) == (502, False, False)
    assert len([session for session in listed(site, root) if "impersonated_by" in session]) == 0


def test_a_refusal_of_the_backend_passes(site: Gateway) -> None:
    """And nothing changes."""
    root = log_in(site)
    answer = send(site, "POST /api/impersonate/nobody", root)
    assert (status(answer), told(answer)) == (404, {"detail": "Nobody."})
    assert user(site, root) == "root"


# What the second session may not do, and when it ends.


@cases(
    "line",
    {
        "others": "POST /logout?scope=others",
        "all": "POST /logout?scope=all",
        "another": "DELETE /sessions/HANDLE",
    },
)
def test_the_users_own_sessions_stay(site: Gateway, line: str) -> None:
    """Who acts in their place does not log them out."""
    own, root = log_in(site, "carol"), log_in(site)
    handle = next(str(session["handle"]) for session in listed(site, own) if session["current"])
    key = switch(site, root, "carol")
    answer = send(site, line.replace("HANDLE", handle), key)
    assert (status(answer), told(answer)["reason"]) == (403, "impersonating")
    assert (user(site, own), user(site, key)) == ("carol", "carol")
    assert status(send(site, "POST /logout?scope=all", own)) == 204
    assert user(site, key) is None


@cases("line", {"logout": "POST /logout", "everywhere": "POST /logout?scope=all"})
def test_it_ends_with_the_first_session(site: Gateway, line: str) -> None:
    """At once, with what it holds open; and it leads nowhere any more."""
    root = log_in(site)
    alice = switch(site, root)
    assert user(site, alice) == "alice"
    head = f"GET /api/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice}\r\n\r\n"
    with Client(site.port) as stream:
        stream.send(head.encode())
        stream.until(b"data: 1\n\n")
        assert status(send(site, line, root)) == 204
        assert user(site, alice) is None
        began = time.monotonic()
        stream.rest()
        assert time.monotonic() - began < HANG
    answer = send(site, "POST /logout", alice)
    assert (status(answer), b"lk_" in answer) == (204, False)


def test_the_list_shows_no_session_whose_first_one_has_ended(site: Gateway) -> None:
    """It opens nothing any more."""
    own, root = log_in(site, "dave"), log_in(site)
    switch(site, root, "dave")
    assert len(listed(site, own)) == 2
    send(site, "POST /logout", root)
    assert [session["current"] for session in listed(site, own)] == [True]


def test_a_dead_first_session_is_not_led_back_to(site: Gateway) -> None:
    """The cookie is deleted instead."""
    root = log_in(site)
    [setting] = set_cookies(send(site, SWITCH, root, OWN, cookie=True))
    alice = setting.partition(";")[0].removeprefix("latchkey=")
    send(site, "POST /logout", root)
    answer = send(site, "POST /logout", alice, OWN, cookie=True)
    assert status(answer) == 204
    assert all(value.startswith("latchkey=; Max-Age=0") for value in set_cookies(answer))

"""wire-rules.md#C6: the list of sessions answers at a path and below it."""

import json
from typing import Any

import pytest

from tests.conftest import log_in
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, ask, status


def request(method: str, target: str, key: str = "", *lines: str, cookie: bool = False) -> bytes:
    """A whole request; the key goes into a header, or into a cookie."""
    fields = [*lines]
    if key:
        fields.append(f"Cookie: a=1; jwt={key}" if cookie else f"Authorization: Bearer {key}")
    text = "".join(f"{line}\r\n" for line in fields)
    return (
        f"{method} {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{text}\r\n".encode()
    )


def listed(relay: Gateway, key: str, *lines: str) -> list[dict[str, Any]]:
    answer = ask(relay.port, request("GET", "/sessions", key, *lines))
    assert status(answer) == 200, answer
    sessions: list[dict[str, Any]] = json.loads(answer.partition(b"\r\n\r\n")[2])["sessions"]
    return sessions


def handle_of(relay: Gateway, key: str) -> str:
    return next(str(session["handle"]) for session in listed(relay, key) if session["current"])


@pytest.mark.parametrize("cookie", [False, True])
def test_both_carriers(relay: Gateway, cookie: bool) -> None:
    """A key is a key, in a header or in a cookie; ending the own session deletes the cookie."""
    name = f"carrier-{cookie}"
    key, other = log_in(relay.port, name), log_in(relay.port, name)
    own, victim = handle_of(relay, key), handle_of(relay, other)
    assert {session["handle"] for session in listed(relay, key)} == {own, victim}
    same = ["Origin: http://a.example"]
    answer = ask(relay.port, request("DELETE", f"/sessions/{victim}", key, *same, cookie=cookie))
    assert status(answer) == 204
    assert b"Set-Cookie" not in answer
    assert status(ask(relay.port, request("GET", "/api/x", other))) == 401
    assert status(ask(relay.port, request("GET", "/api/x", key))) == 200
    answer = ask(relay.port, request("DELETE", f"/sessions/{own}", key, *same, cookie=cookie))
    assert status(answer) == 204
    assert (b"\r\nSet-Cookie: jwt=; Max-Age=0;" in answer) is cookie
    assert status(ask(relay.port, request("GET", "/api/x", key))) == 401


def test_another_site_cannot(relay: Gateway) -> None:
    """With a key in a cookie, the browser's word for where a request comes from decides."""
    key, other = log_in(relay.port, "csrf"), log_in(relay.port, "csrf")
    victim = handle_of(relay, other)
    for line in ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site"):
        for target in (f"/sessions/{victim}", "/logout?scope=all", "/logout?scope=others"):
            answer = ask(relay.port, request("POST", target, key, line, cookie=True))
            assert status(answer) == 403
    assert status(ask(relay.port, request("GET", "/api/x", other))) == 200


def test_nobody_says_who_they_are(relay: Gateway) -> None:
    """The fields in which the relay tells of a session are dropped when a client sends them."""
    alices, bobs = log_in(relay.port, "forger"), log_in(relay.port, "victim")
    victim, own = handle_of(relay, bobs), handle_of(relay, alices)
    for name in ("X-Latchkey-Session", "x_latchkey_session", "X-Latchkey.Session"):
        line = f"{name}: {victim}"
        assert [session["handle"] for session in listed(relay, alices, line)] == [own]
        assert status(ask(relay.port, request("GET", "/sessions", "", line))) == 401
        answer = ask(relay.port, request("DELETE", f"/sessions/{victim}", alices, line))
        assert status(answer) == 404
    assert status(ask(relay.port, request("GET", "/api/x", bobs))) == 200


def test_one_connection_for_all_of_it(relay: Gateway) -> None:
    """A body on a DELETE is read away, and what follows it is answered (wire-rules.md#A10)."""
    key, other = log_in(relay.port, "line"), log_in(relay.port, "line")
    victim = handle_of(relay, other)
    with Client(relay.port) as client:
        lines = f"Host: a.example\r\nAuthorization: Bearer {key}\r\n"
        client.send(f"GET /sessions HTTP/1.1\r\n{lines}\r\n".encode())
        assert client.answer()[0] == 200
        client.send(
            f"DELETE /sessions/{victim} HTTP/1.1\r\n{lines}Content-Length: 5\r\n\r\nhello".encode()
        )
        assert client.answer()[0] == 204
        client.send(f"HEAD /sessions HTTP/1.1\r\n{lines}\r\n".encode())
        assert status(client.head()) == 200
        client.send(f"GET /sessions HTTP/1.1\r\n{lines}\r\n".encode())
        assert len(json.loads(client.answer()[2])["sessions"]) == 1


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/sessions", 200),
        ("/sessions?x=/..", 200),
        ("/%73essions", 200),
        ("http://other.example/sessions", 200),
        ("/sessions/", 404),
        ("/sessions/a/b", 404),
        ("//sessions", 400),
        ("/sessions;a", 400),
        ("/sessions%2f", 400),
        ("/./sessions", 400),
        ("/x/../sessions", 400),
        ("/%2fsessions", 400),
        ("/sessions%3ba", 400),
        ("/sessions\\", 400),
        ("/sessions/..", 400),
        ("/sessions/../api/x", 400),
        ("/sessions/%2e%2e/api/x", 400),
        ("/sessions/..%2fapi/x", 400),
        ("/sessions/..;/api/x", 400),
        ("/sessions/..%5capi/x", 400),
        ("/sessions/%252e%252e/api/x", 400),
        ("/sessions/%00", 400),
    ],
)
def test_spellings_of_the_list(
    relay: Gateway, shop: Upstream, login_upstream: Upstream, target: str, expected: int
) -> None:
    """wire-rules.md#C6, #E1: each is the endpoint or refused; none is one thing here and another at
    a backend.
    """
    key = log_in(relay.port, "speller")
    login_upstream.clear(login_upstream.answer)
    answer = ask(relay.port, request("GET", target, key))
    assert status(answer) == expected
    assert shop.got == login_upstream.got == b""


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("/sessions/HANDLE", 204),
        ("/sessions/HANDLE?x=1", 204),
        ("/sessions/%HEX", 204),
        ("/%73essions/HANDLE", 204),
        ("/sessions/HANDLE/", 404),
        ("/sessions/./HANDLE", 404),
        ("/sessions//HANDLE", 404),
        ("/sessions/HANDLE;a", 404),
        ("/sessions/HANDLE%2f", 404),
        ("/sessions/x%2fHANDLE", 404),
        ("/sessions/x/../HANDLE", 404),
        ("//sessions/HANDLE", 400),
        ("/sessions%2fHANDLE", 400),
        ("/x/../sessions/HANDLE", 400),
    ],
)
def test_spellings_of_a_session(
    relay: Gateway, login_upstream: Upstream, spelled: str, expected: int
) -> None:
    """wire-rules.md#C6: a handle in escapes is that handle; any other spelling names no session,
    and reaches no backend, though a route for everything stands behind.
    """
    key, other = log_in(relay.port, "speller"), log_in(relay.port, "speller")
    handle = handle_of(relay, other)
    login_upstream.clear(login_upstream.answer)
    target = spelled.replace("HANDLE", handle).replace("%HEX", f"%{ord(handle[0]):02x}{handle[1:]}")
    assert status(ask(relay.port, request("DELETE", target, key))) == expected
    assert login_upstream.got == b""
    gone = status(ask(relay.port, request("GET", "/api/x", other))) == 401
    assert gone is (expected == 204)


@pytest.mark.parametrize("target", ["/SESSIONS", "/sessionsx", "/sessions.json", "/x/sessions"])
def test_what_is_not_the_list(relay: Gateway, login_upstream: Upstream, target: str) -> None:
    """wire-rules.md#C6: case is kept; a path that only looks like it goes where its route says."""
    login_upstream.clear(login_upstream.answer)
    assert status(ask(relay.port, request("GET", target))) == 200
    assert f"GET {target} ".encode() in login_upstream.got

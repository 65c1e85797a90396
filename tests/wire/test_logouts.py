"""wire-rules.md#E4: several logouts, each with its methods, its scope, and what its backend gets."""

import gzip
import json
from typing import Any

import pytest

from gateway.core.sessions import keys
from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, ask, request, set_cookies, status
from tests.wire.vectors import cases

REFRESH = "an-opaque-refresh-token"
OWN = "Sec-Fetch-Site: same-origin"

LOGOUTS: list[dict[str, Any]] = [
    {"path": "/logout"},
    {"path": "/session", "methods": "DELETE"},
    {"path": "/leave", "methods": ["GET"], "scope": "this"},
    {"path": "/leave/all", "scope": "all"},
    {"path": "/leave/others", "scope": "others"},
    {
        "path": "/api/token/blacklist/",
        "upstream": "shop",
        "backend_path": "/blacklist/",
        "send_refresh_token": "json:refresh",
        "pass_reply": True,
    },
    {
        "path": "/end-session",
        "upstream": "shop",
        "backend_path": "/protocol/logout",
        "send_refresh_token": "form:refresh_token",
        "body": {"client_id": "web"},
    },
    {
        "path": "/by-cookie",
        "methods": "DELETE",
        "upstream": "shop",
        "backend_path": "/sessions/own",
        "method": "DELETE",
        "send_refresh_token": "cookie:rt",
    },
    {"path": "/office", "upstream": "other", "backend_path": "/out"}
    | {"send_refresh_token": "auto"},
]


def backend(visit: Visit) -> None:
    """Logs everybody in, and answers logouts with a body, a token and cookies."""
    for sent in visit.requests():
        path = sent.split(b" ")[1]
        if path == b"/login":
            visit.send(json_answer("200 OK", {"token": token_of("alice"), "refresh": REFRESH}))
        elif path == b"/blacklist/":
            lines = ("Set-Cookie: theirs=; Max-Age=0", "Set-Cookie: latchkey=x", "ETag: a")
            said = {"detail": "Bye.", "token": token_of("alice"), "refresh": REFRESH}
            visit.send(json_answer("200 OK", said, *lines))
        else:
            visit.send(json_answer("200 OK", {"path": path.decode()}))


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with all these logouts, and a second login elsewhere."""
    login = {"kind": "backend", "upstream": "shop", "backend_path": "/login"}
    return start(
        upstreams={"shop": upstream.url, "other": "http://127.0.0.1:1"},
        login=[
            {**login, "path": "/login", "subject_prefix": ""},
            {**login, "path": "/office/login", "upstream": "other", "subject_prefix": "office:"},
        ],
        guessing="off",
        logout=[*LOGOUTS, {"path": "/login", "methods": "DELETE"}],
        routes=[{"path": "/api/*", "upstream": "shop"}],
    )


@pytest.fixture(scope="module")
def renewing(start: Start, upstream: Upstream) -> Gateway:
    """A gateway whose frontends hold refresh keys."""
    renew = {"upstream": "shop", "backend_path": "/refresh"}
    login = {"kind": "backend", "path": "/login", "upstream": "shop", "renew": renew}
    return start(
        upstreams={"shop": upstream.url},
        login=login,
        guessing="off",
        logout=[logout for logout in LOGOUTS if logout["path"] != "/office"],
        routes=[{"path": "/api/*", "upstream": "shop"}],
    )


@pytest.fixture
def shop(upstream: Upstream) -> Upstream:
    upstream.clear(backend)
    return upstream


def log_in(site: Gateway) -> str:
    body = json.dumps({"username": "alice"})
    answer = ask(site.port, request("POST /login", "Content-Type: application/json", body=body))
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["token"])


def log_in_for_both(site: Gateway) -> tuple[str, str]:
    """A key, and a refresh key."""
    body = json.dumps({"username": "alice"})
    answer = ask(site.port, request("POST /login", "Content-Type: application/json", body=body))
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    return str(told["token"]), str(told["refresh"])


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def lives(site: Gateway, key: str) -> bool:
    return status(ask(site.port, request("GET /api/x", bearer(key)))) == 200


def log_out(site: Gateway, line: str, *fields: str, body: str = "") -> bytes:
    return ask(site.port, request(line, *fields, body=body))


@cases(
    "line",
    {
        "the first one": "POST /logout",
        "DELETE": "DELETE /session",
        "GET": "GET /leave",
        "HEAD, which follows GET": "HEAD /leave",
        "the scope in words": "GET /leave?scope=this",
    },
)
def test_each_logout_has_its_methods(site: Gateway, shop: Upstream, line: str) -> None:
    """It ends the session of the key that came, and no other."""
    key, other = log_in(site), log_in(site)
    assert status(log_out(site, line, bearer(key))) == 204
    assert (lives(site, key), lives(site, other)) == (False, True)


def test_a_login_and_a_logout_share_a_path(site: Gateway, shop: Upstream) -> None:
    """By their methods: POST logs in, DELETE logs out; others are served by neither."""
    key = log_in(site)
    assert status(log_out(site, "PUT /login", bearer(key))) == 405
    assert lives(site, key)
    assert status(log_out(site, "DELETE /login", bearer(key))) == 204
    assert not lives(site, key)


@cases("line", {"POST": "POST /session", "GET": "GET /session", "POST for GET": "POST /leave"})
def test_another_method_ends_nothing(site: Gateway, shop: Upstream, line: str) -> None:
    """405, with the methods of this logout."""
    key = log_in(site)
    answer = log_out(site, line, bearer(key))
    allowed = b"GET, HEAD" if "leave" in line else b"DELETE"
    assert (status(answer), b"\r\nAllow: %b\r\n" % allowed in answer) == (405, True)
    assert lives(site, key)


def test_a_fixed_scope_ends_what_it_says(site: Gateway, shop: Upstream) -> None:
    """Without any word of the client's."""
    key, second, third = log_in(site), log_in(site), log_in(site)
    assert status(log_out(site, "POST /leave/others", bearer(key))) == 204
    assert [lives(site, each) for each in (key, second, third)] == [True, False, False]
    second = log_in(site)
    assert status(log_out(site, "POST /leave/all?scope=all", bearer(key))) == 204
    assert [lives(site, each) for each in (key, second)] == [False, False]


@cases(
    "target",
    {
        "wider": "/leave?scope=all",
        "others": "/leave?scope=others",
        "twice": "/leave?scope=this&scope=all",
        "escaped": "/leave?sc%6fpe=all",
        "narrower": "/leave/all?scope=this",
    },
)
def test_no_client_changes_a_fixed_scope(site: Gateway, shop: Upstream, target: str) -> None:
    """400, and nothing ends: a client must not believe that it got what it asked for."""
    key, other = log_in(site), log_in(site)
    answer = log_out(site, f"GET {target}", bearer(key))
    assert status(answer) == 400
    assert b"unknown_scope" in answer
    assert (lives(site, key), lives(site, other)) == (True, True)


# What the backend gets, and what the client sees of its reply.


def last_request(shop: Upstream, path: bytes) -> bytes:
    [visit] = [visit for visit in shop.visits if b" %b HTTP" % path in visit.got]
    return visit.got[visit.got.index(b" %b HTTP" % path) :]


def test_the_backends_own_reply_is_what_the_client_sees(site: Gateway, shop: Upstream) -> None:
    """With the refresh token sent where simplejwt's blacklist reads it; no token comes back, and
    none of the gateway's cookies.
    """
    key = log_in(site)
    answer = log_out(
        site,
        "POST /api/token/blacklist/",
        bearer(key),
        "Content-Type: application/json",
        "Accept: text/html",
        body='{"refresh": "what the frontend has"}',
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status(answer) == 200
    assert json.loads(body)["detail"] == "Bye."
    assert b"eyJ" not in answer
    assert REFRESH.encode() not in answer
    assert set_cookies(answer) == ["theirs=; Max-Age=0"]
    assert b"\r\nCache-Control: no-store" in head
    sent = last_request(shop, b"/blacklist/")
    assert json.loads(sent.partition(b"\r\n\r\n")[2]) == {"refresh": REFRESH}
    assert b"\r\nAuthorization: Bearer eyJ" in sent
    assert key.encode() not in shop.got
    assert not lives(site, key)


def test_the_cookie_of_the_key_is_deleted_with_that_reply(site: Gateway, shop: Upstream) -> None:
    """The browser must not go on with it."""
    key = log_in(site)
    answer = log_out(site, "POST /api/token/blacklist/", f"Cookie: a=b; latchkey={key}", OWN)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "Bye."
    assert any(value.startswith("latchkey=; Max-Age=0") for value in set_cookies(answer))
    assert not lives(site, key)


def test_a_refresh_token_in_a_form(site: Gateway, shop: Upstream) -> None:
    """As Keycloak wants it, with more members; the reply is not shown."""
    key = log_in(site)
    assert status(log_out(site, "POST /end-session", bearer(key))) == 204
    sent = last_request(shop, b"/protocol/logout")
    assert sent.partition(b"\r\n\r\n")[2] == f"client_id=web&refresh_token={REFRESH}".encode()
    assert b"application/x-www-form-urlencoded" in sent


def test_a_refresh_token_in_a_cookie(site: Gateway, shop: Upstream) -> None:
    """Beside the client's own cookies, in one field (RFC 6265 §5.4)."""
    key = log_in(site)
    assert status(log_out(site, "DELETE /by-cookie", bearer(key), "Cookie: theme=dark")) == 204
    sent = last_request(shop, b"/sessions/own")
    assert f"\r\nCookie: theme=dark; rt={REFRESH}\r\n".encode() in sent


def test_no_other_backend_gets_the_refresh_token(site: Gateway, shop: Upstream) -> None:
    """It is for the upstream of its own login; the session ends all the same."""
    key = log_in(site)
    assert status(log_out(site, "POST /office", bearer(key))) == 204
    assert not lives(site, key)
    assert REFRESH.encode() not in shop.got


def test_without_a_session_no_backend_is_asked(site: Gateway, shop: Upstream) -> None:
    """A second logout is answered without it: there is no token to send."""
    key = log_in(site)
    log_out(site, "POST /logout", bearer(key))
    shop.clear(backend)
    assert status(log_out(site, "POST /api/token/blacklist/", bearer(key))) == 204
    assert shop.got == b""


# Refresh keys, which some frontends bring alone.


@pytest.mark.parametrize(
    ("line", "body", "fields"),
    [
        ("POST /logout", '{"refresh": "KEY"}', ()),
        ("POST /leave/others", '{"refresh": "KEY"}', ()),
        ("POST /end-session", "client_id=web&refresh_token=KEY", ()),
        ("DELETE /session", "", ("Authorization: Bearer KEY",)),
        ("POST /logout", "", ("Cookie: rt=KEY", OWN)),
    ],
)
def test_a_refresh_key_alone_logs_out(
    renewing: Gateway, shop: Upstream, line: str, body: str, fields: tuple[str, ...]
) -> None:
    """Its session ends, or the others of its subject; a second time nothing is left to end."""
    key, refresh_key = log_in_for_both(renewing)
    other, _ = log_in_for_both(renewing)
    sent = [field.replace("KEY", refresh_key) for field in fields]
    for _ in range(2):
        answer = log_out(renewing, line, *sent, body=body.replace("KEY", refresh_key))
        assert status(answer) == 204
        assert refresh_key.encode() not in shop.got
        if "others" in line:
            break
    expected = (True, False) if "others" in line else (False, True)
    assert (lives(renewing, key), lives(renewing, other)) == expected
    log_out(renewing, "POST /leave/all", bearer(other))


def test_the_backend_gets_its_own_refresh_token_for_it(renewing: Gateway, shop: Upstream) -> None:
    """And answers, as it always did."""
    _, refresh_key = log_in_for_both(renewing)
    body = json.dumps({"refresh": refresh_key})
    answer = log_out(renewing, "POST /api/token/blacklist/", "X-A: \xe9", body=body)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "Bye."
    sent = last_request(shop, b"/blacklist/")
    assert json.loads(sent.partition(b"\r\n\r\n")[2]) == {"refresh": REFRESH}


def test_another_site_has_no_browser_send_one(renewing: Gateway, shop: Upstream) -> None:
    """403, and the session goes on."""
    key, refresh_key = log_in_for_both(renewing)
    answer = log_out(
        renewing, "POST /logout", f"Cookie: rt={refresh_key}", "Sec-Fetch-Site: cross-site"
    )
    assert (status(answer), lives(renewing, key)) == (403, True)


def test_an_unknown_refresh_key_is_no_logout(renewing: Gateway, shop: Upstream) -> None:
    """It may be another gateway's, whose session is alive."""
    _, refresh_key = log_in_for_both(renewing)
    other = refresh_key[:20] + ("A" if refresh_key[20] != "A" else "B") + refresh_key[21:]
    body = json.dumps({"refresh": other})
    assert status(log_out(renewing, "POST /logout", body=body)) == 400


# Keys in places that are not read.


KEY = keys.new_key(bytes(range(32))).reveal()

MISPLACED = {
    "another scheme": (f"Authorization: Token {KEY}",),
    "no scheme": (f"Authorization: {KEY}",),
    "another field": (f"X-Access-Token: {KEY}",),
    "a cookie with more in it": (f"Cookie: sid=Key {KEY}",),
    "a text that is no key": ("Authorization: Bearer lk_short",),
    "a JWT": ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",),
}


@cases("fields", MISPLACED)
@cases("line", {"a plain one": "POST /logout", "a backend's": "POST /api/token/blacklist/"})
def test_a_key_in_a_place_that_is_not_read_is_no_logout(
    site: Gateway, shop: Upstream, line: str, fields: tuple[str, ...]
) -> None:
    """Its session is alive, so the answer is no success."""
    answer = log_out(site, line, *fields)
    assert status(answer) in (400, 401)
    assert KEY.encode() not in shop.got


@cases(
    "body",
    {
        "JSON": json.dumps({"refresh": KEY}).encode(),
        "a form": f"token={KEY}".encode(),
        "gzip": gzip.compress(json.dumps({"refresh": KEY}).encode()),
    },
)
def test_a_key_in_a_body_is_no_logout(site: Gateway, shop: Upstream, body: bytes) -> None:
    """Whatever coding it has."""
    lines = f"POST /logout HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    if body.startswith(b"\x1f\x8b"):
        lines += "Content-Encoding: gzip\r\n"
    with Client(site.port) as client:
        client.send(lines.encode() + b"\r\n" + body)
        got, _, answer = client.answer()
    assert (got, json.loads(answer)["reason"]) == (400, "key_not_read")

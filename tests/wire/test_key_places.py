"""wire-rules.md#C14: keys come where config.yaml lets clients send them, and nowhere else."""

import base64
import json
import os
import subprocess

import pytest

from tests.conftest import LOGIN, Start, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import Upstream, always, ask, field_lines, fields_by_name, request, status
from tests.wire.vectors import cases


def basic(name: str, password: str) -> str:
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return f"Authorization: Basic {text}"


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway that takes keys in many places."""
    return start(
        upstreams={
            "shop": upstream.url,
            "tokens": {"servers": upstream.url, "send_token": "scheme:JWT"},
            "accounts": login_upstream.url,
        },
        login=[LOGIN],
        keys={"schemes": ["Bearer", "Token", "Basic", "none"], "field": ["X-Api-Key", "X-Key"]},
        guessing="off",
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {"path": "/header/*", "upstream": "shop", "send_token": "header:X-Access-Token"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    )


PLACES = {
    "Bearer": "Authorization: Bearer KEY",
    "another scheme": "Authorization: token KEY",
    "the scheme of an upstream": "Authorization: JWT KEY",
    "no scheme": "Authorization: KEY",
    "a field": "X-Api-Key: KEY",
    "another field": "x-key: KEY",
    "a field with a scheme": "X-Api-Key: Bearer KEY",
    "a field with another scheme": "X-Key: Token KEY",
    "the field of an upstream": "X-Access-Token: KEY",
    "the field of an upstream, with a scheme": "x-access-token: Bearer KEY",
}


@cases("line", PLACES)
@pytest.mark.parametrize("path", ["/api/x", "/maybe/x", "/header/x"])
@pytest.mark.parametrize("before", ["", "eyJhbGciOiJsYXRjaGtleSJ9.e30."])
def test_a_key_is_taken(site: Gateway, shop: Upstream, line: str, path: str, before: str) -> None:
    """wire-rules.md#C14: the session's token goes on, and the key stays here, in either form."""
    key = log_in(site.port)
    given = line.replace("KEY", before + key)
    assert status(ask(site.port, request(f"GET {path}", given))) == 200
    place = b"X-Access-Token: ey" if path == "/header/x" else b"Authorization: Bearer ey"
    assert b"\r\n" + place in shop.got
    assert key.encode() not in shop.got
    assert b".e30." not in shop.got


@pytest.mark.parametrize(
    "way", [("KEY", ""), ("KEY", "x"), ("x", "KEY"), ("", "KEY"), ("eyJh.e30.KEY", "")]
)
def test_a_key_is_the_name_or_the_password_of_basic(
    site: Gateway, shop: Upstream, way: tuple[str, str]
) -> None:
    """wire-rules.md#C14: git, pip, npm and the like send nothing else (RFC 7617)."""
    key = log_in(site.port)
    line = basic(*(part.replace("KEY", key) for part in way))
    assert status(ask(site.port, request("GET /api/x", line))) == 200
    assert b"\r\nAuthorization: Bearer ey" in shop.got
    assert line.split()[2].encode() not in shop.got


def test_two_keys_in_basic_are_ambiguous(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C2: neither is picked by chance, and the same one twice is one."""
    one, two = log_in(site.port), log_in(site.port)
    assert status(ask(site.port, request("GET /api/x", basic(one, two)))) == 400
    assert status(ask(site.port, request("GET /api/x", basic(one, one)))) == 200
    answer = ask(site.port, request("GET /api/x", f"Authorization: Token {one}", f"X-Key: {two}"))
    assert status(answer) == 400


def test_programs_are_asked_for_basic_and_browsers_are_not(site: Gateway) -> None:
    """git sends its key once it is asked; a browser would ask its user for a password."""
    asked = fields_by_name(ask(site.port, request("GET /api/x", "User-Agent: git/2.39")))
    assert asked["WWW-Authenticate"] == 'Bearer realm="latchkey", Basic realm="latchkey"'
    for line in ("User-Agent: Mozilla/5.0", "Sec-Fetch-Mode: cors", "Origin: https://a.example"):
        fields = fields_by_name(ask(site.port, request("GET /api/x", line)))
        assert fields["WWW-Authenticate"] == 'Bearer realm="latchkey"'


def test_git_sends_its_key_once_it_is_asked(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C14: with the key as its password, and first without any."""
    shop.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    url = f"http://git:{log_in(site.port)}@127.0.0.1:{site.port}/api/repository.git"
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-c", "credential.helper=", "ls-remote", url],
        env=environment,
        capture_output=True,
        timeout=HANG,
        check=False,
    )
    assert shop.got.startswith(b"GET /api/repository.git/info/refs?service=git-upload-pack ")
    assert b"\r\nAuthorization: Bearer ey" in shop.got


def test_a_field_of_an_upstream_passes_without_a_key(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C14: what is no key there is the client's own."""
    assert status(ask(site.port, request("GET /public/x", "X-Access-Token: mine"))) == 200
    assert b"\r\nX-Access-Token: mine\r\n" in shop.got


NOTHING = {
    "null": "Authorization: Bearer null",
    "undefined": "Authorization: bearer undefined",
    "empty": "Authorization: Bearer ",
    "the scheme alone": "Authorization: Bearer",
    "a field": "X-Api-Key: null",
}


@cases("line", NOTHING)
def test_nothing_is_no_second_credential(
    relay: Gateway, site: Gateway, shop: Upstream, line: str
) -> None:
    """wire-rules.md#C2: frontends without a key of their own send it beside the cookie."""
    gate = site if line.startswith("X-") else relay
    cookie = f"Cookie: latchkey={log_in(gate.port)}"
    for lines in ((line, cookie), (cookie, line)):
        for _ in range(2):
            shop.clear()
            assert status(ask(gate.port, request("GET /api/x", *lines))) == 200
            assert b"\r\nAuthorization: Bearer ey" in shop.got
    shop.clear()
    assert status(ask(gate.port, request("GET /maybe/x", line))) == 200
    assert b"\r\nAuthorization" not in shop.got
    assert status(ask(gate.port, request("GET /api/x", line))) == 401
    refused = ask(gate.port, request("POST /api/x", line, cookie, "Sec-Fetch-Site: cross-site"))
    assert status(refused) == 403


def test_nothing_is_none_beside_a_key_in_a_field_either(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C2: in whatever order they come."""
    key = log_in(site.port)
    fields = (f"X-Key: {key}", "X-Api-Key: null", "Authorization: Bearer undefined")
    for lines in (fields, fields[::-1], (f"Authorization: Bearer {key}", *fields[1:2])):
        shop.clear()
        assert status(ask(site.port, request("GET /api/x", *lines))) == 200
        assert b"\r\nAuthorization: Bearer ey" in shop.got


# What is a client's own, and none of the gateway's business.
OWN = {
    "Basic": basic("me", "secret"),
    "Bearer of another kind": "Authorization: Bearer s3cret-of-another",
    "a JWT": f"Authorization: Bearer {token_of('mallory')}",
    "Digest": 'Authorization: Digest username="me", realm="a", uri="/x", response="0123"',
    "AWS": "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/s3/aws4_request, Signature=1",
    "no scheme": "Authorization: abc",
    "Token": "Authorization: Token abc",
}


@cases("line", OWN)
@pytest.mark.parametrize("path", ["/public/x", "/maybe/x", "/guest/x"])
def test_a_clients_own_authorization_passes(
    relay: Gateway, shop: Upstream, line: str, path: str
) -> None:
    """wire-rules.md#C14: where no session is required and none is there."""
    assert status(ask(relay.port, request(f"GET {path}", line))) == 200
    assert f"\r\n{line}\r\n".encode() in shop.got


@cases("line", OWN)
def test_a_session_goes_alone(relay: Gateway, shop: Upstream, line: str) -> None:
    """wire-rules.md#C14: on an optional route the session of a cookie wins; on a public one there
    is none."""
    cookie = f"Cookie: latchkey={log_in(relay.port)}"
    for lines in ((line, cookie), (cookie, line)):
        shop.clear()
        assert status(ask(relay.port, request("GET /maybe/x", *lines))) == 200
        got = [line for line in field_lines(shop.got) if line.startswith(b"Authorization")]
        assert len(got) == 1
        assert got[0].startswith(b"Authorization: Bearer ey")
        assert b"mallory" not in base64.urlsafe_b64decode(got[0].split(b".")[1] + b"==")
        shop.clear()
        assert status(ask(relay.port, request("GET /public/x", *lines))) == 200
        assert f"\r\n{line}\r\n".encode() in shop.got
        assert b"lk_" not in shop.got


@cases("line", OWN)
def test_a_login_gets_it_whatever_the_browser_holds(
    relay: Gateway, login_upstream: Upstream, line: str
) -> None:
    """wire-rules.md#C14: the credentials of an OAuth client, or of an app."""
    key = log_in(relay.port)
    cookie = f"Cookie: latchkey={key}"
    for lines in ((line,), (line, cookie), (cookie, line)):
        login_upstream.clear(login_upstream.answer)
        answer = ask(
            relay.port,
            request(
                "POST /login", *lines, "Sec-Fetch-Site: same-origin", body='{"username": "al"}'
            ),
        )
        assert status(answer) == 200
        got = [line for line in field_lines(login_upstream.got) if b"uthorization:" in line]
        assert got == [line.encode()]
        assert b"lk_" not in login_upstream.got
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        cookie = f"Cookie: latchkey={body['token']}"  # the one before has ended


KEYS_IN_AUTHORIZATION = {
    "another scheme": "Authorization: Token KEY",
    "no scheme": "Authorization: KEY",
    "Basic": "BASIC",
    "Basic in base64url without padding": "BASIC URL",
    "escaped": "Authorization: Token ESCAPED",
    "a parameter": 'Authorization: Digest username="KEY", realm="a"',
    "Bearer with more": "Authorization: Bearer KEY x",
    "half of two": "Authorization: Bearer a.KEY.b",
    "two lines": "Authorization: Basic eDp5\r\nAuthorization: Basic eDp5",
    "named in Connection": "Authorization: Basic eDp5\r\nConnection: authorization",
}


@cases("line", KEYS_IN_AUTHORIZATION)
def test_one_with_a_key_of_ours_does_not(
    relay: Gateway, shop: Upstream, login_upstream: Upstream, line: str
) -> None:
    """wire-rules.md#C4: in whatever scheme and spelling, on public and optional routes and logins."""
    key = log_in(relay.port)
    line = line.replace("BASIC URL", basic("x", key).replace("=", "").replace("+", "-"))
    line = line.replace("BASIC", basic(key, "x")).replace("KEY", key)
    line = line.replace("ESCAPED", "".join(f"%{byte:02x}" for byte in key.encode()))
    for target in ("GET /public/x", "GET /maybe/x", "GET /guest/x"):
        shop.clear()
        assert status(ask(relay.port, request(target, line))) in (200, 400, 401)
        assert b"\r\nAuthorization" not in shop.got
        assert key.encode() not in shop.got
    login_upstream.clear(login_upstream.answer)
    answer = ask(relay.port, request("POST /login", line, body='{"username": "al"}'))
    assert status(answer) in (200, 400)
    assert b"\r\nAuthorization" not in login_upstream.got


def test_a_dead_key_is_still_a_key(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C5: it is refused, or counts as none, and does not go upstream."""
    key = log_in(relay.port)
    line = f"Authorization: Bearer {key}"
    assert status(ask(relay.port, request("POST /logout", line))) == 204
    assert status(ask(relay.port, request("GET /maybe/x", line))) == 401
    assert status(ask(relay.port, request("GET /guest/x", line))) == 200
    assert b"\r\nAuthorization" not in shop.got
    for broken in ("lk_short", key[:-1], key + "x"):
        line = f"Authorization: Bearer {broken}"
        assert status(ask(relay.port, request("GET /maybe/x", line))) == 401

"""`captures: true`: a token in a route's reply takes the place of the session's, behind one key."""

import base64
import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from tests.conftest import SIGNING_SECRET, accounts, json_answer, token_of
from tests.sessions.conftest import log_in, log_out
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.support.renewing import SECRET as BACKEND_SECRET
from tests.support.renewing import Renewing
from tests.support.signing import by_hand, hs256, payload

Reply = Callable[[bytes], bytes]  # from a request to its answer

ROUTES: list[dict[str, Any]] = [
    {"path": "/api/*", "upstream": "shop"},
    {"path": "/api/tenant-b/*", "upstream": "shop", "claims": {"tenant": "b"}},
    {"path": "/switch/*", "upstream": "shop", "captures": True},
    {"path": "/named", "upstream": "shop", "captures": "data.switch.token"},
    {"path": "/cut/*", "upstream": "shop", "captures": True, "strip_prefix": "/cut"},
    {
        "path": "/small",
        "upstream": "shop",
        "captures": True,
        "body_size": 1000,
        "max_reply": 2000,
        "response_timeout": 1,
    },
    {"path": "/away", "upstream": "nowhere", "captures": True},
]


class Shop:
    """An upstream that answers what each test says, and remembers what it got."""

    def __init__(self) -> None:
        self.server = Upstream()
        self.server.answer = self._visit
        self.reply: Reply = lambda _request: json_answer("200 OK", {})
        self.got: list[bytes] = []

    def _visit(self, visit: Visit) -> None:
        for request in visit.requests():
            self.got.append(request)
            visit.send(self.reply(request))

    def gives(self, data: object, *lines: str, line: str = "200 OK") -> None:
        answer = json_answer(line, data, *lines)
        self.reply = lambda _request: answer

    @property
    def token(self) -> str:
        """The token of the last request."""
        line = next(x for x in self.got[-1].split(b"\r\n") if x.startswith(b"Authorization: "))
        return line.removeprefix(b"Authorization: Bearer ").decode()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Shop, Upstream]]:
    shop, backend = Shop(), Upstream()
    backend.answer = accounts
    yield shop, backend
    shop.server.stop()
    backend.stop()


def sections(servers: tuple[Shop, Upstream], **changes: Any) -> dict[str, Any]:
    shop, backend = servers
    return {
        "upstreams": {
            "shop": shop.server.url,
            "accounts": backend.url,
            "nowhere": "http://127.0.0.1:1",
        },
        "login": {
            "kind": "backend",
            "path": "/login",
            "upstream": "accounts",
            "verify": {"secret": SIGNING_SECRET},
        },
        "routes": ROUTES,
        "timeouts": {"connect": 0.5},
        **changes,
    }


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, servers: tuple[Shop, Upstream]
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways."""
    folder = tmp_path_factory.mktemp("captures")
    with (
        gateway(folder / "one", redis.url, **sections(servers)) as one,
        gateway(folder / "two", redis.url, **sections(servers)) as two,
    ):
        yield one, two
        for running in (one, two):
            for log in (running.log, running.access_log, running.audit_log):
                text = log.read_text()
                assert "eyJ" not in text
                assert "lk_" not in text


@pytest.fixture
def only(both: tuple[Gateway, Gateway]) -> Gateway:
    return both[0]


@pytest.fixture
def shop(servers: tuple[Shop, Upstream]) -> Shop:
    """The shop, with nothing remembered."""
    servers[0].got.clear()
    servers[0].gives({})
    return servers[0]


def request(
    running: Gateway,
    path: str,
    key: str,
    *lines: str,
    method: str = "POST",
    body: bytes = b"{}",
    cookie: str = "",
) -> tuple[int, dict[str, list[str]], Any, bytes]:
    """Status, fields, JSON if it is any, and the whole answer."""
    carried = f"Cookie: {cookie}={key}" if cookie else f"Authorization: Bearer {key}"
    fields = "".join(f"{line}\r\n" for line in (carried, *lines))
    answer = ask(
        running.port,
        f"{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n{fields}\r\n".encode()
        + body,
    )
    head, _, rest = answer.partition(b"\r\n\r\n")
    named: dict[str, list[str]] = {}
    for line in head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        named.setdefault(name.lower(), []).append(value)
    try:
        data = json.loads(rest)
    except ValueError:
        data = None
    return status(answer), named, data, answer


def used(running: Gateway, shop: Shop, key: str) -> str:
    """The token with which a call goes upstream."""
    shop.gives({})
    assert request(running, "/api/x", key, method="GET", body=b"")[0] == 200
    return shop.token


# What is captured.


def test_a_new_token_takes_the_place_of_the_sessions(
    both: tuple[Gateway, Gateway], shop: Shop
) -> None:
    """The client sees its key where the token was; every gateway goes on with the new token."""
    key = log_in(both[0].port)
    old, _ = (used(relay, shop, key) for relay in both)
    assert request(both[0], "/api/tenant-b/x", key)[0] == 403
    new = token_of("alice", tenant="b")
    shop.gives({"token": new, "tenant": "b", "copy": new}, f"X-Copy: {new}", f"X-Old: {old}")
    code, fields, data, answer = request(both[0], "/switch/b", key)
    assert (code, data["tenant"], data["token"], data["copy"]) == (200, "b", key, key)
    assert (fields["x-copy"], fields["x-old"]) == ([""], [""])
    assert fields["cache-control"] == ["no-store"]
    assert b"eyJ" not in answer
    assert used(both[0], shop, key) == new, "at once on this gateway"
    eventually(lambda: used(both[1], shop, key) == new)
    assert request(both[1], "/api/tenant-b/x", key)[0] == 200
    assert both[0].events(event="renew", reason="captured")


@pytest.mark.parametrize(
    ("line", "data", "where"),
    [
        ("X-Auth-Token: {}", {}, "x-auth-token"),
        ("Authorization: Bearer {}", {}, "authorization"),
        ("Set-Cookie: jwt={}; Path=/; HttpOnly", {}, "set-cookie"),
        ("X-Other: 1", {"data": {"session": {"accessToken": "TOKEN"}}}, ""),
    ],
)
def test_wherever_it_stands(only: Gateway, shop: Shop, line: str, data: Any, where: str) -> None:
    """In a field, in a cookie, or deep in JSON."""
    key, new = log_in(only.port), token_of("alice", n=1)
    shop.gives(json.loads(json.dumps(data).replace("TOKEN", new)), line.format(new))
    code, fields, body, answer = request(only, "/switch/x", key)
    assert code == 200
    if where:
        assert fields[where] == [line.partition(": ")[2].format(key)]
    else:
        assert body == json.loads(json.dumps(data).replace("TOKEN", key))
    assert new.encode() not in answer
    assert used(only, shop, key) == new


def test_where_config_says(only: Gateway, shop: Shop) -> None:
    """Then no other token is meant, whatever it is called."""
    key = log_in(only.port)
    old, new, other = used(only, shop, key), token_of("alice", n=1), token_of("bob")
    shop.gives({"token": other, "data": {"switch": {"token": None}}})
    code, _, data, _ = request(only, "/named", key)
    assert (code, data["token"]) == (200, "")
    assert used(only, shop, key) == old
    shop.gives({"token": other, "data": {"switch": {"token": new}}})
    _, _, data, _ = request(only, "/named", key)
    assert data == {"token": "", "data": {"switch": {"token": key}}}
    assert used(only, shop, key) == new


@pytest.mark.parametrize("line", ["201 Created", "302 Found", "303 See Other"])
def test_of_a_redirect_as_well(only: Gateway, shop: Shop, line: str) -> None:
    """A backend may lead on to the tenant's page."""
    key, new = log_in(only.port), token_of("alice", n=line)
    shop.gives({}, f"Set-Cookie: jwt={new}; Path=/", "Location: /b", line=line)
    code, fields, _, _ = request(only, "/switch/x", key)
    assert (code, fields["location"]) == (int(line[:3]), ["/b"])
    assert used(only, shop, key) == new


def test_a_reply_without_a_token_passes(only: Gateway, shop: Shop) -> None:
    """With its status, fields and body; and so does one whose token is the session's own."""
    key = log_in(only.port)
    old = used(only, shop, key)
    shop.gives({"detail": "nothing new"}, "X-Custom: kept", "Cache-Control: max-age=5")
    code, fields, data, _ = request(only, "/switch/x", key)
    assert (code, fields["x-custom"], data) == (200, ["kept"], {"detail": "nothing new"})
    assert fields["cache-control"] == ["max-age=5"]
    shop.gives({"token": old})
    assert request(only, "/switch/x", key)[2] == {"token": key}
    assert used(only, shop, key) == old


@pytest.mark.parametrize("line", ["400 Bad", "401 No", "403 No", "409 Conflict", "500 Oops"])
def test_a_refusal_passes_without_any_token(only: Gateway, shop: Shop, line: str) -> None:
    """It changes nothing, whatever it holds."""
    key, other = log_in(only.port), token_of("alice", n=1)
    old = used(only, shop, key)
    shop.gives({"detail": "no", "token": other}, line=line)
    code, _, data, _ = request(only, "/switch/x", key)
    assert (code, data) == (int(line[:3]), {"detail": "no", "token": ""})
    assert used(only, shop, key) == old


def test_a_no_with_the_status_of_a_success_changes_nothing(only: Gateway, shop: Shop) -> None:
    """What the login's `failed` says holds for its sessions' routes, in each answer of several."""
    key, other = log_in(only.port), token_of("alice", n=1)
    old = used(only, shop, key)
    no = {"errors": [{"message": "no"}], "token": other}
    for said in (no, [{"data": {"token": other}}, no]):
        shop.gives(said)
        code, _, _, answer = request(only, "/switch/x", key)
        assert (code, b"eyJ" in answer, key.encode() in answer) == (200, False, False)
        assert used(only, shop, key) == old


# What the upstream gets.


def test_the_request_reaches_the_upstream_as_on_any_route(only: Gateway, shop: Shop) -> None:
    """Method, target, body and fields, the token, who asks; and nothing of the key or of us."""
    key = log_in(only.port)
    old = used(only, shop, key)
    body = b'{"tenant": "b"}\xff'
    lines = ("X-Custom: 1", "X-User-Id: root", "X-Latchkey-Capture: 0", "X-Latchkey-Key: lk_x")
    code, *_ = request(only, "/cut/a%20b//c?x=1+2&y=50%", key, *lines, method="PATCH", body=body)
    assert code == 200
    head, _, got = shop.got[-1].partition(b"\r\n\r\n")
    lines_got = head.split(b"\r\n")
    assert (lines_got[0], got) == (b"PATCH /a%20b//c?x=1+2&y=50% HTTP/1.1", body)
    for line in (
        b"Host: a.example",
        b"X-Custom: 1",
        b"X-User-Id: alice",
        b"X-Forwarded-For: 127.0.0.1",
        f"Authorization: Bearer {old}".encode(),
    ):
        assert lines_got.count(line) == 1
    assert b"lk_" not in head
    assert b"latchkey-" not in head.lower()


def test_a_key_is_needed(only: Gateway, shop: Shop) -> None:
    """The relay decides over such a route as over any other."""
    for key in ("", "lk_" + "A" * 49, token_of("alice")):
        assert request(only, "/switch/x", key)[0] == 401
    assert shop.got == []


def test_what_could_be_read_in_two_ways(only: Gateway, shop: Shop) -> None:
    """A field of one value that came twice, or an unknown method, reaches no upstream."""
    key = log_in(only.port)
    code, _, data, _ = request(only, "/switch/x", key, "Content-Type: a/b", "content-type: c/d")
    assert (code, data["reason"]) == (400, "malformed_request")
    code, _, data, _ = request(only, "/switch/x", key, method="FOO")
    assert (code, data["reason"]) == (501, "unknown_method")
    assert shop.got == []


# By a cookie.


def test_who_keeps_the_key_in_a_cookie(only: Gateway, shop: Shop) -> None:
    """No script reads it in the body, and no second cookie brings it once more."""
    key, own = log_in(only.port), "Sec-Fetch-Site: same-origin"
    for n, (data, line) in enumerate([({"token": "TOKEN"}, "X: y"), ({}, "Set-Cookie: jwt=TOKEN")]):
        new = token_of("alice", n=n)
        shop.gives(
            json.loads(json.dumps(data).replace("TOKEN", new)),
            line.replace("TOKEN", new),
            "Set-Cookie: theme=dark",
        )
        code, fields, _, answer = request(only, "/switch/x", key, own, cookie="latchkey")
        assert code == 200
        assert key.encode() not in answer
        assert "theme=dark" in fields["set-cookie"]
        assert used(only, shop, key) == new
    new = token_of("alice", n=9)
    shop.gives({}, f"Set-Cookie: jwt={new}; Path=/; Max-Age=600")
    _, fields, _, _ = request(only, "/switch/x", key, own, cookie="jwt")
    [cookie] = fields["set-cookie"]
    lasts = re.fullmatch(rf"jwt={key}; Max-Age=([0-9]+); Path=/", cookie)
    assert lasts
    assert int(lasts[1]) > 3000  # as the session, and no longer as the token


def test_another_site_cannot_switch(only: Gateway, shop: Shop) -> None:
    """With a cookie, the request must come from the site's own pages, as anywhere."""
    key = log_in(only.port)
    code, _, data, _ = request(
        only, "/switch/x", key, "Sec-Fetch-Site: cross-site", cookie="latchkey"
    )
    assert (code, data["reason"], shop.got) == (403, "cross_site", [])


def test_no_upstream_sets_the_cookie_of_keys(only: Gateway, shop: Shop) -> None:
    """wire-rules.md#E7, whether or not there is a token in the reply. One that holds the key ends
    with what takes its place.
    """
    own, key = "Sec-Fetch-Site: same-origin", log_in(only.port)
    lines = ("Set-Cookie: latchkey=stolen", "Set-Cookie: mine=stolen", "Set-Cookie: a=b")
    shop.gives({"token": token_of("alice")}, *lines)
    assert request(only, "/switch/x", key, own, cookie="mine")[1]["set-cookie"] == ["a=b"]
    shop.gives({}, *lines)
    _, fields, _, _ = request(only, "/switch/x", key, own, cookie="mine")
    assert fields["set-cookie"][:2] == ["a=b", "mine=; Max-Age=0"]
    assert request(only, "/switch/x", key)[0] == 401


# What is not captured.


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "of somebody else": (lambda: token_of("bob"), "other_subject"),
    "of nobody": (lambda: token_of("alice", sub=None), "other_subject"),
    "expired": (lambda: token_of("alice", exp=1), "token_not_verified"),
    "by another key": (
        lambda: hs256("a secret of others", payload(), {"alg": "HS256"}),
        "token_not_verified",
    ),
    "of another issuer": (lambda: token_of("alice", iss="https://evil"), "unusable_token"),
    "of another type": (
        lambda: jwt.encode(payload(), SIGNING_SECRET, headers={"typ": "at+jwt"}),
        "unusable_token",
    ),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_a_token_that_cannot_be_the_sessions(
    only: Gateway, shop: Shop, make: Callable[[], str], reason: str
) -> None:
    """502; the session goes on as it was, and nothing leaks."""
    key, bad = log_in(only.port), make()
    old = used(only, shop, key)
    shop.gives({"token": bad}, f"X-Copy: {bad}")
    code, _, data, answer = request(only, "/switch/x", key)
    assert (code, data["reason"]) == (502, reason)
    assert bad.encode() not in answer
    assert bad not in only.log.read_text()
    assert used(only, shop, key) == old
    assert only.events(event="renew_failed", reason=reason)


def test_two_tokens_of_which_either_could_be_meant(only: Gateway, shop: Shop) -> None:
    """The gateway does not choose: 502, and the session goes on as it was."""
    key = log_in(only.port)
    old = used(only, shop, key)
    shop.gives({"a": {"token": token_of("alice", n=1)}, "b": {"token": token_of("alice", n=2)}})
    code, _, data, answer = request(only, "/switch/x", key)
    assert (code, data["reason"]) == (502, "unusable_token")
    assert b"eyJ" not in answer
    assert used(only, shop, key) == old


@pytest.mark.parametrize("path", ["/switch/x", "/named"])
def test_what_the_client_has_sent(only: Gateway, shop: Shop, path: str) -> None:
    """It is never the session's token, though the backend has signed it; nor is it given back."""
    key, other = log_in(only.port), token_of("alice", role="admin")
    old, reply = used(only, shop, key), {"token": other, "data": {"switch": {"token": other}}}
    pairs = base64.b64encode(f"a:{other}".encode()).decode()
    for target, line, body in (
        (path, "X: y", json.dumps({"name": [other]}).encode()),
        (path, "X: y", f"name={quote(other)}".encode()),
        (path, "Content-Encoding: gzip", gzip.compress(other.encode())),
        (f"{path}?name={other}", "X: y", b""),
        (f"{path}?name={quote(quote(other)).replace('J', '%4a')}", "X: y", b""),
        (path, f"X-Name: {other}", b""),
        (path, f"X-Name: {pairs}", b""),
        (path, f"Cookie: theme=dark; name={other}", b""),
    ):
        shop.gives(reply)
        code, _, data, answer = request(only, target, key, line, body=body)
        assert (code, data["token"], b"eyJ" in answer) == (200, "", False)
        assert used(only, shop, key) == old
    shop.gives(reply)
    assert request(only, path, key)[0] == 200
    assert used(only, shop, key) == other, "what it has not sent is the backend's"


def test_a_path_that_is_repeated(only: Gateway, shop: Shop) -> None:
    """Many a backend says which page it has not found."""
    key, other = log_in(only.port), token_of("alice", role="admin")
    old = used(only, shop, key)
    shop.gives({"token": other})
    assert request(only, f"/switch/{other}", key)[2] == {"token": ""}
    assert used(only, shop, key) == old


UNVERIFIED: dict[str, tuple[Callable[[], str], int, str]] = {
    "of another issuer": (lambda: token_of("alice", iss="https://evil"), 502, "unusable_token"),
    "of another algorithm": (lambda: by_hand({"alg": "RS256"}, payload()), 502, "unusable_token"),
    "of somebody else": (lambda: token_of("bob"), 502, "other_subject"),
    "expired": (lambda: token_of("alice", exp=1), 502, "unusable_token"),
    "unsigned": (lambda: by_hand({"alg": "none"}, payload(), b"a"), 502, "unusable_token"),
    "with an empty signature": (
        lambda: by_hand({"alg": "HS256"}, payload(), b""),
        502,
        "unusable_token",
    ),
    "as it should be": (lambda: token_of("alice", n=1), 200, "captured"),
}


@pytest.fixture(scope="module")
def believing(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, servers: tuple[Shop, Upstream]
) -> Iterator[Gateway]:
    """A gateway that believes its backend, and captures where it is told to."""
    changed = sections(servers, routes=[*ROUTES[:2], ROUTES[3]])
    del changed["login"]["verify"]
    with gateway(tmp_path_factory.mktemp("believing"), redis.url, **changed) as running:
        yield running


@pytest.mark.parametrize(("make", "status", "reason"), UNVERIFIED.values(), ids=UNVERIFIED.keys())
def test_where_tokens_are_not_verified(
    believing: Gateway, shop: Shop, make: Callable[[], str], status: int, reason: str
) -> None:
    """A new token must be like the old one all the same, and what is not signed is none."""
    key, new = log_in(believing.port), make()
    old = used(believing, shop, key)
    shop.gives({"data": {"switch": {"token": new}}})
    code, _, data, answer = request(believing, "/named", key)
    assert (code, new.encode() in answer) == (status, False)
    if status == 200:
        assert data == {"data": {"switch": {"token": key}}}
    else:
        assert data["reason"] == reason
    assert used(believing, shop, key) == (new if reason == "captured" else old)


def test_sessions_of_other_logins_are_left_alone(
    tmp_path: Path,
    redis: RedisServer,
    servers: tuple[Shop, Upstream],
    only: Gateway,
    shop: Shop,
) -> None:
    """A gateway that does not know the login cannot tell whose token that is; no client sees it."""
    changed = sections(servers)
    changed["login"]["path"] = "/elsewhere"
    key = log_in(only.port)
    old = used(only, shop, key)
    with gateway(tmp_path, redis.url, **changed) as other:
        shop.gives({"token": token_of("alice", n=1)})
        code, _, data, _ = request(other, "/switch/x", key)
        assert (code, data) == (200, {"token": ""})
        assert used(other, shop, key) == old


def test_replies_that_cannot_be_read(only: Gateway, shop: Shop) -> None:
    """What may hide a token goes to no client: a large, a packed or a late reply, or none."""
    key, new = log_in(only.port), token_of("alice", n=1)
    old = used(only, shop, key)
    for lines, pad, path, expected in (
        ((), "x" * 3000, "/small", "captured_reply"),
        (("Content-Encoding: x-secret",), "", "/small", "captured_reply"),
        ((), "", "/away", "upstream_unreachable"),
    ):
        shop.gives({"token": new, "pad": pad}, *lines)
        code, _, data, answer = request(only, path, key)
        assert (code, data["reason"]) == (502, expected)
        assert new.encode() not in answer

    def late(_request: bytes) -> bytes:
        time.sleep(2.5)
        return b""

    shop.reply = late
    assert request(only, "/small", key)[0] == 504
    shop.gives({})
    assert request(only, "/small", key, body=b"x" * 1001)[0] == 413
    assert used(only, shop, key) == old


# Times.


def test_the_session_ends_with_its_new_token(
    both: tuple[Gateway, Gateway], shop: Shop, redis: RedisServer
) -> None:
    """Sooner than the old one; or later, as long as the session itself may last."""
    soon, late = time.time() + 2, time.time() + 600
    key = log_in(both[0].port)
    shop.gives({"token": token_of("alice", exp=int(soon), n="soon")})
    assert request(both[0], "/switch/x", key)[0] == 200
    later = log_in(both[0].port)
    shop.gives({"token": token_of("alice", exp=int(soon), n="soon")})
    assert request(both[0], "/switch/x", later)[0] == 200
    new = token_of("alice", exp=int(late), n="late")
    shop.gives({"token": new})
    assert request(both[0], "/switch/x", later)[0] == 200
    shop.gives({})
    eventually(lambda: request(both[1], "/api/x", key)[0] == 401)
    assert used(both[1], shop, later) == new
    listed = request(both[1], "/sessions", later, method="GET", body=b"")[2]
    assert any(session["current"] for session in listed["sessions"])


def test_its_refresh_token_is_kept(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """Where the login renews: the next renewal is of the token that was captured."""
    with gateway(
        tmp_path,
        redis.url,
        session={
            "secrets": ["a secret of the tests, long enough"],
            "clock_skew": 0.2,
            "renew": {"upstream": "api", "backend_path": "/refresh"},
        },
        upstreams={"api": backend.url},
        login={
            "kind": "backend",
            "path": "/login",
            "upstream": "api",
            "verify": {"secret": BACKEND_SECRET},
        },
        routes=[
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/switch", "upstream": "api", "captures": True},
        ],
    ) as only:
        key = log_in(only.port)
        code, _, data, _ = request(only, "/api/switch", key)
        assert (code, data["token"], data["refresh"][:11]) == (200, key, "lk_refresh_")
        first, second = backend.families
        time.sleep(max(0.0, backend.expiry + 0.05 - time.time()))
        assert request(only, "/api/x", key, method="GET", body=b"")[0] == 200
        assert second in backend.refreshes[-1]
        assert first not in "".join(backend.refreshes)
        assert not backend.stolen


# Several at once, and what goes wrong meanwhile.


def test_many_at_the_same_time(both: tuple[Gateway, Gateway], shop: Shop) -> None:
    """Each is answered, and the session has one of their tokens, whole."""
    key = log_in(both[0].port)
    given: list[str] = []

    def reply(_request: bytes) -> bytes:
        token = token_of("alice", n=len(given), at=time.time())
        given.append(token)
        return json_answer("200 OK", {"token": token})

    shop.reply = reply
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda at: request(both[at % 2], "/switch/x", key), range(20)))
    assert [(code, data) for code, _, data, _ in answers] == [(200, {"token": key})] * 20
    shop.gives({})
    eventually(lambda: used(both[0], shop, key) == used(both[1], shop, key))
    assert shop.token in given


def test_a_session_revoked_meanwhile_is_not_resurrected(
    both: tuple[Gateway, Gateway], shop: Shop
) -> None:
    """The logout comes while the upstream is asked; what it answers is thrown away."""
    key, new = log_in(both[0].port), token_of("alice", n=1)
    asked, going = threading.Event(), threading.Event()

    def slow(_request: bytes) -> bytes:
        asked.set()
        assert going.wait(20)
        return json_answer("200 OK", {"token": new})

    shop.reply = slow
    answers: list[tuple[int, Any, Any, bytes]] = []
    waiting = threading.Thread(target=lambda: answers.append(request(both[0], "/switch/x", key)))
    waiting.start()
    assert asked.wait(20)
    assert log_out(both[1], key) == 204
    going.set()
    waiting.join()
    assert answers[0][0] == 401
    assert new.encode() not in answers[0][3]
    shop.gives({})
    assert [request(relay, "/api/x", key)[0] for relay in both] == [401, 401]


def test_a_store_that_goes_away_meanwhile(
    tmp_path: Path, servers: tuple[Shop, Upstream], shop: Shop
) -> None:
    """503: the token goes nowhere, and the session has the one that it had."""
    with (
        redis_server(tmp_path) as store,
        gateway(tmp_path / "gateway", store.url, **sections(servers)) as only,
    ):
        key, new = log_in(only.port), token_of("alice", n=1)
        old = used(only, shop, key)

        def cut(_request: bytes) -> bytes:
            store.freeze()
            return json_answer("200 OK", {"token": new})

        shop.reply = cut
        code, _, data, answer = request(only, "/switch/x", key)
        assert (code, data["reason"]) == (503, "store_unavailable")
        assert new.encode() not in answer
        assert key.encode() not in answer
        store.thaw()
        shop.gives({})
        eventually(lambda: request(only, "/api/x", key)[0] == 200)
        assert shop.token in (old, new), "a write that was on its way may have been done"


def test_a_gateway_that_has_not_heard_of_it_yet(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """A backend may take the old token back at once: requests with it look once more."""
    backend.life = 60
    both = {
        "upstreams": {"api": backend.url},
        "session": {"secrets": ["a secret of the tests, long enough"], "end_on_upstream_401": True},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/switch", "upstream": "api", "captures": "/token"},
        ],
    }
    with (
        gateway(tmp_path / "one", redis.url, **both) as one,
        gateway(tmp_path / "two", redis.url, **both) as two,
    ):
        key = log_in(one.port)
        for _ in range(10):
            assert request(two, "/api/x", key, method="GET", body=b"")[0] == 200
            assert request(one, "/api/switch", key)[2]["token"] == key
            assert request(two, "/api/x", key, method="GET", body=b"")[0] == 200
        assert len(set(backend.seen)) > 10


# GraphQL: one path for everything.


def test_a_guarded_path_may_be_reached_where_tokens_are_captured(
    tmp_path: Path, redis: RedisServer, servers: tuple[Shop, Upstream], shop: Shop
) -> None:
    """wire-rules.md#E1: no route reaches a backend's login, lest its token gets out. On one that
    captures, none does.
    """
    shop_server = servers[0].server.url
    changed = sections(
        servers,
        upstreams={"shop": shop_server},
        login={
            "kind": "backend",
            "path": "/login",
            "upstream": "shop",
            "backend_path": "/graphql",
            "token": "data.login.token",
        },
        routes=[
            {"path": "/graphql", "upstream": "shop", "captures": "data.login.token"},
            {"path": "/other/*", "upstream": "shop", "strip_prefix": "/other"},
        ],
    )
    with gateway(tmp_path, redis.url, **changed) as only:
        first, second = token_of("alice", n=1), token_of("alice", n=2)
        shop.gives({"data": {"login": {"token": first}}})
        _, _, data, _ = request(only, "/login", "none")
        key = data["data"]["login"]["token"]
        shop.gives({"data": {"me": {"name": "alice"}}})
        assert request(only, "/graphql", key)[2] == {"data": {"me": {"name": "alice"}}}
        assert shop.token == first
        assert request(only, "/other/graphql", key)[0] == 404
        shop.gives({"data": {"login": {"token": second}}})
        assert request(only, "/graphql", key)[2] == {"data": {"login": {"token": key}}}
        shop.gives({"data": {"login": {"token": token_of("bob")}}})
        assert request(only, "/graphql", key)[0] == 502
        shop.gives({"data": {"login": {"token": token_of("alice", role="admin")}}})
        alias = json.dumps({"query": "{ login: me { token: bio } }"}).encode()
        code, _, data, _ = request(only, "/graphql", key, body=alias)
        assert (code, data["reason"]) == (502, "unusable_token"), "its place is the client's"
        shop.gives({"data": None})
        assert request(only, "/graphql", key)[0] == 200
        assert shop.token == second

"""People of one name in two realms: over a real gateway, neither sees, ends, or is taken for the
other, on any surface; and no host that a client makes up is another tenant's.
"""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from tests.conftest import SIGNING_SECRET, json_answer, token_of
from tests.support.command_line import run
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

PROXY = "127.0.0.2"  # is trusted; 127.0.0.1 is not
MOST = 3  # sessions of a subject

LOGINS: list[dict[str, Any]] = [
    {"kind": "backend", "path": "/login", "subject_prefix": "customers:"},
    {"kind": "backend", "path": "/staff/login", "subject_prefix": "staff:"},
    {"kind": "backend", "path": "/b/login", "subject_prefix": "customers:b:"},
    {"kind": "backend", "path": "/plain/login"},
    {
        "kind": "backend",
        "path": "/tenant/login",
        "subject_prefix": "tenant:{host}:",
        "renew": {"upstream": "accounts", "backend_path": "/refresh"},
    },
    {
        "kind": "mint",
        "path": "/mint/login",
        "subject_prefix": "mint:{claim:tenant}:",
        "claims": {"sub": "/id", "tenant": {"at": "/tenant", "required": False}},
    },
]
ROUTES = [
    {"path": "/api/*", "upstream": "shop"},
    {"path": "/services/*", "upstream": "shop", "accept_jwt": "verify"},
    {"path": "/only/*", "upstream": "shop", "claims": {"sub": "staff:1"}},
    {"path": "/switch", "upstream": "accounts", "captures": "/token"},
    {"path": "/minted/*", "upstream": "shop", "token": {"audience": "shop"}},
]


def accounts(visit: Visit) -> None:
    """A backend with a login at each path, all of which know each name by the same password."""
    request = visit.request()
    head, _, body = request.partition(b"\r\n\r\n")
    given = json.loads(body)
    if b" /refresh " in head:
        visit.send(json_answer("200 OK", {"token": token_of("1")}, "Connection: close"))
        return
    if given.get("password") != "good":
        visit.send(json_answer("401 Unauthorized", {"detail": "wrong"}, "Connection: close"))
        return
    name = given["username"]
    data = {"id": name, "tenant": given.get("tenant")}
    if b"/mint/" not in head:
        data["token"] = token_of(name)
    if b"/tenant/" in head:
        data |= {"token": token_of(name, exp=time.time() + 2), "refresh_token": "next"}
    visit.send(json_answer("200 OK", data, "Connection: close"))


@pytest.fixture(scope="module")
def backend() -> Iterator[Upstream]:
    with Upstream(accounts) as server:
        yield server


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    backend: Upstream,
    upstream: Upstream,
) -> Iterator[Gateway]:
    with gateway(
        tmp_path_factory.mktemp("realms"),
        {"url": redis.url, "prefix": f"realms-{time.time_ns()}:"},
        session={"secrets": [SECRET], "max_per_subject": MOST},
        upstreams={"accounts": backend.url, "shop": upstream.url},
        login=[{"upstream": "accounts", **login} for login in LOGINS],
        jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
        signing=signing(),
        guessing={"per_account": 3, "delay_after": 0},
        routes=ROUTES,
        trusted_proxies=PROXY,
    ) as only:
        yield only


@dataclass(frozen=True)
class Person:
    """Who logs in by a login, at a host, with a name there."""

    path: str
    name: str
    subject: str
    host: str = "shop.example"
    tenant: str = ""

    def log_in(self, port: int, *lines: str, source: str = "127.0.0.1") -> str:
        """A key."""
        code, answer = attempt(port, self, *lines, source=source)
        assert code == 200, answer
        return str(answer["token"])


def attempt(
    port: int,
    who: Person,
    *lines: str,
    password: str = "good",
    source: str = "127.0.0.1",
    target: str | None = None,
) -> tuple[int, Any]:
    """One login: its status and its JSON."""
    typed = {"username": who.name, "password": password}
    body = json.dumps({**typed, "tenant": who.tenant} if who.tenant else typed)
    host = [f"Host: {who.host}"] if who.host else []
    head = [f"POST {target or who.path} HTTP/1.1", *host, *lines, f"Content-Length: {len(body)}"]
    head += ["Content-Type: application/json", "Connection: close", "", body]
    return parsed(ask(port, "\r\n".join(head).encode(), source))


def call(port: int, method: str, target: str, key: str) -> tuple[int, Any]:
    """What a program with a key is answered."""
    fields = f"Host: shop.example\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    return parsed(ask(port, f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode()))


def parsed(answer: bytes) -> tuple[int, Any]:
    body = answer.partition(b"\r\n\r\n")[2]
    with contextlib.suppress(ValueError):
        return status(answer), json.loads(body)
    return status(answer), body


CUSTOMER = Person("/login", "1", "customers:1")
STAFF = Person("/staff/login", "1", "staff:1")
TENANT_A = Person("/tenant/login", "1", "tenant:a.example:1", host="a.example")
TENANT_B = Person("/tenant/login", "1", "tenant:b.example:1", host="b.example")
BLUE = Person("/mint/login", "1", "mint:blue:1", tenant="blue")
RED = Person("/mint/login", "1", "mint:red:1", tenant="red")
PAIRS = {
    "customers and staff": (CUSTOMER, STAFF),
    "tenants by host": (TENANT_A, TENANT_B),
    "tenants by a claim": (BLUE, RED),
    "a name with a colon": (
        Person("/login", "b:1", "customers:b%3A1"),
        Person("/b/login", "1", "customers:b:1"),
    ),
    "a name like a subject": (Person("/plain/login", "staff:1", "staff%3A1"), STAFF),
    "an escaped name": (
        Person("/login", "b%3A1", "customers:b%253A1"),
        Person("/login", "b:1", "customers:b%3A1"),
    ),
    "a tenant with a colon": (
        Person("/mint/login", "1", "mint:blue%3Ax:1", tenant="blue:x"),
        Person("/mint/login", "x:1", "mint:blue:x%3A1", tenant="blue"),
    ),
}
Pair = tuple[Person, Person]


@pytest.fixture(params=PAIRS.values(), ids=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Pair:
    """Two people whom a gateway could take for one."""
    found: Pair = request.param
    return found


@pytest.fixture(autouse=True)
def nothing_left(running: Gateway, upstream: Upstream) -> None:
    """Each test begins without sessions, and with a shared upstream that says ok."""
    upstream.clear()
    command(running, "sessions", "revoke", "--issued-before", str(int(time.time()) + 1))


def command(running: Gateway, *words: str) -> Any:
    """What a command of the gateway says, as JSON."""
    done = run(*words, "--json", "-c", str(running.log.with_name("config.yaml")))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Every surface.


def test_neither_sees_or_ends_the_others_sessions(running: Gateway, pair: Pair) -> None:
    """Not in the list, not by a handle, and not by a logout with a scope."""
    one, other = pair
    port = running.port
    mine, too, theirs = one.log_in(port), one.log_in(port), other.log_in(port)
    ids = {device["handle"] for device in call(port, "GET", "/sessions", mine)[1]["sessions"]}
    [handle] = [
        device["handle"] for device in call(port, "GET", "/sessions", theirs)[1]["sessions"]
    ]
    assert len(ids) == 2
    assert handle not in ids
    assert call(port, "DELETE", f"/sessions/{handle}", mine)[0] == 404
    assert call(port, "POST", "/logout?scope=others", mine)[0] == 204
    assert call(port, "GET", "/api/x", too)[0] == 401
    assert call(port, "GET", "/api/x", theirs)[0] == 200
    assert call(port, "POST", "/logout?scope=all", mine)[0] == 204
    assert call(port, "GET", "/api/x", mine)[0] == 401
    assert call(port, "GET", "/api/x", theirs)[0] == 200


def test_neither_takes_the_others_room(running: Gateway, pair: Pair) -> None:
    """`max_per_subject` counts each person's own sessions."""
    one, other = pair
    theirs = other.log_in(running.port)
    mine = [one.log_in(running.port) for _ in range(MOST + 1)]
    assert [call(running.port, "GET", "/api/x", key)[0] for key in mine] == [401] + [200] * MOST
    assert call(running.port, "GET", "/api/x", theirs)[0] == 200


def test_upstreams_are_told_who_asks(running: Gateway, pair: Pair, upstream: Upstream) -> None:
    """By the subject, in the identity field."""
    for person in pair:
        upstream.clear()
        assert call(running.port, "GET", "/api/x", person.log_in(running.port))[0] == 200
        assert f"\r\nX-User-Id: {person.subject}\r\n" in upstream.got.decode()


def test_minted_tokens_say_who_asks(running: Gateway, upstream: Upstream) -> None:
    """By the subject, in the session's own token and in a route's."""
    upstream.clear()
    key = BLUE.log_in(running.port)
    for path in ("/api/x", "/minted/x"):
        assert call(running.port, "GET", path, key)[0] == 200
    tokens = re.findall(r"Authorization: Bearer (\S+)", upstream.got.decode())
    said = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert [(claims["sub"], claims.get("aud")) for claims in said] == [
        ("mint:blue:1", None),
        ("mint:blue:1", "shop"),
    ]


def test_operators_name_one_of_them(running: Gateway, pair: Pair) -> None:
    """`gateway sessions --subject` means one, and so does the audit log."""
    one, other = pair
    mine, theirs = one.log_in(running.port), other.log_in(running.port)
    for person in pair:
        assert running.events(event="login", subject=person.subject)
        counted = command(running, "sessions", "count", "--subject", person.subject)
        assert counted == {"count": 1}
    assert command(running, "sessions", "count", "--subject", "1") == {"count": 0}
    assert command(running, "sessions", "revoke", "--subject", one.subject) == {"revoked": 1}
    assert call(running.port, "GET", "/api/x", mine)[0] == 401
    assert call(running.port, "GET", "/api/x", theirs)[0] == 200


@pytest.mark.parametrize(
    ("one", "other"),
    [(CUSTOMER, STAFF), (TENANT_A, TENANT_B)],
    ids=["two logins", "two hosts"],
)
def test_guesses_at_one_do_not_count_for_the_other(
    running: Gateway, one: Person, other: Person
) -> None:
    """Neither the failures, nor what a success forgives: who has an account of the same name in
    another realm gains no guesses by it.
    """
    guesser = f"127.0.0.{50 if one is CUSTOMER else 51}"
    wrong = [attempt(running.port, one, password="bad", source=guesser)[0] for _ in range(4)]
    assert wrong == [401, 401, 401, 429]
    other.log_in(running.port, source=guesser)
    assert attempt(running.port, one, source=guesser)[0] == 429


def test_a_rule_for_one_subject(running: Gateway) -> None:
    """A route's `claims` mean the subject by `sub`, as the identity field does."""
    keys = {person.subject: person.log_in(running.port) for person in (CUSTOMER, STAFF, TENANT_A)}
    keys["staff%3A1"] = Person("/plain/login", "staff:1", "staff%3A1").log_in(running.port)
    found = {name: call(running.port, "GET", "/only/x", key)[0] for name, key in keys.items()}
    assert found == {"staff:1": 200, **dict.fromkeys(keys.keys() - {"staff:1"}, 403)}


def test_callers_with_tokens_of_their_own(running: Gateway, upstream: Upstream) -> None:
    """Are no users of a login, whatever they are called."""
    for name, subject in (("1", "services:1"), ("staff:1", "services:staff%3A1")):
        upstream.clear()
        assert call(running.port, "GET", "/services/x", token_of(name))[0] == 200
        assert f"\r\nX-User-Id: {subject}\r\n" in upstream.got.decode()


def test_named_keys_name_a_subject(running: Gateway, upstream: Upstream) -> None:
    """With its realm, as `--subject` says it; and they are in that one's list."""
    file = running.log.with_name("token.jwt")
    file.write_text(token_of("1"))
    key = issued(running, "--subject", "staff:1", "--name", "robot", "--token-file", str(file))
    upstream.clear()
    assert call(running.port, "GET", "/api/x", key)[0] == 200
    assert "\r\nX-User-Id: staff:1\r\n" in upstream.got.decode()
    for person, names in ((STAFF, ["robot"]), (CUSTOMER, [])):
        listed = call(running.port, "GET", "/sessions", person.log_in(running.port))[1]["sessions"]
        assert [device["device"] for device in listed if device["device"] == "robot"] == names
    with pytest.raises(AssertionError):
        issued(running, "--subject", "staff:2", "--token-file", str(file))


def issued(running: Gateway, *words: str) -> str:
    """The key that `gateway keys issue` prints."""
    done = run("keys", "issue", *words, "-c", str(running.log.with_name("config.yaml")))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# A session's later tokens.


def test_a_renewal_asks_for_the_sessions_own_host(running: Gateway, backend: Upstream) -> None:
    """Another tenant's user of that name would be another person."""
    key = TENANT_A.log_in(running.port)
    backend.clear(accounts)
    until = time.monotonic() + HANG
    while b"POST /refresh " not in backend.got and time.monotonic() < until:
        assert call(running.port, "GET", "/api/x", key)[0] == 200
        time.sleep(0.1)
    assert named_hosts(backend.got) == {"a.example"}


@pytest.mark.parametrize(("host", "expected"), [("a.example", 200), ("b.example", 502)])
def test_a_captured_token_is_of_the_sessions_own_host(
    running: Gateway, host: str, expected: int
) -> None:
    """A user of that name at another host is another person."""
    field = f"Authorization: Bearer {TENANT_A.log_in(running.port)}"
    at_host = Person("/switch", "1", "", host)
    assert attempt(running.port, at_host, field)[0] == expected


def named_hosts(request: bytes) -> set[str]:
    """The hosts that the fields of a request name."""
    lines = request.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")[1:]
    fields = [line.partition(": ") for line in lines]
    return {value for name, _, value in fields if "host" in name}


# Hosts that a client makes up.


@dataclass(frozen=True)
class Forged:
    """A login that names some host, and of which tenant it is then; "" for none."""

    host: str
    tenant: str
    lines: tuple[str, ...] = ()
    target: str = "/tenant/login"
    by_proxy: bool = False


FORGED = {
    "X-Forwarded-Host of a stranger": Forged(
        "a.example", "a.example", ("X-Forwarded-Host: b.example",)
    ),
    "in another spelling": Forged("a.example", "a.example", ("x_forwarded_host: b.example",)),
    "a stranger's Forwarded": Forged("a.example", "a.example", ("Forwarded: host=b.example",)),
    "fields of other servers": Forged(
        "a.example",
        "a.example",
        ("X-Host: b.example", "X-Original-Host: b.example", "X_HTTP_Host_Override: b.example"),
    ),
    "the target's authority": Forged("a.example", "b.example", (), "http://b.example/tenant/login"),
    "capitals": Forged("B.Example", "b.example"),
    "a port": Forged("b.example:8080", "b.example"),
    "an address": Forged("[2001:DB8::1]:8080", "[2001%3Adb8%3A%3A1]"),
    "another login's realm": Forged("staff", "staff"),
    "a root dot": Forged("b.example.", ""),
    "two in one": Forged("a.example,b.example", ""),
    "an escape": Forged("b%2eexample", ""),
    "a proxy's X-Forwarded-Host": Forged(
        "internal", "b.example", ("X-Forwarded-Host: b.example",), by_proxy=True
    ),
    "the last of a proxy's lines": Forged(
        "internal",
        "a.example",
        ("X-Forwarded-Host: b.example", "X-Forwarded-Host: a.example"),
        by_proxy=True,
    ),
    "the last of a proxy's list": Forged(
        "internal", "a.example", ("X-Forwarded-Host: b.example, a.example",), by_proxy=True
    ),
    "a proxy's Forwarded": Forged(
        "internal", "b.example", ("Forwarded: host=b.example",), by_proxy=True
    ),
    "both of a proxy": Forged(
        "internal",
        "a.example",
        ("Forwarded: host=b.example", "X-Forwarded-Host: a.example"),
        by_proxy=True,
    ),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=list(FORGED))
def test_the_host_that_a_login_is_for(running: Gateway, backend: Upstream, forged: Forged) -> None:
    """Is the one that the backend is asked in the name of, and no other field names another: so who
    is let in as one tenant's user is that tenant's.
    """
    backend.clear(accounts)
    who = Person(forged.target, "1", "", host=forged.host)
    source = PROXY if forged.by_proxy else "127.0.0.1"
    code, answer = attempt(running.port, who, *forged.lines, source=source)
    if not forged.tenant:
        assert (code, answer["reason"]) == (502, "no_realm")
        assert backend.got == b""
        return
    assert code == 200
    counted = command(running, "sessions", "count", "--subject", f"tenant:{forged.tenant}:1")
    assert counted == {"count": 1}
    head = backend.got.decode().lower()
    named = re.findall(r"\r\n(?:host|x[-_]forwarded[-_]host): (\S+)", head)
    assert named[0] == named[1]
    assert len(named) == 2
    host = re.sub(r":[0-9]+$", "", named[0])
    assert host.replace(":", "%3a") == forged.tenant.lower()
    others = {"a.example", "b.example"} - {host}
    assert not [other for other in others if other in head]


def test_a_request_without_a_host(running: Gateway, backend: Upstream) -> None:
    """HTTP/1.0 need not name one; then there is no tenant."""
    backend.clear(accounts)
    body = b'{"username": "1", "password": "good"}'
    request = b"POST /tenant/login HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    code, answer = parsed(ask(running.port, request, "127.0.0.52"))
    assert (code, answer["reason"], backend.got) == (502, "no_realm", b"")


def test_a_login_whose_claim_is_missing(running: Gateway) -> None:
    """Is refused, since a realm without it would be another one; the log says which it is."""
    code, answer = attempt(running.port, Person("/mint/login", "1", ""))
    assert (code, answer["reason"]) == (502, "no_realm")
    assert "has no realm: the claim tenant is missing" in running.log.read_text()
    assert running.events(event="login_failed", reason="no_realm")


def test_a_key_is_good_at_every_host(running: Gateway, upstream: Upstream) -> None:
    """A session is not bound to the host of its login; upstreams are told whose it is."""
    key = TENANT_A.log_in(running.port)
    upstream.clear()
    request = f"GET /api/x HTTP/1.1\r\nHost: b.example\r\nAuthorization: Bearer {key}\r\n"
    assert status(ask(running.port, f"{request}Connection: close\r\n\r\n".encode())) == 200
    assert "\r\nX-User-Id: tenant:a.example:1\r\n" in upstream.got.decode()

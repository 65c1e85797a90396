"""The head of a request as an upstream gets it."""

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.core.http.forwarding import Trusted
from gateway.core.sessions.session import Session, Token
from gateway.relay.access import upstream_request
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.request_reader import RequestReader
from gateway.store.resolved_session import ResolvedSession

READER = RequestReader(instance="0" * 16, identity=["X-User-Id"], max_fields=20)
OWN_ID = b"0123456789abcdef" * 2

SESSION = ResolvedSession(
    Session("id", "alice", Token(b"the.jwt.token"), "/login", ends_at=1e12, expires_at=1e12),
    b"X-User-Id: alice\r\n",
    b"the.jwt.token",
    1e12,
)


def sent(
    *lines: bytes,
    request: bytes = b"GET /shop/x?q HTTP/1.1",
    session: ResolvedSession | None = None,
    trusted: bool = False,
    **action: Any,
) -> list[bytes]:
    """The lines of the head, the request line first."""
    data = b"\r\n".join([request, b"Host: shop.example", *lines]) + b"\r\n\r\n"
    head = READER.read(data, len(data) - len(HEAD_END))
    proxies = Trusted([ip_network("192.0.2.0/24")] if trusted else ())
    peer = Peer(("192.0.2.1", 1), instance="1" * 16, proxies=proxies, describing=Trusted(()))
    route = Route("/*", Access(Auth.OPTIONAL), Action(host=b"up.internal", **action))
    written = upstream_request.request_head(head, route, session, peer, OWN_ID)
    assert written.endswith(HEAD_END)
    # A request that was refused with 401 is sent again, with another token.
    assert upstream_request.request_head(head, route, session, peer, OWN_ID) == written
    return written.removesuffix(HEAD_END).split(b"\r\n")


def test_the_clients_own_lines_pass() -> None:
    """wire-rules.md#B2, #B8: the target and the fields as they came, Host first."""
    lines = sent(b"X-A:  1 ", b"Accept: */*")
    assert lines[:4] == [
        b"GET /shop/x?q HTTP/1.1",
        b"Host: shop.example",
        b"X-A:  1 ",
        b"Accept: */*",
    ]


@pytest.mark.parametrize(
    ("action", "first"),
    [
        ({"strip_prefix": b"/shop"}, [b"GET /x?q HTTP/1.1", b"Host: shop.example"]),
        ({"keeps_host": False}, [b"GET /shop/x?q HTTP/1.1", b"Host: up.internal"]),
    ],
)
def test_what_a_route_changes(action: dict[str, Any], first: list[bytes]) -> None:
    """The prefix goes, or the upstream gets a Host of its own."""
    assert sent(**action)[:2] == first


def test_a_session_puts_its_token_in() -> None:
    """After the client's fields, with those of `identity`; without a session, nothing of it."""
    lines = sent(b"Authorization: Bearer x", b"X-User-Id: root", session=SESSION)
    assert lines[-2:] == [b"Authorization: Bearer the.jwt.token", b"X-User-Id: alice"]
    assert not [line for line in sent(b"X-User-Id: root") if b"X-User" in line]


@pytest.mark.parametrize(
    ("line", "framing"),
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 0", b"Content-Length: 0"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    ],
)
def test_the_framing_is_written_anew(line: bytes, framing: bytes) -> None:
    """wire-rules.md#A10."""
    assert framing in sent(line, request=b"POST / HTTP/1.1")


def test_an_upgrade_goes_on_where_the_route_allows_it() -> None:
    """wire-rules.md#B13."""
    asked = (b"Connection: upgrade", b"Upgrade: WebSocket")
    assert b"Upgrade: websocket" in sent(*asked, upgrades=frozenset({b"websocket"}))
    assert not [line for line in sent(*asked) if b"pgrade" in line]


def test_the_client_is_told_upstream() -> None:
    """wire-rules.md#B10: an untrusted peer's own fields are dropped, a trusted one's lengthened."""
    chain = b"X-Forwarded-For: 203.0.113.7"
    assert b"X-Forwarded-For: 192.0.2.1" in sent(chain)
    assert b"X-Forwarded-For: 203.0.113.7, 192.0.2.1" in sent(chain, trusted=True)
    assert b"X-Real-IP: 203.0.113.7" in sent(chain, trusted=True)


def test_a_prefix_is_told_once() -> None:
    """Behind one that a trusted peer has cut off, whatever else that peer tells."""
    told = (b"X-Forwarded-Prefix: /outer", b"X-Forwarded-Proto: https")
    for lines in (told, told[:1]):
        sent_lines = sent(*lines, trusted=True, strip_prefix=b"/shop")
        prefixes = [line for line in sent_lines if line.startswith(b"X-Forwarded-Prefix")]
        assert prefixes == [b"X-Forwarded-Prefix: /outer/shop"]


def test_a_request_has_one_id() -> None:
    """A trusted peer's, or else the gateway's own, by which a new trace is named as well."""
    given = b"X-Request-Id: theirs"
    assert b"X-Request-Id: " + OWN_ID in sent(given)
    assert b"X-Request-Id: theirs" in sent(given, trusted=True)
    assert b"X-Request-Id: " + OWN_ID in sent(b"X-Request-Id: a b", trusted=True)
    assert b"traceparent: 00-%b-%b-01" % (OWN_ID, OWN_ID[:16]) in sent()
    trace = b"a" * 32
    assert b"traceparent: 00-%b-%b-00" % (trace, OWN_ID[:16]) in sent(
        b"traceparent: 00-%b-%b-00" % (trace, b"b" * 16)
    )

"""The other end of a connection, by the address that its socket gives."""

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.core.http.forwarding import Trusted
from gateway.relay.access import upstream_request
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.http1.request_reader import RequestReader

LOCAL = Trusted([ip_network("10.0.0.0/8"), ip_network("fe80::/10"), "unix"])
NONE = Trusted(())


def peer(name: Any, proxies: Trusted = NONE, describing: Trusted = NONE) -> Peer:
    return Peer(name, instance="0" * 16, proxies=proxies, describing=describing)


@pytest.mark.parametrize(
    ("name", "address", "trusted"),
    [
        (("10.0.0.1", 1), "10.0.0.1", True),
        (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1", True),
        (("203.0.113.7", 1), "203.0.113.7", False),
        (("fe80::1%eth0", 1, 0, 2), "fe80::1", True),
        (("2001:db8::1", 1, 0, 0), "2001:db8::1", False),
        ("", "unknown", True),
        (None, "unknown", True),
    ],
)
def test_the_address_of_a_socket(name: Any, address: str, trusted: bool) -> None:
    """Without a zone; an IPv4 client of a dual-stack socket as such; none at a unix socket."""
    assert peer(name).address == address
    assert not peer(name).trusted
    assert (peer(name, LOCAL).trusted, peer(name, LOCAL).describes) == (trusted, False)
    assert (peer(name, NONE, LOCAL).trusted, peer(name, NONE, LOCAL).describes) == (False, trusted)


@pytest.mark.parametrize(
    ("name", "node", "behind"),
    [
        (("10.0.0.1", 1), b"for=10.0.0.1", b", 10.0.0.1"),
        (("fe80::1%eth0", 1, 0, 2), b'for="[fe80::1]"', b", fe80::1"),
        ("", b"for=unknown", b""),
    ],
)
def test_a_proxy_is_appended(name: Any, node: bytes, behind: bytes) -> None:
    """RFC 7239 §6: in Forwarded an IPv6 address stands in brackets and quotes."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=203.0.113.7\r\n\r\n"
    head = RequestReader(instance="1" * 16, identity=(), max_fields=9).read(data, len(data) - 4)
    route = Route("/*", Access(Auth.PUBLIC))
    sent = upstream_request.request_head(head, route, None, peer(name, LOCAL), b"0" * 32)
    assert b"\r\nForwarded: for=203.0.113.7, " + node + b"\r\n" in sent
    assert b"\r\nX-Forwarded-For: 203.0.113.7" + behind + b"\r\n" in sent

"""What trusted proxies tell of the client: its address, the scheme it used and the host it asked.

A proxy appends to X-Forwarded-For the address from which a request has come to it. So the list is
read from the right: each element is believed if the proxy that has appended it is trusted, and what
stands left of an element that is no address may be made up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.core.http import networks
from gateway.core.sessions.keys import holds_key

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The address of the peer of a unix socket (RFC 7239 §6.2).
UNKNOWN = "unknown"

# RFC 9110 §7.2, RFC 3986 §3.2.2: the name or the IPv6 address, the port, and maybe an empty one.
_AUTHORITY = re.compile(
    rb"((?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++|\[([0-9A-Fa-f:.]++)\])"
    rb"(?::[0-9]{1,5}+(?!:))?):?"
)

# The longest name has 253 characters (RFC 1035 §2.3.4), and behind it there may be a port.
_MAX_HOST_BYTES = 259

# Proxies that serve WebSockets may name these schemes, of the same two ports (RFC 6455 §3).
_SCHEMES = frozenset({b"http", b"https", b"ws", b"wss"})
_PROTECTED = frozenset({b"https", b"wss"})

# The longest address has 45 characters; beside it there may be a zone, a port and quotes.
_MAX_NODE_BYTES = 96

# How many texts, of a client's choice, are remembered with what they mean.
_MAX_REMEMBERED = 2048

# RFC 7239 §6, and an IPv6 address without brackets, which most proxies write.
_NODE = re.compile(
    rb"(?:([0-9.]++)|\[([0-9A-Fa-f:.]++)(?:%[A-Za-z0-9._~-]++)?\])(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]++))?"
    rb"|([0-9A-Fa-f:.]++)(?:%[A-Za-z0-9._~-]++)?"
)

# A longer way through trusted proxies is not followed.
_MAX_HOPS = 16

# RFC 7239 §4, without escapes, which no address needs, and with values that should be quoted but
# seldom are. A quote that nothing closes is a byte like any other: it hides no element behind it.
_ELEMENT = re.compile(rb'(?:[^,"]++|"[^"]*+"|")++')
_PAIR = re.compile(rb'[ \t]*+([A-Za-z0-9_-]++)=(?:"([^"\\]*+)"|([^\s";,]++))[ \t]*+(?:;|\Z)')

_FOR, _REAL_IP = b"x-forwarded-for", b"x-real-ip"
_PROTO, _HOST = b"x-forwarded-proto", b"x-forwarded-host"
_FORWARDED, _OTHER_WAYS = b"forwarded", (b"x-forwarded-", b"x-real-ip")


class Trusted:
    """The networks whose word is believed, and maybe the peers of unix sockets."""

    def __init__(self, places: Iterable[Network | Literal["unix"]]) -> None:
        known = tuple(places)
        self._networks = tuple(place for place in known if place != "unix")
        self._unix = "unix" in known
        # Most requests come by the same few proxies.
        self.includes: Callable[[str], bool] = lru_cache(_MAX_REMEMBERED)(self._includes)

    def client_network(self, address: str) -> str:
        """What a client has of the addresses around its own (see `networks.network`); "" where the
        address is none, or that of a proxy which names no client.
        """
        network = networks.network(address)
        return "" if not network or self.includes(address) else network

    def _includes(self, address: str) -> bool:
        if address == UNKNOWN:
            return self._unix
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self._networks)


class Client(NamedTuple):
    """Who asked, as far as is known."""

    address: str  # UNKNOWN at a unix socket, if its peer names no client
    scheme: bytes = b"http"
    host: bytes | None = None  # where that is not said, the request's own

    @property
    def is_protected(self) -> bool:
        """Whether TLS protects the way from the client."""
        return self.scheme in _PROTECTED


def client(peer: str, fields: Iterable[tuple[bytes, bytes]], trusted: Trusted) -> Client:
    """Who asked, by what a trusted `peer` says in `fields` (names in lower case, and values).

    A proxy that says X-Forwarded-* or X-Real-IP passes Forwarded on as the client has made it up;
    so that counts only where none of them is said.
    """
    said: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        said.setdefault(name, []).append(value)
    if _FORWARDED in said and not any(name.startswith(_OTHER_WAYS) for name in said):
        return _by_forwarded(peer, said[_FORWARDED], trusted)
    # Many proxies say one of the two, and pass the other on as the client has made it up.
    chain = _members(said[_FOR]) if _FOR in said else _members(said.get(_REAL_IP, ()))[-1:]
    address, hops = _walk(peer, map(node, reversed(chain)), trusted)
    schemes, hosts = _members(said.get(_PROTO, ())), _members(said.get(_HOST, ()))
    if len(chain) > hops:
        # A peer that is not trusted may have begun the list.
        schemes = schemes[-max(hops, 1) :]
    # Some proxies append to a client's own X-Forwarded-Host: the last one is our peer's.
    return _client(address, (schemes or [b""])[0], (hosts or [b""])[-1])


def host_value(text: bytes) -> bytes | None:
    """A Host field's value without a port that is empty (RFC 3986 §6.2.3); None if it is none."""
    return _host_value(text) if len(text) <= _MAX_HOST_BYTES else _read_host_value(text)


def node(text: bytes) -> str | None:
    """The address in an element of X-Forwarded-For, or in `for=` (RFC 7239 §6), with or without a
    port; None if it is none, or a hidden one.
    """
    return _node(text) if len(text) <= _MAX_NODE_BYTES else None


def _read_host_value(text: bytes) -> bytes | None:
    found = _AUTHORITY.fullmatch(text)
    if found is None or holds_key(text):
        return None  # a key would go upstream with it (wire-rules.md#C4)
    if found[2] is not None:
        try:
            ipaddress.IPv6Address(found[2].decode("ascii"))
        except ValueError:
            return None
    return found[1]


_host_value = lru_cache(_MAX_REMEMBERED)(_read_host_value)


@lru_cache(_MAX_REMEMBERED)
def plain(address: str) -> str:
    """An address without its zone, and an IPv4 one in IPv6's clothes as what it is.

    Raises `ValueError`.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)


@lru_cache(_MAX_REMEMBERED)
def _node(text: bytes) -> str | None:
    if text[:1] == b'"' == text[-1:]:
        text = text[1:-1]
    found = _NODE.fullmatch(text.strip(b" \t"))
    if found is None:
        return None
    try:
        return plain((found[1] or found[2] or found[3]).decode("ascii"))
    except ValueError:
        return None


def _members(lines: Iterable[bytes]) -> list[bytes]:
    """The last members of a list, which may stand in several lines (RFC 9110 §5.6.1)."""
    parts = b",".join(lines).rsplit(b",", _MAX_HOPS)
    return [member for part in parts if (member := part.strip(b" \t"))]


def _walk(peer: str, named: Iterable[str | None], trusted: Trusted) -> tuple[str, int]:
    """The client's address, and how many elements of a chain are believed.

    `named` are the addresses in them, from the right.
    """
    address, hops = peer, 0
    for before in named:
        if before is None or not trusted.includes(address):
            break
        address, hops = before, hops + 1
    return address, hops


def _by_forwarded(peer: str, lines: Iterable[bytes], trusted: Trusted) -> Client:
    """RFC 7239: each element is one proxy's, with all that it says."""
    found = _ELEMENT.findall(b",".join(lines))
    elements = [element for element in found if element.strip(b" \t")]
    said = [_pairs(element) for element in elements[-_MAX_HOPS:]]
    named = (node(pairs.get(b"for", b"")) for pairs in reversed(said))
    address, hops = _walk(peer, named, trusted)
    pairs = said[-max(hops, 1)] if said else {}
    return _client(address, pairs.get(b"proto", b""), pairs.get(b"host", b""))


def _pairs(element: bytes) -> dict[bytes, bytes]:
    """The parameters of an element; none, if one is malformed or comes twice."""
    pairs: dict[bytes, bytes] = {}
    at = 0
    while at < len(element):
        found = _PAIR.match(element, at)
        if found is None or found[1].lower() in pairs:
            return {}
        pairs[found[1].lower()] = found[3] if found[2] is None else found[2]
        at = found.end()
    return pairs


def _client(address: str, scheme: bytes, asked: bytes) -> Client:
    """With what is no scheme, or no host, left out."""
    scheme = scheme.lower()
    known = scheme if scheme in _SCHEMES else b"http"
    return Client(address, known, host_value(asked))

"""The client as trusted proxies describe it: address, scheme and host.

A proxy appends to X-Forwarded-For the address that a request came from. So the list is read from
the right: an element is believed if a trusted proxy has appended it. An element that is not an
address ends the reading, because the client may have made up what stands left of it.
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

# Stands for the address of a unix socket's peer (RFC 7239 §6.2).
UNKNOWN = "unknown"

# A name or an IPv6 address, and a port, which may be empty (RFC 9110 §7.2, RFC 3986 §3.2.2).
_AUTHORITY = re.compile(
    rb"((?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++|\[([0-9A-Fa-f:.]++)\])"
    rb"(?::[0-9]{1,5}+(?!:))?):?"
)

# A name of 253 characters (RFC 1035 §2.3.4) and a port.
_MAX_HOST_BYTES = 259

# Proxies name the last two for WebSockets, on the same two ports (RFC 6455 §3).
_SCHEMES = frozenset({b"http", b"https", b"ws", b"wss"})
_PROTECTED = frozenset({b"https", b"wss"})

# An address of 45 characters with a zone, a port and quotes.
_MAX_NODE_BYTES = 96

# Clients choose these texts, so the number of remembered ones is limited.
_MAX_REMEMBERED = 2048

# A node of RFC 7239 §6, or an IPv6 address without brackets, as most proxies write it.
_NODE = re.compile(
    rb"(?:([0-9.]++)|\[([0-9A-Fa-f:.]++)(?:%[A-Za-z0-9._~-]++)?\])(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]++))?"
    rb"|([0-9A-Fa-f:.]++)(?:%[A-Za-z0-9._~-]++)?"
)

# Of a longer way through proxies, the rest is not read.
_MAX_HOPS = 16

# RFC 7239 §4 without escapes, which no address needs. Values that should be quoted seldom are. An
# open quote is a byte like any other, so that it hides no element behind it.
_ELEMENT = re.compile(rb'(?:[^,"]++|"[^"]*+"|")++')
_PAIR = re.compile(rb'[ \t]*+([A-Za-z0-9_-]++)=(?:"([^"\\]*+)"|([^\s";,]++))[ \t]*+(?:;|\Z)')

_FOR, _REAL_IP = b"x-forwarded-for", b"x-real-ip"
_PROTO, _HOST = b"x-forwarded-proto", b"x-forwarded-host"
_FORWARDED, _OTHER_WAYS = b"forwarded", (b"x-forwarded-", b"x-real-ip")


class Trusted:
    """The networks whose proxies are believed.

    `unix` stands for the peers of unix sockets.
    """

    def __init__(self, places: Iterable[Network | Literal["unix"]]) -> None:
        known = tuple(places)
        self._networks = tuple(place for place in known if place != "unix")
        self._unix = "unix" in known
        # Most requests come by the same few proxies.
        self.includes: Callable[[str], bool] = lru_cache(_MAX_REMEMBERED)(self._includes)
        self.client_network: Callable[[str], str] = lru_cache(_MAX_REMEMBERED)(self._client_network)

    def _client_network(self, address: str) -> str:
        """The network of one client around an address (see `networks.network`).

        "" if the text is not an address, or if it is that of a proxy, which names no client.
        """
        network = networks.network(address)
        return "" if not network or self.includes(address) else network

    def _includes(self, address: str) -> bool:
        if address == UNKNOWN:
            return self._unix
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self._networks)


class Client(NamedTuple):
    """The client of a request, as far as it is known."""

    address: str  # UNKNOWN if the peer of a unix socket names no client
    scheme: bytes = b"http"
    host: bytes | None = None  # the host that it asked; None: the one in the request itself

    @property
    def is_protected(self) -> bool:
        """Whether TLS protects the way from the client."""
        return self.scheme in _PROTECTED


def client(
    peer: str, fields: Iterable[tuple[bytes, bytes]], trusted: Trusted, scheme: bytes = b"http"
) -> Client:
    """The client, as a trusted peer describes it.

    A proxy that sets X-Forwarded-* or X-Real-IP may pass a client's own Forwarded on. So Forwarded
    counts only in a request without the others.

    peer: the address of the trusted proxy
    fields: (name in lower case, value) of its forwarding fields
    trusted: the proxies that are believed
    scheme: of the proxy's own connection, for a proxy that names none
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    if _FORWARDED in values and not any(name.startswith(_OTHER_WAYS) for name in values):
        return _by_forwarded(peer, values[_FORWARDED], trusted, scheme)
    # Many proxies set only one of the two, and pass on the other as the client sent it.
    chain = _members(values[_FOR]) if _FOR in values else _members(values.get(_REAL_IP, ()))[-1:]
    address, hops = _walk(peer, map(node, reversed(chain)), trusted)
    schemes, hosts = _members(values.get(_PROTO, ())), _members(values.get(_HOST, ()))
    if len(chain) > hops:
        # The client may have begun the list.
        schemes = schemes[-max(hops, 1) :]
    # Some proxies append to the client's own X-Forwarded-Host, so the last one is our peer's.
    return _client(address, (schemes or [scheme])[0], (hosts or [b""])[-1])


def host_value(text: bytes) -> bytes | None:
    """A Host field's value without an empty port (RFC 3986 §6.2.3).

    None if it is malformed.
    """
    return _host_value(text) if len(text) <= _MAX_HOST_BYTES else _read_host_value(text)


def node(text: bytes) -> str | None:
    """The address in an element of X-Forwarded-For or in `for=`, without port.

    None if the element is not an address, or hides it (RFC 7239 §6).
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
    """An address without its zone.

    An IPv4-mapped IPv6 address becomes the IPv4 one.

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
    """The last members of a list in one or several lines (RFC 9110 §5.6.1)."""
    parts = b",".join(lines).rsplit(b",", _MAX_HOPS)
    return [member for part in parts if (member := part.strip(b" \t"))]


def _walk(peer: str, named: Iterable[str | None], trusted: Trusted) -> tuple[str, int]:
    """The client's address, and how many elements of a chain are believed.

    named: the addresses in the elements, from the right; None where an element has none
    """
    address, hops = peer, 0
    for before in named:
        if before is None or not trusted.includes(address):
            break
        address, hops = before, hops + 1
    return address, hops


def _by_forwarded(peer: str, lines: Iterable[bytes], trusted: Trusted, scheme: bytes) -> Client:
    """The client by Forwarded (RFC 7239), with an element for each proxy."""
    found = _ELEMENT.findall(b",".join(lines))
    elements = [element for element in found if element.strip(b" \t")]
    proxies = [_pairs(element) for element in elements[-_MAX_HOPS:]]
    named = (node(pairs.get(b"for", b"")) for pairs in reversed(proxies))
    address, hops = _walk(peer, named, trusted)
    pairs = proxies[-max(hops, 1)] if proxies else {}
    return _client(address, pairs.get(b"proto", scheme), pairs.get(b"host", b""))


def _pairs(element: bytes) -> dict[bytes, bytes]:
    """The parameters of an element; none if one is malformed or comes twice."""
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
    """The client, without a scheme or a host that is malformed."""
    scheme = scheme.lower()
    known = scheme if scheme in _SCHEMES else b"http"
    return Client(address, known, host_value(asked))

"""Types of addresses in config.yaml: of listeners, peers, servers and names."""

from __future__ import annotations

import grp
import re
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_interface
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.config.values import TEXT, OneOrMany, parsed
from gateway.core.http.addresses import (
    Address,
    ServerUrl,
    TcpAddress,
    parse_address,
    parse_dns_server,
    parse_server,
)

_REDIRECT = re.compile(r"https(?::([0-9]{1,5}))?")

_SOCKET_MODE = re.compile(r"0?[0-7]{3}")

_HOST_NAME = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def _host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("is no host: write client, upstream, or a name as in shop.internal:8080")
    return value


def _redirect_port(value: Any) -> int:
    """The port of `https` or `https:8443`."""
    found = _REDIRECT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[1] or 443) <= 65535:
        raise ValueError("is not a redirect: write https, or https:8443 for another port")
    return int(found[1] or 443)


def _socket_mode(value: Any) -> int:
    """Parse a mode in quotes.

    Without quotes, YAML 1.1 reads 0660 as 432, and 660 as 660.
    """
    if not isinstance(value, str) or not _SOCKET_MODE.fullmatch(value):
        raise ValueError('is not a mode: write it in quotes, as in "0660"')
    return int(value, 8)


# The highest number of 32 bits means "leave the group as it is" (chown(2)).
_MAX_GROUP = 2**32 - 2


def _group(value: Any) -> int:
    """The number of a group, from its number or name."""
    try:
        number = value if type(value) is int else grp.getgrnam(value).gr_gid
    except (KeyError, TypeError):
        raise ValueError("names no group of this machine") from None
    if not 0 <= number <= _MAX_GROUP:
        raise ValueError(f"is no number of a group: write 0 to {_MAX_GROUP}")
    return number


# A weight of more says nothing that a smaller one cannot say.
MAX_WEIGHT = 1000


def _weighted_server(value: Any) -> ServerUrl:
    """Parse a server: its URL, or `{url: …, weight: 3}`."""
    if isinstance(value, str):
        return parse_server(value)
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise ValueError(  # noqa: TRY004 (pydantic tells of ValueErrors alone)
            "is not a server: write its URL, or {url: http://host:port, weight: 2}"
        )
    if unknown := sorted(map(str, value.keys() - {"url", "weight"})):
        raise ValueError(f"has an unknown key: {unknown[0]} (a server has url and weight)")
    weight = value.get("weight", 1)
    if type(weight) is not int or not 1 <= weight <= MAX_WEIGHT:
        raise ValueError(f"needs a weight from 1 to {MAX_WEIGHT}")
    return replace(parse_server(value["url"]), weight=weight)


def _address(value: Any) -> Address:
    """Parse an address. A number is a port without a colon.

    `parse_address` explains such a mistake.
    """
    return parse_address(str(value) if isinstance(value, str | int) else "")


_NO_NETWORK = "is not a network: write an address, 10.0.0.0/8, or unix"

_MAPPED_PREFIX_BITS = 96  # of ::ffff:0:0/96


def _peers(value: Any) -> IPv4Network | IPv6Network | Literal["unix"]:
    """Parse an address, a network such as 10.0.0.0/8, or `unix`."""
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be a text")
    if value == "unix":
        return "unix"
    try:
        interface = ip_interface(value)
    except ValueError:
        raise ValueError(_NO_NETWORK) from None
    network = interface.network
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        raise ValueError(_NO_NETWORK)
    if interface.ip != network.network_address:
        raise ValueError(f"is an address in a network: write {network}, or leave out its length")
    return _unmapped(network)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The IPv4 network of an IPv4-mapped one (RFC 4291 §2.5.5.2).

    Peers have IPv4 addresses.
    """
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    bits = network.prefixlen - _MAPPED_PREFIX_BITS
    return network if mapped is None or bits < 0 else IPv4Network((mapped, bits))


ListenAddress = Annotated[
    Address, BeforeValidator(_address), PlainSerializer(str), WithJsonSchema(TEXT)
]

RedirectPort = Annotated[
    int,
    BeforeValidator(_redirect_port),
    WithJsonSchema({**TEXT, "pattern": f"^{_REDIRECT.pattern}$"}),
]

SocketMode = Annotated[
    int,
    BeforeValidator(_socket_mode),
    PlainSerializer(lambda mode: f"{mode:04o}"),
    WithJsonSchema({**TEXT, "pattern": f"^{_SOCKET_MODE.pattern}$"}),
]

Group = Annotated[int, BeforeValidator(_group), WithJsonSchema({"type": ["string", "integer"]})]

Peers = Annotated[IPv4Network | IPv6Network | Literal["unix"], BeforeValidator(_peers)]

HostName = Annotated[str, AfterValidator(_host_name)]

Networks = Annotated[tuple[Peers, ...], OneOrMany()]

TlsName = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9:._-]*$")]

DnsServer = Annotated[TcpAddress, *parsed(parse_dns_server, TEXT)]

WeightedServer = Annotated[
    ServerUrl,
    BeforeValidator(_weighted_server),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "anyOf": [
                TEXT,
                {
                    "type": "object",
                    "properties": {
                        "url": TEXT,
                        "weight": {"type": "integer", "minimum": 1, "maximum": MAX_WEIGHT},
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]

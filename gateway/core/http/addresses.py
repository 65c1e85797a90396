"""Addresses in config.yaml: of listeners and of upstream servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Literal

_HOST_PORT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?\]|[A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})"
)
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<base>(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)*)/?"
)
_DNS_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+)(?::(?P<port>[0-9]{1,5}))?")
# What the URL standard calls a host that ends in a number: it is an address, or an error.
_NUMBER = re.compile(r"0[xX](?P<hex>[0-9A-Fa-f]*)|0(?P<octal>[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_SYSTEMD = "systemd"
_SYSTEMD_NAME = re.compile(r"[!-9;-~]{1,255}")  # FileDescriptorName= (systemd.socket(5))
MAX_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (to be compared with)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Of a name that DNS can hold, and of a part of it (RFC 1035 §2.3.4). Its dots are one byte each.
_MAX_NAME_BYTES = 253
_MAX_LABEL_BYTES = 63

# sun_path holds 108 bytes with its NUL (unix(7)).
MAX_UNIX_PATH_BYTES = 107

# The kernel keeps so many connections until they are accepted.
BACKLOG = 1024


class BadAddress(ValueError):
    """The text is not an address. The message says how to write one."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of one certificate with its chain, and of its key."""

    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True)
class Entrance:
    """What connections to an address begin with, and what they are for.

    certificates: for TLS; the first one is for names that none of them has
    min_version: the oldest version of TLS that is spoken
    redirect: the port of HTTPS to which requests are redirected; 0 if they are served
    proxy_protocol: whether a PROXY header of a trusted proxy comes first
    """

    certificates: tuple[CertificateFiles, ...] = ()
    min_version: Literal["1.2", "1.3"] = "1.2"
    redirect: int = 0
    proxy_protocol: bool = False


PLAIN = Entrance()  # HTTP without anything before it


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (empty for every interface) and a port to listen on."""

    host: str
    port: int
    entrance: Entrance = PLAIN

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket to listen on: its path, and who may connect (unix(7))."""

    path: str
    mode: int = 0o600
    group: int | None = None  # the group's number; None: the group of the process
    entrance: Entrance = PLAIN

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class SystemdAddress:
    """Sockets that systemd opens and hands over (sd_listen_fds(3)).

    name: their FileDescriptorName; "" for all that were handed over
    """

    name: str = ""
    entrance: Entrance = PLAIN

    def __str__(self) -> str:
        return f"{_SYSTEMD}:{self.name}" if self.name else _SYSTEMD


Address = TcpAddress | UnixAddress | SystemdAddress


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """One server of an upstream.

    A unix socket has a `path`, all others have a `host` and a `port`.

    base: the path below which it is reached; "" for its root
    weight: its part of the requests, beside the others' weights
    locations: the addresses that it was resolved to; servers with a common one are the same server
    """

    scheme: Literal["http", "https", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""
    base: str = ""
    weight: int = field(default=1, compare=False)
    locations: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{self.authority}{self.base}"

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def has_name(self) -> bool:
        """Whether its host is a name, which may have several addresses."""
        return self.scheme != "unix" and not _is_numeric(self.host)

    @property
    def authority(self) -> str:
        """The Host field for this server (RFC 9110 §7.2).

        `localhost` for a unix socket.
        """
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def _is_numeric(host: str) -> bool:
    """Whether a host is an address, in any spelling that the system takes (inet_aton(3))."""
    return ":" in host or _ENDS_IN_NUMBER.fullmatch(host) is not None


def parse_dns_server(text: str) -> TcpAddress:
    """Read the address of a DNS server: an IP address, with a port other than 53 behind it.

    Raises `BadAddress`.
    """
    found = _DNS_SERVER.fullmatch(text)
    try:
        host = str(ip_address(found["host"].strip("[]"))) if found else ""
    except ValueError:
        host = ""
    port = int(found["port"] or 53) if found else 0
    if not host or not 1 <= port <= MAX_PORT:
        raise BadAddress("is not a DNS server: write 10.0.0.2, 10.0.0.2:53 or [::1]:53")
    return TcpAddress(host, port)


def parse_address(text: str) -> Address:
    """Read a listener's address.

    `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every interface), `unix:/path`, `systemd` or
    `systemd:name`.

    Raises `BadAddress`.
    """
    if text.startswith("unix:"):
        return UnixAddress(_unix_path(text[5:]))
    scheme, colon, name = text.partition(":")
    if scheme == _SYSTEMD and not name.isdigit():  # else a port of a host with that name
        if colon and not _SYSTEMD_NAME.fullmatch(name):
            raise BadAddress("needs a name behind systemd: that of FileDescriptorName in its unit")
        return SystemdAddress(name)
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise BadAddress("is not an address: write host:port, :port, unix:/path or systemd")
    if not 1 <= int(found["port"]) <= MAX_PORT:
        raise BadAddress(f"needs a port from 1 to {MAX_PORT}")
    return TcpAddress(_one_spelling(found["host"].strip("[]")), int(found["port"]))


def _one_spelling(host: str) -> str:
    """A host, so that equal ones are the same text. An IPv6 address has many (RFC 5952).

    An IPv4 address in IPv6 is that of IPv4, since a socket for IPv6 alone cannot have it.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower()
    return str(getattr(address, "ipv4_mapped", None) or address)


def are_one(one: Address, other: Address) -> bool:
    """Whether two listeners take the same connections.

    Of an address and of all, the kernel prefers the former. `::` takes IPv4 as well.
    """
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return overlap(one, other)
    hosts = {one.host, other.host}
    same = len(hosts) == 1 or hosts <= _EVERY_INTERFACE
    return one.port == other.port and (same or ("localhost" in hosts and hosts <= _LOOPBACK))


def overlap(one: Address, other: Address) -> bool:
    """Whether a listener on one may take connections to the other address."""
    if isinstance(one, SystemdAddress) and isinstance(other, SystemdAddress):
        return one.name == other.name or not (one.name and other.name)
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return str(one) == str(other)
    hosts = {one.host, other.host}
    same = len(hosts) == 1 or bool(hosts & _EVERY_INTERFACE) or hosts <= _LOOPBACK
    return same and one.port == other.port


def parse_server(text: str) -> ServerUrl:
    """Read a server's URL.

    `http://host:port`, `https://host/base` or `unix:/path`.

    Raises `BadAddress`.
    """
    if text.startswith("unix:"):
        return ServerUrl("unix", path=_unix_path(text[5:].removeprefix("//")))
    found = _URL.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or 1) <= MAX_PORT:
        raise BadAddress("is not a server: write http://host:port, https://host or unix:/path")
    _check_host(found["host"])
    if {".", ".."} & {*found["base"].split("/")}:
        raise BadAddress("has a path with dots: write where they lead")
    scheme: Literal["http", "https"] = "https" if found["scheme"] == "https" else "http"
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    return ServerUrl(scheme, found["host"].strip("[]"), port, base=found["base"])


def _check_host(host: str) -> None:
    """Refuse what no system connects to. Raises `BadAddress`."""
    if host.startswith("["):
        _check_ipv6(host.strip("[]"))
    elif _is_numeric(host):
        if not _is_ipv4(host):
            raise BadAddress(f"has a host that is no IPv4 address: {host}")
    elif len(host) > _MAX_NAME_BYTES or not all(
        1 <= len(label) <= _MAX_LABEL_BYTES for label in host.removesuffix(".").split(".")
    ):
        raise BadAddress(
            "has a host that is no name: between its dots stand 1 to 63 letters, 253 in all"
        )


def _check_ipv6(host: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        raise BadAddress(f"has a host that is no IPv6 address: {host}") from None


def _is_ipv4(host: str) -> bool:
    """Whether it is an address in a spelling that inet_aton(3) takes."""
    parts = [_NUMBER.fullmatch(part) for part in host.removesuffix(".").split(".")]
    if len(parts) > 4:
        return False
    limits = [2**8] * (len(parts) - 1) + [2 ** (8 * (5 - len(parts)))]
    return all(
        part is not None and _value(part) < limit for part, limit in zip(parts, limits, strict=True)
    )


def _value(number: re.Match[str]) -> int:
    kind = number.lastgroup or "decimal"
    return int(number[kind] or "0", {"hex": 16, "octal": 8, "decimal": 10}[kind])


def share_a_server(one: Sequence[ServerUrl], other: Sequence[ServerUrl]) -> bool:
    """Whether two upstreams share a server, even by different addresses."""
    return one == other or not _locations(one).isdisjoint(_locations(other))


def _locations(servers: Sequence[ServerUrl]) -> frozenset[str]:
    return frozenset().union(*(server.locations for server in servers))


def _unix_path(path: str) -> str:
    if not path.startswith("/"):
        raise BadAddress("is not a unix socket: write unix:/absolute/path")
    if len(path.encode()) > MAX_UNIX_PATH_BYTES:
        raise BadAddress(f"is too long for a unix socket: at most {MAX_UNIX_PATH_BYTES} bytes")
    return str(PurePosixPath(path))  # without `//` and `/./`: one spelling

"""Recognising one server by all its addresses.

A rule about a server (for example: no route reaches its login) holds for each of its names and for
each link to its socket. So names are resolved once, when the configuration is read. A server whose
name does not resolve may be any other server on its port, and so may one that is looked up again
(`resolve`): it may lead there later.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.config.model import Config
from gateway.core.http.addresses import ServerUrl

# For all names together: a name server that does not answer must not delay the start.
_RESOLVING_SECONDS = 2.0

# So many names are resolved at the same time.
_MAX_THREADS = 32

# This machine: a server that listens on 0.0.0.0 has all its addresses.
_HERE = "here"

# A server that speaks HTTP on port 80 mostly speaks HTTPS on 443.
_SAME_PORT = {443: 80}


def with_locations(config: Config) -> Config:
    """Add locations to the servers. Servers that share one are the same."""
    servers = [url for upstream in config.upstreams.values() for url in upstream.servers]
    moving = {
        _name(url)
        for upstream in config.upstreams.values()
        if upstream.resolve is not None
        for url in upstream.servers
        if url.has_name
    }
    locations = _locations(servers, moving)
    upstreams = {
        name: upstream.model_copy(
            update={
                "servers": tuple(replace(url, locations=locations[url]) for url in upstream.servers)
            }
        )
        for name, upstream in config.upstreams.items()
    }
    return config.model_copy(update={"upstreams": upstreams})


def _locations(
    servers: Sequence[ServerUrl], moving: AbstractSet[str]
) -> dict[ServerUrl, frozenset[str]]:
    names: dict[int, set[str]] = {}  # by port
    for url in servers:
        if url.scheme != "unix":
            names.setdefault(_port(url), set()).add(_name(url))
    # A name that is alone on its port is not resolved: no other is there to compare it with.
    compared = {name for others in names.values() if len(others) > 1 for name in others}
    hosts = _resolved(compared - moving)
    found: dict[ServerUrl, frozenset[str]] = {}
    for url in servers:
        if url.scheme == "unix":
            found[url] = frozenset(_of_socket(url.path))
            continue
        own, others = _name(url), names[_port(url)]
        known = len(others) == 1 or own in hosts
        found[url] = frozenset(
            f"{host}:{_port(url)}"
            for name in ((own,) if known else others)
            for host in (name, *hosts.get(name, ()))
        )
    return found


def _port(url: ServerUrl) -> int:
    return _SAME_PORT.get(url.port, url.port)


def _name(url: ServerUrl) -> str:
    """The host in lower case (RFC 9110 §4.2.3), without a dot at its end."""
    return url.host.lower().rstrip(".")


def _resolved(names: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The addresses of the names that resolve in time."""
    found: dict[str, frozenset[str]] = {}
    left: list[str] = []

    def resolve() -> None:
        while True:
            try:
                name = left.pop()
            except IndexError:
                return
            with contextlib.suppress(OSError, UnicodeError):
                infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                found[name] = frozenset(_host(str(address[0])) for *_, address in infos)

    for name in set(names):
        if name == "localhost" or name.endswith(".localhost"):
            found[name] = frozenset({_HERE})  # RFC 6761 §6.3
        else:
            left.append(name)
    # Daemons, unlike an executor's: a name that hangs does not hold up the end of the process.
    count = min(len(left), _MAX_THREADS)
    resolvers = [threading.Thread(target=resolve, daemon=True) for _ in range(count)]
    for resolver in resolvers:
        resolver.start()
    until = time.monotonic() + _RESOLVING_SECONDS
    for resolver in resolvers:
        resolver.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _host(address: str) -> str:
    """`_HERE` for this machine, else the address in its shortest form.

    An IPv4-mapped IPv6 address counts as IPv4.
    """
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return _HERE if ip.is_loopback or ip.is_unspecified or _is_own(ip) else str(ip)


def _is_own(ip: IPv4Address | IPv6Address) -> bool:
    """Whether a socket can be bound to the address: it is this machine's."""
    family = socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True


def _of_socket(path: str) -> Iterable[str]:
    """The resolved path of a unix socket, and its inode if it exists."""
    yield f"unix:{os.path.realpath(path)}"
    with contextlib.suppress(OSError):
        status = os.stat(path)
        yield f"inode:{status.st_dev}:{status.st_ino}"

"""Where the servers of upstreams are, so that one server is known by all its addresses.

What holds at a server (no route reaches its login) holds however its address is written, by each of
its names, and over each link to its socket. So names are resolved once, when the configuration is
read. A server that cannot be found then may be any other one on its port.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.config.model import Config
from gateway.core.http.addresses import ServerUrl

# How long all names together may take, so that a name server that is away holds up no start.
_RESOLVING_SECONDS = 2.0

# This machine, under all its addresses: a server that listens on 0.0.0.0 has each of them.
_HERE = "here"

# Servers that speak HTTP on one of these mostly speak HTTPS on the other.
_SAME_PORT = {443: 80}


def with_places(config: Config) -> Config:
    """The configuration with the places of each server: servers that share one are the same."""
    servers = [url for upstream in config.upstreams.values() for url in upstream.servers]
    places = _places(servers)
    upstreams = {
        name: upstream.model_copy(
            update={"servers": tuple(replace(url, places=places[url]) for url in upstream.servers)}
        )
        for name, upstream in config.upstreams.items()
    }
    return config.model_copy(update={"upstreams": upstreams})


def _places(servers: Sequence[ServerUrl]) -> dict[ServerUrl, frozenset[str]]:
    names: dict[int, set[str]] = {}  # by port
    for url in servers:
        if url.scheme != "unix":
            names.setdefault(_port(url), set()).add(_name(url))
    # A name that stands alone on its port needs no address to be compared by.
    hosts = _resolved(name for others in names.values() if len(others) > 1 for name in others)
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
    """The host as names are compared (RFC 9110 §4.2.3); a full stop at the end ends it."""
    return url.host.lower().rstrip(".")


def _resolved(names: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The hosts of those names that can be resolved in time."""
    found: dict[str, frozenset[str]] = {}

    def resolve(name: str) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found[name] = frozenset(_host(str(address[0])) for *_, address in infos)

    resolvers = []
    for name in set(names):
        if name == "localhost" or name.endswith(".localhost"):
            found[name] = frozenset({_HERE})  # RFC 6761 §6.3
        else:
            resolvers.append(threading.Thread(target=resolve, args=(name,), daemon=True))
    for resolver in resolvers:
        resolver.start()
    until = time.monotonic() + _RESOLVING_SECONDS
    for resolver in resolvers:
        resolver.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _host(address: str) -> str:
    """This machine, or the address in its shortest spelling; IPv4 in IPv6 is IPv4."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return _HERE if ip.is_loopback or ip.is_unspecified or _is_own(ip) else str(ip)


def _is_own(ip: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of this machine: to no other can a socket be bound (bind(2))."""
    family = socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True


def _of_socket(path: str) -> Iterable[str]:
    """A unix socket's path without links, and the file itself, if it is there already."""
    yield f"unix:{os.path.realpath(path)}"
    with contextlib.suppress(OSError):
        status = os.stat(path)
        yield f"inode:{status.st_dev}:{status.st_ino}"

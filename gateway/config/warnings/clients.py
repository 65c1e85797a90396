"""Warnings about clients: which addresses are believed, and how much one may take."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.address_values import Networks
from gateway.config.document import Document, Where
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.units import WHOLE
from gateway.core.http.addresses import UnixAddress

# By IP version: the largest private networks are 10.0.0.0/8 and fc00::/7 (RFC 1918, RFC 4193).
# A network with a shorter prefix has more than one owner.
_MIN_PREFIX_BITS = {4: 8, 6: 7}

_OTHERS_MAY_CONNECT = 0o002  # a bit of a unix socket's mode (unix(7))


def client_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find clients that are believed, and those that may take too much."""
    yield from _unbounded_clients(config, document)
    yield from _trust(config, document)


def _unbounded_clients(config: Config, document: Document) -> Iterator[Problem]:
    if config.limits.per_address == WHOLE:
        yield document.problem(
            ("limits", "per_address"),
            "lets one client take an upstream, or the login, from all others; a proxy that all "
            "clients come through belongs in trusted_proxies",
        )
    if config.limits.min_rate == 0:
        yield document.problem(
            ("limits", "min_rate"),
            "lets a client hold a connection to an upstream by sending a byte now and then",
        )


def _trust(config: Config, document: Document) -> Iterator[Problem]:
    """Trusted proxies: the gateway must believe proxies, and no client."""
    proxies = config.trusted_proxies
    yield from _large_networks(("trusted_proxies",), proxies, document)
    if config.verify is not None:
        yield from _large_networks(("verify", "trusted"), config.verify.trusted, document)
    for at, address in enumerate(config.listen):
        if not isinstance(address, UnixAddress):
            continue
        if "unix" not in proxies:
            yield document.problem(
                ("listen", at),
                "gives all clients one address, so one can lock out others: "
                "add trusted_proxies: unix if a proxy connects there",
            )
        elif address.mode & _OTHERS_MAY_CONNECT:
            yield document.problem(
                ("listen", at),
                "lets any process of this machine choose its address: remove others from its mode",
            )


def _large_networks(where: Where, trusted: Networks, document: Document) -> Iterator[Problem]:
    for at, peers in enumerate(trusted):
        if peers != "unix" and peers.prefixlen < _MIN_PREFIX_BITS[peers.version]:
            yield document.problem(
                (*where, at),
                "trusts clients as well, who could choose their addresses: name only proxies",
            )

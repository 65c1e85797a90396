"""The hosts of routes: `shop.example`, and `*.example.com` for all names below.

A host is compared without case, port and a full stop at the end. An IPv6 address has one spelling.
"""

from __future__ import annotations

import ipaddress
import re

# A name or an IPv4 address; anything else, an escape for one, has several readings.
_NAME = re.compile(rb"(?=.{1,253}\Z)[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+")
_PORT = re.compile(rb":[0-9]*+\Z")


class AmbiguousHost(ValueError):
    """Backends may read another host than the gateway does."""


def plain(host: bytes) -> bytes:
    """The one spelling of a Host field's value. Raises `AmbiguousHost`."""
    host = _PORT.sub(b"", host).lower()
    if host[:1] == b"[":
        try:
            return b"[%b]" % ipaddress.IPv6Address(host[1:-1].decode()).compressed.encode()
        except ValueError:
            raise AmbiguousHost from None
    host = host.removesuffix(b".")
    if not _NAME.fullmatch(host):
        raise AmbiguousHost
    return host


def parse(text: str) -> str:
    """A host of config.yaml in its one spelling. Raises `ValueError`."""
    name = text.removeprefix("*.")
    if not name.isascii():
        raise ValueError("is not ASCII: write the name as DNS has it, xn--…")
    try:
        found = plain(name.encode()).decode()
    except AmbiguousHost:
        raise ValueError("is not a host: write shop.example, or *.example.com") from None
    if found != name.lower().removesuffix(".") and not name.startswith("["):
        raise ValueError("is a host without a port: routes serve all ports")
    if name != text and (found.startswith("[") or found[-1].isdigit()):
        raise ValueError("is an address, with no names below it")
    return text[: len(text) - len(name)] + found


def above(host: bytes) -> list[bytes]:
    """The patterns `*.…` that a host fits, the longest first."""
    labels = host.split(b".")
    return [b"*." + b".".join(labels[at:]) for at in range(1, len(labels))]

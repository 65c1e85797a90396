"""Whose login a client attempts, and from where: what failed logins are counted by.

Only a backend knows what it reads of a request. So whatever could be read as an account's name
counts as one, and an attempt of which nothing can be read is an attempt at `HIDDEN`: hiding a name,
or putting others beside it, gains a guesser at one address nothing. Over many addresses `HIDDEN` is
not counted, for it may be everybody where a backend calls names by another name than is configured.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import parse_qsl

from gateway.core import json_text, multipart
from gateway.core.json_text import NotJson

HIDDEN = ""

# Reading takes time that others wait for; no login form is larger than this, in bytes.
_MOST_READ = 8192

# A login names one account, or one in two fields. Who names more hides which one is meant.
_MOST_ACCOUNTS = 4

# In other charsets a name can be spelled in many ways that backends read alike.
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"})
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)

# The last part of names such as `user[email]` and `user.email`.
_NAME_PARTS = re.compile(r"[^\[\].]+")

# RFC 6177 §2: a home gets a /64 at the least, so one client has all the addresses in it.
_HOME_BITS = 64


def typed(
    names: Collection[str],
    *,
    query: str,
    content_type: str,
    content_encoding: str,
    authorization: str,
    body: bytes,
) -> frozenset[str]:
    """The accounts that a request to log in may mean, folded; those that are called `names`.

    `query` has its question mark; the other texts are the fields of these names, or empty.
    """
    wanted = {name.casefold() for name in names}
    found = set(_in_basic(authorization))
    if len(body) <= _MOST_READ and not content_encoding and _is_plain(content_type):
        pairs = [*_in_form(query[1:]), *_in_body(content_type, body)]
        found |= {folded(value) for name, value in pairs if _last(name) in wanted}
    found -= {HIDDEN}
    return frozenset(found) if 0 < len(found) <= _MOST_ACCOUNTS else frozenset({HIDDEN})


def folded(name: str) -> str:
    """An account's name without what some backend may not tell apart: case, accents, width, and
    what cannot be seen.
    """
    # Character by character: putting a row of accents in order takes time with its square.
    characters = "".join(unicodedata.normalize("NFKD", each) for each in name).casefold()
    return "".join(
        each
        for each in characters
        if each.isprintable() and not each.isspace() and not unicodedata.combining(each)
    )


def network(address: str) -> str:
    """What one client has of the addresses around this one; nothing, if it is none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _HOME_BITS), strict=False))


def _is_plain(content_type: str) -> bool:
    charset = _CHARSET.search(content_type)
    return charset is None or charset[1].lower() in _CHARSETS


def _last(name: str) -> str:
    parts = _NAME_PARTS.findall(name)
    return parts[-1].strip().casefold() if parts else ""


def _in_basic(authorization: str) -> Iterator[str]:
    """RFC 7617 §2."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(credentials).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield folded(text.partition(":")[0])


def _in_body(content_type: str, body: bytes) -> Iterable[tuple[str, str]]:
    """Names and values by each way of reading, whatever the body claims to be."""
    yield from _in_form(body.decode("utf-8", "replace"))
    yield from _in_json(body)
    if content_type.strip().lower().startswith("multipart/"):
        yield from multipart.fields(content_type, body)


def _in_form(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, errors="replace")


def _in_json(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        text = body.decode(json.detect_encoding(body))
        strings = json_text.strings(text)
    except (NotJson, ValueError):
        return
    for string in strings:
        if not string.is_name:
            yield string.name, string.value

"""The grammar of HTTP/1.1 heads.

No other module knows how a head is spelled.

A head is accepted only if RFC 9112 §3 and §5 describe all of its bytes. There is no recovery and no
leniency, because request smuggling needs two parsers that forgive different faults. (Answers of
`lenient` upstreams are the exception.) From the first byte that the field pattern does not
describe, the rest is one match with an empty name: to try again at each byte would take a time that
grows with the square of the size.

nginx and h11 refuse the same heads. The tests compare with llhttp. It is not used here, because it
reports neither the end of a head nor the bytes of a field, and a relay needs both: it passes fields
byte for byte, and bodies without parsing them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from gateway.relay.http1 import broken_rules

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"

# RFC 9112 §3.2 allows ASCII alone. Other bytes may come in a query, since no route depends on it.
# Backends differ about their meaning in a path.
_TARGET = rb"[\x21\x22\x24-\x3e\x40-\x7e]++(?:\?[\x21\x22\x24-\x7e\x80-\xff]*+)?+"

# A minor version above 1.1, the highest known one, is read as 1.1 (RFC 9110 §2.5).
_REQUEST_LINE = re.compile(rb"(%b{1,64}+) (%b) HTTP/1\.([0-9])\r\n" % (TOKEN, _TARGET))

# A status above 599 is unknown, and passes as with nginx and HAProxy (RFC 9110 §15).
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])( [\t\x20-\x7e\x80-\xff]*+)?\r\n")

# `lenient` upstreams may send LF for CRLF.
_LENIENT_HEAD_END = re.compile(rb"\n\r?\n")
_LF = re.compile(rb"(?<!\r)\n")

_FIELDS = re.compile(rb"((%b++):[\t\x20-\x7e\x80-\xff]*+\r\n)|[\s\S]++" % TOKEN)

# The field lines between two offsets of some bytes, as (line with its CRLF, name). Bytes that are
# no field line come as a last pair with an empty name. This is the pattern's own method, because a
# function around it would cost two calls for each request.
fields = _FIELDS.findall

# A request line of another version, which gets a status of its own.
_OTHER_VERSION = re.compile(
    rb"%b+ %b HTTP/(?!1\.[0-9]\r)[0-9]+(?:\.[0-9]+)?\r\n" % (TOKEN, _TARGET)
)
_NO_TOKEN_START = re.compile(rb"(?!%b)" % TOKEN)

# RFC 9110 §8.6 sets no limit. All backends can count with a signed number of 64 bits.
_MAX_LENGTH = 2**63 - 1
_MAX_LENGTH_DIGITS = 19

HEAD_END = b"\r\n\r\n"

# Empty lines before a request line are ignored (RFC 9112 §2.2).
EMPTY_LINES = re.compile(rb"(?:\r\n)++")


class Malformed(Exception):
    """The bytes are no HTTP/1.1 message.

    `rule` names the broken rule for the log. The error holds no part of the bytes.
    """

    def __init__(self, rule: str = broken_rules.UNKNOWN) -> None:
        super().__init__(rule)
        self.rule = rule


class OtherVersion(Malformed):
    """A well-formed request line of another HTTP version."""


def request_line(data: bytes) -> tuple[bytes, bytes, bytes, int]:
    """(method, target, minor version, offset of the fields) of a request."""
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise OtherVersion if _OTHER_VERSION.match(data) else Malformed
    method, target, minor = line.groups()
    return method, target, minor, line.end()


def status_line(data: bytes) -> tuple[bytes, int, bytes, int]:
    """(minor version, status, reason, offset of the fields) of a response.

    The reason has its leading space.
    """
    end = data.find(b"\r\n") + 2
    try:
        minor, status, reason = _status_line(data[:end])
    except Malformed:
        raise Malformed(broken_rules.of_status_line(data)) from None
    return minor, status, reason, end


@lru_cache(maxsize=64)
def _status_line(line: bytes) -> tuple[bytes, int, bytes]:
    """An upstream sends a few different ones."""
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise Malformed
    minor, status, reason = found.groups()
    return minor, int(status), reason or b" "


def with_crlf(data: bytes, read: int = 0) -> bytes:
    """Write CRLF where a line of the head ends in LF alone (RFC 9112 §2.2).

    read: so many bytes of an unfinished head are in this form already
    """
    end = _LENIENT_HEAD_END.search(data, max(read - 3, 0))
    size = len(data) if end is None else end.end()
    start = read - 1 if data[read - 1 : read] == b"\r" else read
    return data[:start] + _LF.sub(b"\r\n", data[start:size]) + data[size:]


def value(line: bytes, name: bytes) -> bytes:
    """A field's value without the white space around it (RFC 9112 §5)."""
    return line[len(name) + 1 : -2].strip()  # the pattern allows no white space but SP and HTAB


def length(text: bytes) -> int:
    """A Content-Length, which has digits alone (RFC 9110 §8.6).

    Raises `Malformed`.
    """
    if not text.isdigit() or len(text) > _MAX_LENGTH_DIGITS or (found := int(text)) > _MAX_LENGTH:
        raise Malformed("a length is no number (RFC 9110 §8.6)")
    return found


def tokens(text: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case (RFC 9110 §5.6.1)."""
    return [member for part in text.lower().split(b",") if (member := part.strip(b" \t"))]


class HasConnection(Protocol):
    """The attributes of a head that a Connection field sets."""

    keep_alive: bool
    close: bool
    named: tuple[bytes, ...]


def connection(head: HasConnection, name: bytes, line: bytes) -> None:
    """Read a Connection field of either side (RFC 9110 §7.6.1)."""
    options = value(line, name).lower()
    if options == b"keep-alive":
        head.keep_alive = True
    elif options == b"close":
        head.close = True
    else:
        named = tokens(options)
        head.named += tuple(named)
        head.close = head.close or b"close" in named
        head.keep_alive = head.keep_alive or b"keep-alive" in named


def check_beginning(data: bytes) -> None:
    """Raises `Malformed` once an unfinished head can no longer become valid.

    Without it, a client that ends its lines with LF alone would wait for the head timeout. The
    check runs for each piece of a head, so it counts lines: a pattern takes 30 times as long.
    """
    lines, cr_at_end = data.count(b"\r\n"), data.endswith(b"\r")
    if data.count(b"\n") != lines or data.count(b"\r") - cr_at_end != lines:
        raise Malformed(broken_rules.of_beginning(data))
    if _NO_TOKEN_START.match(data):
        raise Malformed("it does not begin like a message of HTTP (RFC 9112 §2.1)")

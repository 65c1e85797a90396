"""The rules that malformed heads break, in words for the log.

Nothing of a head is repeated.
"""

from __future__ import annotations

import re

from gateway.observe import causes

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINE = re.compile(rb"HTTP/(?P<version>[0-9.]+) (?P<status>[0-9]+)(?: |\Z)")

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

UNKNOWN = "it is malformed"
_BARE_LF = "a line ends in LF without CR (RFC 9112 §2.2)"
_BARE_CR = "a CR stands without LF (RFC 9112 §2.2)"


def of_status_line(data: bytes) -> str:
    """The fault in the first line of an answer."""
    line, lf, _ = data.partition(b"\n")
    found = _STATUS_LINE.match(line.removesuffix(b"\r"))
    if found is None:
        return "the first line is no status line (RFC 9112 §4)"
    if lf and not line.endswith(b"\r"):
        return _BARE_LF
    if b"\r" in line[:-1]:
        return _BARE_CR
    if not found["version"].startswith(b"1."):
        return "the status line is of another HTTP version (RFC 9110 §2.5)"
    if len(found["status"]) != 3 or not found["status"] >= b"100":
        return causes.BAD_STATUS
    return "the reason holds a control byte (RFC 9112 §4)"


def of_fields(lines: bytes) -> str:
    """The fault in the first line that is no field line."""
    return next(filter(None, map(_of_field, lines.split(b"\r\n"))), UNKNOWN)


def of_beginning(data: bytes) -> str:
    """The fault in the beginning of an answer whose head has not ended."""
    return _BARE_LF if re.search(rb"(?<!\r)\n", data) else _BARE_CR


def _of_field(line: bytes) -> str:
    """The fault in a line; "" if it is a field line."""
    name, colon, value = line.partition(b":")
    if b"\n" in line:
        return _BARE_LF
    if b"\r" in line:
        return _BARE_CR
    if line[:1] in (b" ", b"\t"):
        return "a field line is folded (RFC 9112 §5.2)"
    if not colon:
        return "a field line has no colon (RFC 9112 §5)"
    if name.endswith((b" ", b"\t")):
        return "white space stands before a colon (RFC 9112 §5.1)"
    if not _TOKEN.fullmatch(name):
        return "a field's name holds a byte that no name has (RFC 9110 §5.1)"
    return "a field's value holds a control byte (RFC 9110 §5.5)" if _CONTROL.search(value) else ""

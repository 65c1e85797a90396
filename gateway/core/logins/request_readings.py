"""All ways in which a backend may read a request.

A backend reads a request in steps: the percent-encoding of a form, the JSON in it, the base64 in
that. Here a request is read in all ways that a few such steps give, in any order. The work is
linear in the size of the request, and bounded.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

import brotli

from gateway.core.http.charsets import codec

# Steps of decoding that a backend may take one after the other. Repeated percent-encoding, and
# repeated escapes by backslashes, are one step.
MAX_STEPS = 4

# In characters, of all readings together. An ordinary request of the default size (1 MiB) has at
# most half of this.
MAX_READ = 16 * 2**20

# In characters. Of a longer text, only the legible parts are decoded further.
MAX_ALL_LEGIBLE = 2**18

# The size of an unpacked body (bytes), and the members of gzip in it.
MAX_UNPACKED = 2 * 2**20
MAX_MEMBERS = 16

# In characters. 16 of base64 hold 12, which are enough to tell a secret.
_MIN_BASE64 = 16
_MIN_LEGIBLE = 12

_ILLEGIBLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]+")
_PERCENT_TWICE = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")
_PERCENT_U = re.compile(r"%u([0-9A-Fa-f]{4})")
_BACKSLASH = re.compile(
    r"(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|u\{0*+([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|[bfnrt])"
)
_ENTITY = re.compile(
    r"&(?:amp;)*+(?:#[xX]0*+([0-9A-Fa-f]{1,6});?|#0*+([0-9]{1,7});?|([A-Za-z]{2,8});)"
)
# The named entities of the characters of tokens and of their escapes (HTML §13.5).
_ENTITIES = {
    "amp": "&",
    "bsol": "\\",
    "fjlig": "fj",
    "lowbar": "_",
    "num": "#",
    "percnt": "%",
    "period": ".",
    "UnderBar": "_",
}
_BASE64 = tuple(re.compile(rf"[A-Za-z0-9{more}]{{{_MIN_BASE64},}}+") for more in ("+/", "_-"))
_URL_SAFE = str.maketrans("-_", "+/")
_LINE_BREAK = re.compile(r"(?<=[A-Za-z0-9+/_-])\r?\n(?=[A-Za-z0-9+/_-])")

# In parts of forms (RFC 2045 §6.7) and in header fields (RFC 2047 §2).
_QUOTED_PRINTABLE = re.compile(r"quoted-printable|=\?[A-Z0-9_-]++\?q\?", re.IGNORECASE)

_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?([^\s\"';,]++)", re.IGNORECASE)
_CHARSET_IN_BODY = re.compile(
    rb"(?:charset_?|encoding)[\"']?\s*+[=:]\s*+[\"']?([A-Za-z0-9_.:-]++)"
    rb"|name=\"?_charset_\"?\r\n\r\n([A-Za-z0-9_.:-]++)",
    re.IGNORECASE,
)
_MAX_CHARSETS = 4

# `wbits` of zlib. Some clients send `deflate` without zlib's frame (RFC 9110 §8.4.1.2).
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _BARE)}


class UnreadableRequest(ValueError):
    """The request cannot be read well enough to rule out that it holds a text."""


def readings(target: str, fields: Sequence[tuple[str, str]], body: bytes) -> Iterator[str]:
    """A request in all its readings, itself first. Raises `UnreadableRequest`.

    target: the part of the request's target that the client chose
    """
    charsets = _charsets(fields, body)
    seen: set[str] = set()
    latest: Iterable[str] = [_head(target, fields), *_bodies(fields, body, charsets)]
    size = 0
    for _ in range(MAX_STEPS + 1):
        new = dict.fromkeys(text for text in latest if text not in seen)
        for text in new:
            size += len(text)
            if size > MAX_READ:
                raise UnreadableRequest
            yield text
        seen.update(new)
        latest = (inner for text in new for inner in _opened(_legible(text), charsets))


def values(fields: Sequence[tuple[str, str]], name: str) -> list[str]:
    """The values of the fields of this name (in lower case)."""
    return [value for field, value in fields if field.lower() == name]


def _head(target: str, fields: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join([target, *(f"{name}: {value}" for name, value in fields)])


def _charsets(fields: Sequence[tuple[str, str]], body: bytes) -> list[str]:
    """The charsets of a request: those that it names, and UTF-8."""
    declared = [name for line in values(fields, "content-type") for name in _CHARSET.findall(line)]
    if not _is_utf8(body) and any(codec(name) is None for name in declared):
        raise UnreadableRequest
    mentioned = (b"".join(found) for found in _CHARSET_IN_BODY.findall(body))
    named = [*declared, *(name.decode() for name in mentioned)]
    charsets = dict.fromkeys(filter(None, map(codec, named)))
    if len(charsets) > _MAX_CHARSETS:
        raise UnreadableRequest
    return list(dict.fromkeys(["utf_8", *charsets]))


def _bodies(fields: Sequence[tuple[str, str]], body: bytes, charsets: list[str]) -> Iterator[str]:
    if not body:
        return
    packings = ",".join(values(fields, "content-encoding")).lower().split(",")
    for unpacked in dict.fromkeys([body, *_unpacked(body, packings)]):
        for charset in dict.fromkeys([json.detect_encoding(unpacked), *charsets]):
            yield unpacked.decode(charset, "replace")


def _legible(text: str) -> str:
    """The parts of a large text that may be encoded text; a photo has none."""
    if len(text) <= MAX_ALL_LEGIBLE:
        return text
    parts = _ILLEGIBLE.split(text.replace("\0", ""))
    return "\n".join(part for part in parts if len(part) >= _MIN_LEGIBLE)


def _opened(text: str, charsets: list[str]) -> Iterator[str]:
    """The readings of a text after one more step of decoding."""
    if "%" in text:
        plain = _PERCENT_U.sub(_character, _PERCENT_TWICE.sub("%", text))
        for charset in charsets:
            yield unquote(plain, charset, "replace")
    if "\\" in text:
        yield _BACKSLASH.sub(_character, text)
    if "&" in text:
        yield _ENTITY.sub(_entity, text)
    if _QUOTED_PRINTABLE.search(text):
        yield binascii.a2b_qp(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    yield _from_base64(text)


def _character(found: re.Match[str]) -> str:
    """The character of a hexadecimal number, or a space for white space."""
    digits = next(filter(None, found.groups()), "20")
    return _chr(int(digits, 16))


def _entity(found: re.Match[str]) -> str:
    hexadecimal, decimal, name = found.groups()
    if name:
        return _ENTITIES.get(name, found[0])
    return _chr(int(hexadecimal, 16) if hexadecimal else int(decimal))


def _chr(number: int) -> str:
    return chr(number) if number <= 0x10FFFF else ""


def _from_base64(text: str) -> str:
    """The texts in the base64 of a text, in both alphabets, over line breaks."""
    joined = _LINE_BREAK.sub("", text)
    runs = {run for run in _BASE64 for run in (*run.findall(text), *run.findall(joined))}
    return b"\n".join(map(_decoded, sorted(runs))).decode("utf-8", "replace")


def _decoded(run: str) -> bytes:
    whole = run[:-1] if len(run) % 4 == 1 else run
    return binascii.a2b_base64(whole.translate(_URL_SAFE) + "=" * (-len(whole) % 4))


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unpacked(body: bytes, packings: list[str]) -> list[bytes]:
    """The body without its content codings (RFC 9110 §8.4).

    The last coding was applied last. Two bodies, if it can be read in two ways.
    """
    bodies = [body]
    for packing in reversed(packings):
        bodies = [inner for packed in bodies for inner in _without(packing.strip(), packed)]
    if not bodies:
        raise UnreadableRequest
    return bodies


def _without(packing: str, packed: bytes) -> list[bytes]:
    if packing in ("", "identity"):
        return [packed]
    if packing == "br":
        return [_unbrotlied(packed)]
    inflated = (_inflated(packed, window) for window in _WINDOWS.get(packing, ()))
    return [body for body in inflated if body is not None]


def _inflated(packed: bytes, window: int) -> bytes | None:
    """The whole body, of all its members; None if it is packed in another way."""
    body = b""
    for _ in range(MAX_MEMBERS):
        inflator = zlib.decompressobj(window)
        try:
            body += inflator.decompress(packed, MAX_UNPACKED + 1 - len(body))
        except zlib.error:
            return None
        if len(body) > MAX_UNPACKED:
            raise UnreadableRequest
        packed = inflator.unused_data
        if not packed:
            return body
    raise UnreadableRequest


def _unbrotlied(packed: bytes) -> bytes:
    decompressor = brotli.Decompressor()
    try:
        body: bytes = decompressor.process(packed, output_buffer_limit=MAX_UNPACKED)
    except brotli.error:
        raise UnreadableRequest from None
    if len(body) > MAX_UNPACKED or not decompressor.can_accept_more_data():
        raise UnreadableRequest
    return body

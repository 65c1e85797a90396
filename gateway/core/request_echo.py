"""Echoes: whether a text in a backend's reply is one that its client sent, whatever the spelling.

A backend that refuses a login may repeat what was typed, and anybody can type a token. So a token
that stood in the request is none: in its target, in a field or in its body. A backend reads a
request in steps (a form's percent-encoding, the JSON in it, the base64 in that), so the request is
read in all ways that a few of these steps give, in any order.

Readings are compared without case and without the characters that no token has, for backends fold
case and width, and cut out white space, accents and tags. The work is linear in the request's size
and bounded: of a request that takes more, or is packed in an unknown way, everything is an echo.
"""

from __future__ import annotations

import binascii
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from encodings.aliases import aliases
from urllib.parse import unquote

import brotli

# How many steps of decoding a backend may take, one after the other; percent-encoding and
# backslashes that are escaped several times in a row are one step.
MAX_STEPS = 4

# How much all readings of a request may take together, in characters. One of the default size
# (1 MiB) has at most half of this, unless it is made to have more.
MAX_READ = 16 * 2**20

# Of a longer text, in characters, only what is legible is read in further steps.
MAX_ALL_LEGIBLE = 2**18

# What a packed body may unpack to, in bytes, and from how many members of gzip.
MAX_UNPACKED = 2 * 2**20
MAX_MEMBERS = 16

# Up to here, in bytes, a body is read in a few ms; a larger one is read beside the event loop.
MAX_SMALL = 16 * 1024

# So many characters of a signature are 72 bits, which no request holds by chance; nor does it hold
# the claims `{"id":1}`, in base64url.
_WINDOW = 12
_MIN_PAYLOAD = 11
# Pieces of a long signature, so that the work does not depend on the kind of key.
_MAX_WINDOWS = 8

# What tokens are made of, without case (RFC 7515 §2), and what they are not.
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz0123456789._-"
_OTHERS = bytes(byte for byte in range(256) if byte not in _ALPHABET)

# Normalising sorts accents, in quadratic time, so it is done in pieces (characters).
_NORMALISED_AT_ONCE = 64

_ILLEGIBLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]+")
_TAG = re.compile(r"<!\[CDATA\[|<[^<>]*+>")
_PERCENT_TWICE = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")
_PERCENT_U = re.compile(r"%u([0-9A-Fa-f]{4})")
_BACKSLASH = re.compile(
    r"(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|u\{0*+([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|[bfnrt])"
)
_ENTITY = re.compile(
    r"&(?:amp;)*+(?:#[xX]0*+([0-9A-Fa-f]{1,6});?|#0*+([0-9]{1,7});?|([A-Za-z]{2,8});)"
)
# The named entities that stand for something in a token, or for how one is spelled (HTML §13.5).
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
# Sixteen characters of base64 hold a piece of a token that is long enough to be known.
_BASE64 = (re.compile(r"[A-Za-z0-9+/]{16,}+"), re.compile(r"[A-Za-z0-9_-]{16,}+"))
_URL_SAFE = str.maketrans("-_", "+/")
_LINE_BREAK = re.compile(r"(?<=[A-Za-z0-9+/_-])\r?\n(?=[A-Za-z0-9+/_-])")

# Parts of forms (RFC 2045 §6.7), and words of header fields (RFC 2047 §2).
_QUOTED_PRINTABLE = re.compile(rb"quoted-printable|=\?[A-Z0-9_-]++\?q\?", re.IGNORECASE)

# A name and a colon, with a name behind it; commas are white space there, and so is `+` in a form.
# What a comment hides is not looked at.
_ALIAS = r"(?<![\w$-])%s[\s,+\ufeff]*+(?:#|:[\s,+\ufeff]*+[A-Za-z_#])"
# How Apollo's clients name a document that they have sent before.
_STORED = re.compile("persistedQuery|sha256Hash")
_OF_THE_TEXT = ("content-type", "content-encoding")

_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?([^\s\"';,]++)", re.IGNORECASE)
_CHARSET_IN_BODY = re.compile(
    rb"(?:charset_?|encoding)[\"']?\s*+[=:]\s*+[\"']?([A-Za-z0-9_.:-]++)"
    rb"|name=\"?_charset_\"?\r\n\r\n([A-Za-z0-9_.:-]++)",
    re.IGNORECASE,
)
_MAX_CHARSETS = 4

# Python's charsets by all their names; not what it calls codecs beside them, which are none.
_NO_CHARSETS = ("_codec", "rot_13", "mbcs", "tactis")
_CODECS = {
    name: codec
    for alias, codec in aliases.items()
    if not codec.endswith(_NO_CHARSETS)
    for name in (alias, codec)
}

# How zlib is told of a coding; some send `deflate` without the frame of zlib (RFC 9110 §8.4.1.2).
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _BARE)}


class Unreadable(ValueError):
    """The request cannot be read well enough to say what is not in it."""


class EchoDetector:
    """Knows what a client sent."""

    def __init__(self, target: str, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        """`target` is the part of the request's target that the client chose."""
        self._target = target
        self._fields = list(fields)
        self._body = body
        self._readings: list[bytes] | None = None
        is_packed = any(self._values("content-encoding"))
        self.is_large = len(body) > MAX_SMALL or (is_packed and body != b"")

    def is_echo(self, text: str) -> bool:
        """Whether the client may have sent this token, or other secret."""
        try:
            if self._readings is None:
                self._readings = list(self._squeezed_readings())
        except Unreadable:
            return True
        pieces = _pieces(text)
        return any(piece in reading for reading in self._readings for piece in pieces)

    def may_name(self, field: str) -> bool:
        """Whether the client may have given this name to another field of a GraphQL reply: by an
        alias (GraphQL, October 2021, §2.7), or in a document that it has stored before.
        """
        alias = re.compile(_ALIAS % re.escape(field))
        fields = [line for line in self._fields if line[0].lower() in _OF_THE_TEXT]
        try:
            texts = EchoDetector(self._target, fields, self._body).texts()
            return any(alias.search(text) or _STORED.search(text) for text in texts)
        except Unreadable:
            return True

    def texts(self) -> Iterator[str]:
        """The request in all its readings. Raises `Unreadable`."""
        charsets = self._charsets()
        seen: set[str] = set()
        latest: Iterable[str] = [self._head(), *self._bodies(charsets)]
        size = 0
        for _ in range(MAX_STEPS + 1):
            new = dict.fromkeys(text for text in latest if text not in seen)
            for text in new:
                size += len(text)
                if size > MAX_READ:
                    raise Unreadable
                yield text
            seen.update(new)
            latest = (inner for text in new for inner in _opened(_legible(text), charsets))

    def _squeezed_readings(self) -> Iterator[bytes]:
        for text in self.texts():
            yield _squeezed(text)
            if "<" in text:
                yield _squeezed(_TAG.sub("", text))

    def _head(self) -> str:
        return "\n\n".join([self._target, *(f"{name}: {value}" for name, value in self._fields)])

    def _values(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field.lower() == name]

    def _charsets(self) -> list[str]:
        """What the request may be written in: what it says, and UTF-8."""
        declared = [
            name for line in self._values("content-type") for name in _CHARSET.findall(line)
        ]
        if not _is_utf8(self._body) and any(_codec(name) is None for name in declared):
            raise Unreadable
        mentioned = (b"".join(found) for found in _CHARSET_IN_BODY.findall(self._body))
        named = [*declared, *(name.decode() for name in mentioned)]
        charsets = dict.fromkeys(filter(None, map(_codec, named)))
        if len(charsets) > _MAX_CHARSETS:
            raise Unreadable
        return list(dict.fromkeys(["utf_8", *charsets]))

    def _bodies(self, charsets: list[str]) -> Iterator[str]:
        body = self._body
        if not body:
            return
        packings = ",".join(self._values("content-encoding")).lower().split(",")
        bodies = [body, *_unpacked(body, packings)]
        if _QUOTED_PRINTABLE.search(body):
            bodies.append(binascii.a2b_qp(body))
        for read in dict.fromkeys(bodies):
            for charset in dict.fromkeys([json.detect_encoding(read), *charsets]):
                yield read.decode(charset, "replace")


# Where nothing of a client's was sent.
NOTHING = EchoDetector("", (), b"")


def _legible(text: str) -> str:
    """What of a large text may be written in a spelling: of a photo, say, nothing."""
    if len(text) <= MAX_ALL_LEGIBLE:
        return text
    parts = _ILLEGIBLE.split(text.replace("\0", ""))
    return "\n".join(part for part in parts if len(part) >= _WINDOW)


def _opened(text: str, charsets: list[str]) -> Iterator[str]:
    """What a text says after one step of decoding more."""
    if "%" in text:
        plain = _PERCENT_U.sub(_character, _PERCENT_TWICE.sub("%", text))
        for charset in charsets:
            yield unquote(plain, charset, "replace")
    if "\\" in text:
        yield _BACKSLASH.sub(_character, text)
    if "&" in text:
        yield _ENTITY.sub(_entity, text)
    yield _from_base64(text)


def _character(found: re.Match[str]) -> str:
    """The character of a number in hexadecimal, or a space for white space."""
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
    """What the pieces of base64 in a text say, in either alphabet and over lines."""
    joined = _LINE_BREAK.sub("", text)
    runs = {run for run in _BASE64 for run in (*run.findall(text), *run.findall(joined))}
    return b"\n".join(map(_decoded, sorted(runs))).decode("utf-8", "replace")


def _decoded(run: str) -> bytes:
    whole = run[:-1] if len(run) % 4 == 1 else run
    return binascii.a2b_base64(whole.translate(_URL_SAFE) + "=" * (-len(whole) % 4))


def _codec(charset: str) -> str | None:
    return _CODECS.get(charset.lower().replace("-", "_").replace(".", "_"))


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unpacked(body: bytes, packings: list[str]) -> list[bytes]:
    """The body without its content codings (RFC 9110 §8.4), the last of which was applied last.

    Two, if it can be read in two ways.
    """
    bodies = [body]
    for packing in reversed(packings):
        bodies = [inner for packed in bodies for inner in _without(packing.strip(), packed)]
    if not bodies:
        raise Unreadable
    return bodies


def _without(packing: str, packed: bytes) -> list[bytes]:
    if packing in ("", "identity"):
        return [packed]
    if packing == "br":
        return [_unbrotlied(packed)]
    inflated = (_inflated(packed, window) for window in _WINDOWS.get(packing, ()))
    return [body for body in inflated if body is not None]


def _inflated(packed: bytes, window: int) -> bytes | None:
    """The whole body, of several members too; None if it is packed in another way."""
    body = b""
    for _ in range(MAX_MEMBERS):
        inflator = zlib.decompressobj(window)
        try:
            body += inflator.decompress(packed, MAX_UNPACKED + 1 - len(body))
        except zlib.error:
            return None
        if len(body) > MAX_UNPACKED:
            raise Unreadable
        packed = inflator.unused_data
        if not packed:
            return body
    raise Unreadable


def _unbrotlied(packed: bytes) -> bytes:
    decompressor = brotli.Decompressor()
    try:
        body: bytes = decompressor.process(packed, output_buffer_limit=MAX_UNPACKED)
    except brotli.error:
        raise Unreadable from None
    if len(body) > MAX_UNPACKED or not decompressor.can_accept_more_data():
        raise Unreadable
    return body


def _pieces(token: str) -> list[bytes]:
    """What is enough of a token to know it by: its payload, or a part of its end.

    A backend that glues two typed fields together makes a token that stands nowhere as a whole.
    """
    _, _, rest = token.partition(".")
    payload, _, signature = rest.partition(".")
    if not signature:
        return [_squeezed(token)]
    end = _squeezed(rest)[-max(_WINDOW, len(signature)) :]
    step = max(_WINDOW, len(end) // _MAX_WINDOWS)
    windows = (end[at : at + step] for at in range(0, len(end) - _WINDOW + 1, step))
    is_short = len(payload) < _MIN_PAYLOAD
    return [_squeezed(token), *windows] if is_short else [_squeezed(payload), *windows]


def _squeezed(text: str) -> bytes:
    """A text without case, width and accents, and without what is in no token."""
    if not text.isascii():
        text = text.replace("\N{REPLACEMENT CHARACTER}", "")
        starts = range(0, len(text), _NORMALISED_AT_ONCE)
        pieces = (text[start : start + _NORMALISED_AT_ONCE] for start in starts)
        text = "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)
    return text.lower().encode("ascii", "ignore").translate(None, _OTHERS)

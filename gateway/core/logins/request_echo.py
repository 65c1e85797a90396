"""Echoes: texts in a reply that the client sent, in whatever spelling (wire-rules.md#E15).

A backend that refuses a login may repeat what was typed, and a client can type a token. So a token
that stood in the request is none, in whichever way the request is read (see `request_readings`).
Readings are compared without case and without the characters that no token has, for backends fold
case and width, and cut out white space, accents and tags. Of a request that cannot be read,
everything is an echo.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from gateway.core.logins.request_readings import Unreadable, readings, values

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

# What tools that clean HTML, or read XML, cut out: with its text, where they do so.
_CUT_OUT = (
    re.compile(r"<!\[CDATA\[|<[^<>]*+>"),
    re.compile(
        r"<!--(?:(?!-->).)*+(?:-->)?|<(script|style)\b(?:(?!</\1).)*+|<!\[CDATA\["
        r"|<(?:\"[^\"]*+\"|'[^']*+'|[^<>\"'])*+>",
        re.IGNORECASE | re.DOTALL,
    ),
)

# A name and a colon, with a name behind it; commas are white space there, and so is `+` in a form.
# What a comment hides is not looked at.
_ALIAS = r"(?<![\w$-])%s[\s,+\ufeff]*+(?:#|:[\s,+\ufeff]*+[A-Za-z_#])"
# How Apollo's clients name a document that they have sent before.
_STORED = re.compile("persistedQuery|sha256Hash")
_OF_THE_TEXT = ("content-type", "content-encoding")


class EchoDetector:
    """Knows what a client sent."""

    def __init__(self, target: str, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        """`target` is the part of the request's target that the client chose."""
        self._target = target
        self._fields = list(fields)
        self._body = body
        self._squeezed: list[bytes] | None = None
        is_packed = any(values(self._fields, "content-encoding"))
        self.is_large = len(body) > MAX_SMALL or (is_packed and body != b"")

    def is_echo(self, text: str) -> bool:
        """Whether the client may have sent this token, or other secret."""
        try:
            if self._squeezed is None:
                self._squeezed = list(self._squeezed_readings())
        except Unreadable:
            return True
        pieces = _pieces(text)
        return any(piece in reading for reading in self._squeezed for piece in pieces)

    def may_name(self, field: str) -> bool:
        """Whether the client may have given this name to another field of a GraphQL reply: by an
        alias (GraphQL, October 2021, §2.7), or in a document that it has stored before.
        """
        alias = re.compile(_ALIAS % re.escape(field))
        fields = [line for line in self._fields if line[0].lower() in _OF_THE_TEXT]
        try:
            texts = readings(self._target, fields, self._body)
            return any(alias.search(text) or _STORED.search(text) for text in texts)
        except Unreadable:
            return True

    def texts(self) -> Iterator[str]:
        """The request in all its readings. Raises `Unreadable`."""
        return readings(self._target, self._fields, self._body)

    def _squeezed_readings(self) -> Iterator[bytes]:
        for text in self.texts():
            yield _squeezed(text)
            if "<" in text:
                yield from (_squeezed(part.sub("", text)) for part in _CUT_OUT)


# Where nothing of a client's was sent.
NOTHING = EchoDetector("", (), b"")


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

"""Echoes: texts of a reply that the client sent (wire-rules.md#E15).

A backend that refuses a login may repeat what was typed, and a client can type a token. So a token
that stood in the request does not count, in whichever way the request is read (see
`request_readings`). Readings are compared without case, and without characters that no token has:
backends fold case and width, and cut out white space, accents and tags. If a request cannot be
read, every text is an echo.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from gateway.core.logins.request_readings import UnreadableRequest, readings, values

# In bytes. A body of this size is read in a few ms; a larger one is read in a thread.
MAX_SMALL = 16 * 1024

# In characters of base64url. 12 of a signature are 72 bits, which no request holds by chance. The
# claims `{"id":1}` have 11.
_WINDOW = 12
_MIN_PAYLOAD = 11
# The most pieces of a signature, so that the work does not grow with the kind of key.
_MAX_WINDOWS = 8

# The characters of tokens, without case (RFC 7515 §2), and all other bytes.
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz0123456789._-"
_OTHER_BYTES = bytes(byte for byte in range(256) if byte not in _ALPHABET)

# In characters. Normalising sorts accents in quadratic time, so it is done in pieces.
_NORMALISED_AT_ONCE = 64

# The tags that HTML sanitizers and XML readers cut out, some of them with their text.
_TAGS = (
    re.compile(r"<!\[CDATA\[|<[^<>]*+>"),
    re.compile(
        r"<!--(?:(?!-->).)*+(?:-->)?|<(script|style)\b(?:(?!</\1).)*+|<!\[CDATA\["
        r"|<(?:\"[^\"]*+\"|'[^']*+'|[^<>\"'])*+>",
        re.IGNORECASE | re.DOTALL,
    ),
)

# A name, a colon and another name. Commas are white space in GraphQL, and `+` is in forms. A
# comment may stand before the other name.
_ALIAS = r"(?<![\w$-])%s[\s,+\ufeff]*+(?:#|:[\s,+\ufeff]*+[A-Za-z_#])"
# A member of JSON, a field of a form or of its parts, an argument or an alias, of this name.
_GIVEN = r"(?<![\w$-])%s(?:[\s,+\ufeff\"'\\\]]*+(?:#|[:=])|\"?[ \t]*+[\r\n;])"
# How Apollo's clients refer to a document that the server has stored.
_STORED_DOCUMENT = re.compile("persistedQuery|sha256Hash")
_ENCODING_FIELDS = ("content-type", "content-encoding")


class EchoDetector:
    """Knows the texts of one request."""

    def __init__(self, target: str, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        """`target` is the part of the request's target that the client chose."""
        self._target = target
        self._fields = list(fields)
        self._body = body
        self._texts: list[str] | None = None
        self._squeezed: list[bytes] | None = None
        is_packed = any(values(self._fields, "content-encoding"))
        self.is_large = len(body) > MAX_SMALL or (is_packed and body != b"")

    def is_echo(self, text: str) -> bool:
        """Whether the client may have sent this token, or another secret."""
        try:
            if self._squeezed is None:
                self._squeezed = list(self._squeezed_readings())
        except UnreadableRequest:
            return True
        pieces = _pieces(text)
        return any(piece in reading for reading in self._squeezed for piece in pieces)

    def is_mostly_echo(self, text: str) -> bool:
        """Whether the client may have sent most of an opaque token.

        A backend may put something before what it repeats, or join two typed fields. A token may
        hold the name of its user.
        """
        if self.is_echo(text):
            return True
        squeezed, known = _squeezed(text), self._squeezed or ()
        step = max(_WINDOW, len(squeezed) // _MAX_WINDOWS)
        pieces = [squeezed[at : at + step] for at in range(0, len(squeezed) - _WINDOW + 1, step)]
        sent = [piece for piece in pieces if any(piece in reading for reading in known)]
        return 2 * len(sent) > len(pieces)

    def may_name(self, field: str) -> bool:
        """Whether the client may have given this name to another GraphQL field.

        It can do so by an alias (GraphQL, October 2021, §2.7), or in a stored document.
        """
        alias = re.compile(_ALIAS % re.escape(field))
        fields = [line for line in self._fields if line[0].lower() in _ENCODING_FIELDS]
        try:
            texts = readings(self._target, fields, self._body)
            return any(alias.search(text) or _STORED_DOCUMENT.search(text) for text in texts)
        except UnreadableRequest:
            return True

    def may_set(self, member: str) -> bool:
        """Whether the client may have sent a member or a field of this name."""
        return self.may_hold(re.escape(member))

    def may_hold(self, names: str) -> bool:
        """Whether the client may have sent a member or field of a matching name."""
        given = re.compile(_GIVEN % names, re.IGNORECASE)
        try:
            return any(given.search(text) for text in self.texts())
        except UnreadableRequest:
            return True

    def has_word(self, word: str) -> bool:
        """Whether the client may have sent this text or number, in any case."""
        whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
        try:
            return any(whole.search(text) for text in self.texts())
        except UnreadableRequest:
            return True

    def texts(self) -> Iterator[str]:
        """The request in all its readings. Raises `UnreadableRequest`."""
        if self._texts is None:
            self._texts = list(readings(self._target, self._fields, self._body))
        return iter(self._texts)

    def _squeezed_readings(self) -> Iterator[bytes]:
        for text in self.texts():
            yield _squeezed(text)
            if "<" in text:
                yield from (_squeezed(part.sub("", text)) for part in _TAGS)


# For requests that hold nothing of a client's.
NOTHING = EchoDetector("", (), b"")


def _pieces(token: str) -> list[bytes]:
    """The parts by which a token is known: its payload, or pieces of its end.

    A backend that joins two typed fields makes a token that stands nowhere in one piece.
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
    """A text without case, width, accents and characters that no token has."""
    if not text.isascii():
        text = text.replace("\N{REPLACEMENT CHARACTER}", "")
        starts = range(0, len(text), _NORMALISED_AT_ONCE)
        pieces = (text[start : start + _NORMALISED_AT_ONCE] for start in starts)
        text = "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)
    return text.lower().encode("ascii", "ignore").translate(None, _OTHER_BYTES)

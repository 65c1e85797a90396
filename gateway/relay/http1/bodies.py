"""Message bodies on the wire: RFC 9112 §6 and §7.

A body with a known length passes in the pieces in which it came. A chunked body is taken apart and
chunked anew, so that chunk extensions and the peer's chunk sizes stay on their own side.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable

from gateway.core.http.field_names import fold
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.relay.http1 import broken_rules, grammar
from gateway.relay.http1.grammar import Malformed

LAST_CHUNK = b"0\r\n\r\n"

# With at most 15 hexadecimal digits a chunk's size is below 2^60, so no counter overflows. Zeros in
# front of them are valid (RFC 9112 §7.1), as many as fit into a line.
_CHUNK_LINE = re.compile(
    rb"(?=[0-9A-Fa-f])(0*+[0-9A-Fa-f]{0,15}+)[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*+)?\r\n"
)
_CHUNK_LINE_BEGINNING = re.compile(
    rb"0*+[0-9A-Fa-f]{0,15}+(?:[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*+)?\r?)?"
)

# No honest chunk line or trailer section is longer. RFC 9112 §7.1.1 asks for a limit.
_MAX_LINE_BYTES = 4096
_MAX_TRAILER_BYTES = 16384

# A chunk that is read at once is shorter than 4 GiB.
_MAX_LONE_DIGITS = 8
# For how many lengths a line is remembered: 100 bytes each.
_MAX_REMEMBERED_LINES = 4096

_BAD_CHUNK = "a chunk's size is no number, or its line is too long (RFC 9112 §7.1)"
_LONG_TRAILERS = "the trailers are too long (RFC 9112 §7.1.2)"


class SizedBody:
    """Reads a body of a known length. It is used like a `ChunkedBody`."""

    __slots__ = ("_left", "done", "rest", "trailers")

    def __init__(self, size: int) -> None:
        """`size` in bytes."""
        self._left = size
        self.done = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []  # always empty

    def feed(self, data: bytes) -> list[bytes]:
        """The body's part of `data`."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
        else:
            self.done, self.rest = True, data[left:]
            data = data[:left]
        return [data] if data else []


class _State(enum.Enum):
    """The part of a chunked body that comes next."""

    SIZE = enum.auto()  # a chunk line
    DATA = enum.auto()
    CRLF = enum.auto()  # the end of a chunk's data
    TRAILERS = enum.auto()


_SIZE, _DATA, _CRLF, _TRAILERS = _State  # of an Enum each look-up would cost a call


class ChunkedBody:
    """Reads a chunked body.

    `feed` returns the data in some bytes. Then `done` says whether the body has ended, `rest` holds
    the bytes behind it, and `trailers` the lines of the trailer section as they came.
    """

    __slots__ = ("_held", "_left", "_state", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._held = b""  # an unfinished chunk line or trailer section
        self._left = 0  # bytes of the present chunk still to come
        self._state = _SIZE
        self.done = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def is_between_chunks(self) -> bool:
        """Whether a chunk begins with the next byte."""
        return self._state is _SIZE and not self._held

    def feed(self, data: bytes) -> list[bytes]:
        """The body's data in `data`, in order. Raises `Malformed`."""
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._state is _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _CRLF
            elif self._state is _SIZE:
                line = _CHUNK_LINE.match(data, at)
                if line is None:
                    self._hold(data[at:])
                    break
                if line.end() - at > _MAX_LINE_BYTES:
                    raise Malformed(_BAD_CHUNK)
                at = line.end()
                self._left = int(line[1], 16)
                self._state = _DATA if self._left else _TRAILERS
            elif self._state is _CRLF:
                ending = data[at : at + 2]
                if ending != b"\r\n":
                    if ending != b"\r":
                        raise Malformed("a chunk's data is not as long as it says (RFC 9112 §7.1)")
                    self._held = ending
                    break
                at += 2
                self._state = _SIZE
            else:
                self._end(data[at:])
                break
        return pieces

    def _hold(self, line: bytes) -> None:
        """Keep an unfinished chunk line.

        Raises `Malformed` if it cannot become one.
        """
        if len(line) > _MAX_LINE_BYTES or not _CHUNK_LINE_BEGINNING.fullmatch(line):
            raise Malformed(_BAD_CHUNK)
        self._held = line

    def _end(self, data: bytes) -> None:
        """Read the trailer section, which ends at an empty line (RFC 9112 §7.1.2)."""
        if data.startswith(b"\r\n"):
            self.done, self.rest = True, data[2:]
            return
        end = data.find(grammar.HEAD_END)
        if end < 0:
            if len(data) > _MAX_TRAILER_BYTES:
                raise Malformed(_LONG_TRAILERS)
            if data != b"\r":
                grammar.check_beginning(data)
            self._held = data
            return
        if end > _MAX_TRAILER_BYTES:
            raise Malformed(_LONG_TRAILERS)
        self.trailers = grammar.fields(data, 0, end + 2)
        if any(not name for _, name in self.trailers):
            raise Malformed(broken_rules.of_fields(data[:end]))
        self.done, self.rest = True, data[end + 4 :]


def chunk(pieces: list[bytes]) -> list[bytes]:
    """The pieces as one chunk, ready to be written."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []


@functools.lru_cache(maxsize=_MAX_REMEMBERED_LINES)
def line_of_lone_chunk(length: int) -> bytes:
    """The chunk line with which `length` bytes are one whole chunk, as `chunk` writes it.

    Bytes of that length are one if they begin with the line and end with CRLF. Empty if no chunk,
    but for the last one, has that length.
    """
    for digits in range(1, _MAX_LONE_DIGITS + 1):
        size = length - digits - len(b"\r\n\r\n")
        if size > 0 and len(b"%x" % size) == digits:
            return b"%x\r\n" % size
    return b""


def last_chunk(
    trailers: list[tuple[bytes, bytes]],
    may_trail: Callable[[bytes], bool] | None,
    secret: bytes | None,
) -> bytes:
    """The end of a chunked body, with the trailers that may pass.

    A trailer that holds a key or the secret never passes.

    trailers: (line, name)
    may_trail: whether a trailer of a folded name may pass; None if no trailer may, because the
        recipient has not said that it reads them (RFC 9110 §6.5.1)
    secret: the session's token
    """
    if not trailers or may_trail is None:
        return LAST_CHUNK
    passed = [
        line
        for line, name in trailers
        if may_trail(fold(name))
        and not KEY_PATTERN.search(line)
        and (secret is None or secret not in line)
    ]
    return b"0\r\n" + b"".join(passed) + b"\r\n"

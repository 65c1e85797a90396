"""The fields of a client that sends the same ones with each request.

Clients of APIs do so over a connection, and HTTP/2 compresses heads for that reason (RFC 7541). To
read eight fields takes 15 % of the instructions of a warm request; to see that they are the same
ones takes nearly none.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.relay.http1.request_head import RequestHead

# Longer ones are read each time, so that an open connection holds little.
_MAX_BYTES = 4096

# What is read from a request line; the lines that pass are kept apart.
_NOT_OF_FIELDS = frozenset({"method", "target", "old", "path", "query", "passed"})
_OF_FIELDS = tuple(name for name in RequestHead.__slots__ if name not in _NOT_OF_FIELDS)


class RepeatedFields:
    """Knows the last fields of one connection, and what they mean once they come again."""

    __slots__ = ("_lines", "_meaning", "_method", "_old", "_text")

    def __init__(self) -> None:
        self._text = b""
        # Some fields mean something for a method or a version alone.
        self._method = b""
        self._old = False
        self._lines: list[bytes] = []  # that pass
        self._meaning: list[tuple[str, object]] | None = None  # attributes of a head

    def read_into(
        self, head: RequestHead, text: bytes, read: Callable[[RequestHead, bytes], None]
    ) -> None:
        """Put into the head what the fields mean.

        text: the field lines
        read: reads them into a head, which depends on its method and version alone
        """
        if text != self._text or head.method != self._method or head.old != self._old:
            self._text = text if len(text) <= _MAX_BYTES else b""
            self._method, self._old, self._meaning = head.method, head.old, None
            read(head, text)
            return
        if self._meaning is None:
            self._meaning = self._meaning_of(text, read)
        head.passed = self._lines.copy()
        for name, value in self._meaning:
            setattr(head, name, value)

    def _meaning_of(
        self, text: bytes, read: Callable[[RequestHead, bytes], None]
    ) -> list[tuple[str, object]]:
        """The attributes that the fields set, with their values."""
        unset, found = (RequestHead(self._method, b"", b"0" * self._old) for _ in range(2))
        read(found, text)
        self._lines = found.passed
        changed = (name for name in _OF_FIELDS if getattr(found, name) != getattr(unset, name))
        return [(name, getattr(found, name)) for name in changed]

"""Finds the heads of responses in the bytes that an upstream sends."""

from __future__ import annotations

from gateway.observe import causes
from gateway.relay.http1 import grammar
from gateway.relay.http1.grammar import HEAD_END, Malformed
from gateway.relay.http1.response_head import ResponseHead, ResponseReader


class ResponseHeads:
    """Keeps the part of a head that has come, and reads whole ones."""

    __slots__ = ("_max_size", "_part", "_reader")

    def __init__(self, reader: ResponseReader, max_size: int) -> None:
        """`max_size` of a head, in bytes."""
        self._reader = reader
        self._max_size = max_size
        self._part = b""

    @property
    def has_begun(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self._part)

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """The next head and the bytes behind it; None if it is not whole.

        Raises `Malformed`.
        """
        part = self._part
        if part:
            data, self._part = part + data, b""
        if self._reader.lenient:
            data = grammar.with_crlf(data, len(part))
        end = data.find(HEAD_END)
        if end < 0:
            self._keep(data)
            return None
        if end > self._max_size:
            raise Malformed(causes.LONG_HEAD)
        return self._reader.read(data, end), data[end + 4 :]

    def _keep(self, data: bytes) -> None:
        """Keep a part of a head, unless it cannot become one."""
        if data:
            grammar.check_beginning(data)
            if b"\r\n" in data:
                grammar.status_line(data)
        if len(data) > self._max_size:
            raise Malformed(causes.LONG_HEAD)
        self._part = data

"""Reads the bodies of responses to their ends (RFC 9112 §6.3)."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.response_head import ResponseHead

if TYPE_CHECKING:
    from gateway.relay.upstream.response_handler import ResponseHandler

# Statuses of responses without a body, whatever their fields say (RFC 9110 §6.4.1).
_BODILESS = frozenset({204, 304})


class Ending(enum.Enum):
    """The marks of a body's end."""

    LENGTH = enum.auto()  # its last byte, or there is no body
    CHUNKED = enum.auto()  # the last chunk
    CLOSE = enum.auto()  # the end of the connection


# As names of the module: a look-up in an Enum takes ten times as long on CPython 3.11.
LENGTH, CHUNKED, CLOSE = Ending


class ResponseBody:
    """Reads the bodies of responses, one after the other, for a handler."""

    __slots__ = ("_chunks", "_ending", "_kept_open", "_left")

    def __init__(self) -> None:
        self._ending = LENGTH
        self._left = 0  # bytes of a body with a length
        self._chunks: ChunkedBody | None = None
        self._kept_open = True  # the server keeps the connection open after this response

    @property
    def ends_by_close(self) -> bool:
        """Whether the end of the connection is the end of the body."""
        return self._ending is CLOSE

    def begin(self, handler: ResponseHandler, head: ResponseHead, data: bytes) -> None:
        """Begin a response by its head and the bytes behind it.

        Raises `Malformed`.
        """
        self._kept_open = head.keeps_open()
        with_body = handler.head.method != b"HEAD" and head.status not in _BODILESS
        if with_body and head.chunked:
            self._ending, self._chunks = CHUNKED, ChunkedBody()
            pieces = self._chunks.feed(data)  # before the head leaves, so that a bad chunk is a 502
            if not self._chunks.done and not handler.may_stream(head):
                return
            handler.respond(head, with_body=True)
            self._deliver_chunks(handler, self._chunks, pieces)
            if not self._chunks.done:
                handler.goes_on(self._chunks)
            return
        if with_body and head.length is None:
            self._ending = CLOSE
            if not handler.may_stream(head):
                return
        else:
            self._ending, self._left = LENGTH, (head.length or 0) if with_body else 0
        handler.respond(head, with_body=with_body)
        self.feed(handler, data)

    def feed(self, handler: ResponseHandler, data: bytes) -> None:
        """Hand on bytes of the body. The last one ends the response.

        Raises `Malformed`.
        """
        ending = self._ending
        if ending is LENGTH:
            left, size = self._left, len(data)
            if size < left:
                self._left = left - size
                handler.deliver([data])
                return
            self._left = 0
            has_rest = size > left
            handler.deliver([data[:left] if has_rest else data])
            handler.answered([], reusable=self._kept_open and not has_rest)
        elif ending is CHUNKED:
            assert self._chunks is not None
            self._deliver_chunks(handler, self._chunks, self._chunks.feed(data))
        else:
            handler.deliver([data])

    def _deliver_chunks(
        self, handler: ResponseHandler, chunks: ChunkedBody, pieces: list[bytes]
    ) -> None:
        handler.deliver(pieces)
        if chunks.done:
            handler.answered(chunks.trailers, reusable=self._kept_open and not chunks.rest)

"""The chunks of an event stream, on their short way to the client.

Most events come as one chunk in one read, and would be chunked anew in the same bytes. So they pass
as they came, in one call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.relay.exchange.stand_in import StandIn
from gateway.relay.http1.bodies import ChunkedBody, line_of_lone_chunk
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.write_batch import WriteBatch

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection


class Delivered(Protocol):
    """The answer that the events belong to."""

    size: int  # bytes of the body so far


class EventStream(StandIn):
    """Passes on what an upstream sends in a chunked answer that the client gets unchanged."""

    __slots__ = (
        "_between_chunks",
        "_body",
        "_clock",
        "_delivery",
        "_idle_timeout",
        "_upstream",
        "_write_batch",
        "_writer",
    )

    def __init__(
        self,
        delivery: Delivered,
        body: ChunkedBody,
        upstream: UpstreamConnection,
        writer: asyncio.Transport,
        *,
        idle_timeout: float,
        clock: Clock,
        write_batch: WriteBatch,
    ) -> None:
        """Read from now on.

        delivery: its size counts what passes
        body: reads what is no lone chunk
        upstream: the connection that is read; its deadline is the stream's
        writer: the client's transport
        idle_timeout: how long the stream may be silent (seconds)
        """
        assert upstream.transport is not None
        super().__init__(upstream.transport)
        self._delivery = delivery
        self._body = body
        self._upstream = upstream
        self._writer = writer
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._write_batch = write_batch
        self._between_chunks = body.is_between_chunks
        upstream.may_be_quiet(idle_timeout)
        write_batch.flush()  # chunks are written past it

    def data_received(self, data: bytes) -> None:
        # Calls are spared: events are small, and this is all that each costs.
        length = len(data)
        line = line_of_lone_chunk(length)
        if not (self._between_chunks and line and data.startswith(line) and data[-2:] == b"\r\n"):
            self._read(data, line)
            return
        self._delivery.size += length - len(line) - 2
        self._upstream.deadline = self._clock.now + self._idle_timeout
        self._writer.write(data)

    def _read(self, data: bytes, line: bytes) -> None:
        """Read what is no lone chunk as any other answer.

        One whose line, `line`, has capitals, as gunicorn and Jetty write it, is made one.
        """
        written = data[: len(line)]
        if self._between_chunks and written != line and written.lower() == line:
            self.data_received(line + data[len(line) :])
            return
        self._upstream.data_received(data)
        self._write_batch.flush()
        self._between_chunks = self._body.is_between_chunks

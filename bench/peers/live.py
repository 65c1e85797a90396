"""The upstream of the stream modes: `/live/echo` and `/live/events`, on uvloop.

It does as little as an upstream can: it echoes frames of a known size, and writes paced events.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from bench.stream_wire import ECHO_BYTES, EVENT, FRAME_BYTES, SECONDS_BETWEEN_EVENTS, echo_frame

_SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
_EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)

# RFC 6455 §1.3: the answer to the key of that example, which the load sends.
_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

# How often events are written; each time, the streams whose turn it is get one.
_STEP_SECONDS = 0.001


class Live(asyncio.Protocol):
    """One connection: a head, and then frames or events."""

    def __init__(self, streams: list[asyncio.Transport]) -> None:
        self._streams = streams
        self._head = b""
        self._echoes = False
        self._waiting = 0  # bytes of a frame that has not come as a whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._echoes:
            frames, self._waiting = divmod(self._waiting + len(data), FRAME_BYTES)
            self._transport.write(echo_frame() * frames)
            return
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        if b" /live/echo " in self._head:
            self._echoes = True
            self._transport.write(_SWITCHED % _ACCEPT)
        else:
            self._transport.write(_EVENTS)
            self._streams.append(self._transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._transport in self._streams:
            self._streams.remove(self._transport)


async def _serve(port: int) -> None:
    streams: list[asyncio.Transport] = []
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Live(streams), "127.0.0.1", port, backlog=1024)
    turns = round(SECONDS_BETWEEN_EVENTS / _STEP_SECONDS)
    due, step = loop.time(), 0
    while True:
        for stream in streams[step % turns :: turns]:
            stream.write(_CHUNK)
        due, step = due + _STEP_SECONDS, step + 1
        await asyncio.sleep(due - loop.time())


if __name__ == "__main__":
    assert len(echo_frame()) == ECHO_BYTES
    uvloop.run(_serve(int(sys.argv[1])))

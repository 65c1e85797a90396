"""`python -m bench.stream_load KIND PORT KEY SECONDS`: load of WebSockets or event streams.

It prints a line when the measured time begins, and one with the number of messages when it ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from abc import ABC, abstractmethod
from typing import NoReturn, cast

import uvloop

from bench.stream_wire import ECHO_BYTES, client_frame

SOCKETS = 64  # that echo: each sends its next message when it has the last one back
STREAMS = 200
_WARM_UP_SECONDS = 1.0
_START_SECONDS = 10.0  # until all are open

_HEAD = b"GET /live/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n%b\r\n"
_UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_FRAME = client_frame()


class Client(ABC, asyncio.Protocol):
    """One stream, which counts its messages once its head has come."""

    expected = b""
    messages = 0  # of all clients
    opened = 0

    def __init__(self, head: bytes) -> None:
        self._request = head
        self._head: bytes | None = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            self.count(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            if not head.startswith(self.expected):
                _give_up(f"the stream is answered with {head[:60]!r}")
            self._head = None
            Client.opened += 1
            self.begin()
            self.count(rest)

    def begin(self) -> None:
        """Do what comes first on an open stream."""

    @abstractmethod
    def count(self, data: bytes) -> None:
        """Count the messages in these bytes."""

    def connection_lost(self, error: Exception | None) -> None:
        _give_up(f"a stream has ended: {error}")


class Echoing(Client):
    """A WebSocket that sends a message when it has the last one back."""

    expected = b"HTTP/1.1 101 "
    _waiting = 0

    def begin(self) -> None:
        self.transport.write(_FRAME)

    def count(self, data: bytes) -> None:
        whole, self._waiting = divmod(self._waiting + len(data), ECHO_BYTES)
        if whole:
            Client.messages += whole
            self.transport.write(_FRAME * whole)


class Listening(Client):
    """An event stream."""

    expected = b"HTTP/1.1 200 "

    def count(self, data: bytes) -> None:
        Client.messages += data.count(b"}")


def _give_up(why: str) -> NoReturn:
    """End at once: an event loop would go on after an exception in a callback."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


async def _load(kind: str, port: int, key: bytes, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    is_echo = kind == "websocket"
    number = SOCKETS if is_echo else STREAMS
    head = _HEAD % ((b"echo", key, _UPGRADE) if is_echo else (b"events", key, b""))
    for _ in range(number):
        await loop.create_connection(
            lambda: Echoing(head) if is_echo else Listening(head), "127.0.0.1", port
        )
    async with asyncio.timeout(_START_SECONDS):
        while Client.opened < number:
            await asyncio.sleep(0.01)
    await asyncio.sleep(_WARM_UP_SECONDS)
    print("begin", flush=True)
    before, began = Client.messages, loop.time()
    await asyncio.sleep(seconds)
    print(Client.messages - before, loop.time() - began, flush=True)


if __name__ == "__main__":
    uvloop.run(_load(sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), float(sys.argv[4])))

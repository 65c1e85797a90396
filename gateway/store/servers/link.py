"""A pipelined connection for look-ups, with the protocol by hand.

Look-ups are on the way of requests that miss the near cache. A command through redis-py's client
costs about 90 µs of CPU, this one about 5. redis-py still does what is hard: connecting, TLS,
authentication, finding the primary; then the connection's transport is taken over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import hiredis

from gateway.store.servers.connections import Connection, hang_up
from gateway.store.servers.topology import Topology


def packed(*parts: bytes) -> bytes:
    """Command parts as the protocol's bulk strings."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


class Link(asyncio.Protocol):
    """Sends commands as they come, and matches replies to them by order.

    So the reply to a command that was given up still takes its place, and an error of the protocol
    drops the whole connection: no reply can reach the waiter of another command.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        writer: Any = connection._writer
        self._transport: asyncio.Transport = writer.transport
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self.usable = True
        self._transport.set_protocol(self)

    @classmethod
    async def open(cls, topology: Topology, script: str) -> Link:
        """Open a link to the primary, and load `script` there."""
        [connection] = await topology.connect_to_primaries()
        try:
            await connection.send_command("SCRIPT", "LOAD", script)
            await connection.read_response()
        except BaseException:
            await hang_up([connection])
            raise
        return cls(connection)

    async def ask(self, command: bytes) -> Any:
        """The reply to one packed command.

        Raises `hiredis.ReplyError` and `ConnectionError`.
        """
        try:
            self._transport.write(command)
        except RuntimeError:  # uvloop's error for a closed transport
            raise ConnectionError("the store's connection is gone") from None
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(future)
        return await future

    def close(self) -> None:
        """Close the connection. Waiting commands get `ConnectionError`."""
        self.usable = False
        self._connection._close()  # type: ignore[no-untyped-call]
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionError("the store's connection is gone"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while self.usable and (reply := self._reader.gets()) is not False:
                self._settle(reply)
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.close()

    def _settle(self, reply: Any) -> None:
        if not self._waiting:  # no command has asked for this reply
            self.close()
            return
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

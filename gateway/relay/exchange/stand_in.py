"""Stands in for the protocol of a connection, where what it reads has to cost one call."""

from __future__ import annotations

import asyncio


class StandIn(asyncio.Protocol):
    """Reads a connection in place of its own protocol.

    A subclass has `data_received`. All but bytes is handed on to the connection's own protocol.
    """

    __slots__ = ("_connection", "reader")

    def __init__(self, reader: asyncio.Transport) -> None:
        """Read from now on; `reader` is the connection's transport."""
        self.reader = reader
        self._connection = reader.get_protocol()
        reader.set_protocol(self)

    def leave(self) -> None:
        """Give the connection its own protocol back."""
        self.reader.set_protocol(self._connection)

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()  # type: ignore[attr-defined,no-any-return]

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.connection_lost(error)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

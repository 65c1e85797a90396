"""Accepts the connections of a listener whose clients begin with a PROXY header or with TLS."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

from gateway.core.http.addresses import BACKLOG
from gateway.relay.client.opening import Opening, OpeningContext

_log = logging.getLogger("gateway.relay")

# How many connections a listener accepts in one turn of the loop.
_MAX_ACCEPTED_AT_ONCE = 64

# How long a listener pauses when no file descriptor or memory is left (seconds), and by which
# errors it knows, as asyncio's own do.
_PAUSE_SECONDS = 1.0
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """Accepts the connections of one listener, and opens each."""

    def __init__(self, listener: socket.socket, shared: OpeningContext) -> None:
        self._listener = listener
        self._shared = shared
        self._openings: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)  # noqa: FBT003 (the socket API's own)
        self._go_on()

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._shared.context.loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait_for_resources()
                else:
                    _log.error("a connection is not accepted: %s", error.strerror)
                return
            self.take(sock)

    def _wait_for_resources(self) -> None:
        """Pause: the connection that waits in the queue would wake the loop at once."""
        loop = self._shared.context.loop
        loop.remove_reader(self._listener)
        self._pause = loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._shared.context.loop.add_reader(self._listener, self._accept)

    async def take_waiting(self, sock: socket.socket) -> None:
        self.take(sock)

    def take(self, sock: socket.socket) -> None:
        """Open a connection that has been accepted."""
        sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
        try:
            opening = Opening(sock, self._shared)
        except OSError:  # the client has gone
            sock.close()
            return
        if opening.admit():
            task = self._shared.context.loop.create_task(opening.run())
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)

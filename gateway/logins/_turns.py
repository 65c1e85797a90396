"""Turns for work of which little is done at a time: no client may take all the room that there is.

Turns are given in the order in which they were asked for. So a client waits for those before it at
the most, and of one other client there are never more than its share among them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager


class NoRoom(Exception):
    """A turn cannot be waited for; `of_client` says that the client itself has its share."""

    def __init__(self, *, of_client: bool) -> None:
        super().__init__("no room to wait for a turn")
        self.of_client = of_client


class Turns:
    """So many `at_once`, for so many more that wait, and for each client a `share` of both."""

    def __init__(self, *, at_once: int, waiting: int, share: int) -> None:
        self._running = asyncio.Semaphore(at_once)
        self._room = at_once + waiting
        self._share = share
        self._asked = 0  # that run or wait
        self._of_clients: Counter[str] = Counter()  # of those, by client

    @asynccontextmanager
    async def take(self, clients: Collection[str]) -> AsyncIterator[None]:
        """A turn, as long as the context lasts. Raises `NoRoom`.

        `clients` are the names that the work counts for: an address, an account.
        """
        if any(self._of_clients[client] >= self._share for client in clients):
            raise NoRoom(of_client=True)
        if self._asked >= self._room:
            raise NoRoom(of_client=False)
        self._asked += 1
        self._of_clients.update(clients)
        try:
            async with self._running:
                yield
        finally:
            self._asked -= 1
            self._of_clients.subtract(clients)
            for client in clients:
                if not self._of_clients[client]:
                    del self._of_clients[client]

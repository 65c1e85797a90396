"""Turns for work of which little is done at a time: no client may take all the room that there is.

Of those who wait, clients come one after the other: who has many turns to come has one in each
round, so that another client waits for one round at the most.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


class NoRoom(Exception):
    """A turn cannot be waited for; `of_client` says that the client itself has its share."""

    def __init__(self, *, of_client: bool) -> None:
        super().__init__("no room to wait for a turn")
        self.of_client = of_client


class FairQueue:
    """So many `at_once`, for so many more that wait, and for each client a `share` of both."""

    def __init__(self, *, at_once: int, waiting: int, share: int) -> None:
        self._free = at_once
        self._room = at_once + waiting
        self._share = share
        self._asked = 0  # that run or wait
        self._of_clients: Counter[str] = Counter()  # of those, by client
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}  # by client, the next one first

    @asynccontextmanager
    async def take(self, clients: Sequence[str]) -> AsyncIterator[None]:
        """A turn, as long as the context lasts. Raises `NoRoom`.

        `clients` are the names that the work counts for, an address and an account; by the first
        one it queues.
        """
        if any(self._of_clients[client] >= self._share for client in clients):
            raise NoRoom(of_client=True)
        if self._asked >= self._room:
            raise NoRoom(of_client=False)
        self._asked += 1
        self._of_clients.update(clients)
        try:
            await self._wait(clients[0] if clients else "")
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._asked -= 1
            self._of_clients.subtract(clients)
            self._of_clients += Counter()  # without those that have none

    async def _wait(self, client: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it has just come
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Gives a turn to the next client, who then is the last one for what else it waits for."""
        while self._queues:
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            turn = queue.popleft()
            if queue:
                self._queues[client] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

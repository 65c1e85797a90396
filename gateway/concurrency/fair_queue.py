"""A queue in which clients take turns, for work with few places.

A client that waits for many turns gets one in each round, so another client waits for one round at
the most.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


class NoRoom(Exception):
    """There is no room to wait. `of_client`: the client has its share."""

    def __init__(self, *, of_client: bool) -> None:
        super().__init__("no room to wait for a turn")
        self.of_client = of_client


class FairQueue:
    """Admits `at_once`, and lets `waiting` more wait.

    A client has a `share` of both together.
    """

    def __init__(self, *, at_once: int, waiting: int, share: int) -> None:
        self._free = at_once
        self._room = at_once + waiting
        self._share = share
        self._asked = 0  # turns that run or wait
        self._of_clients: Counter[str] = Counter()  # the same by client
        self._queues: dict[
            str, deque[asyncio.Future[None]]
        ] = {}  # by client, the next client first

    @asynccontextmanager
    async def take(self, clients: Sequence[str]) -> AsyncIterator[None]:
        """Hold a turn for as long as the context lasts. Raises `NoRoom`.

        clients: the names that the work counts for, an address and an account; it queues by the
            first one
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
            self._of_clients += Counter()  # drops the clients that have none

    async def _wait(self, client: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn has just come
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a turn to the next client, and put it at the end of the queue."""
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

"""Requests that wait for a place at a server, in a queue for each client."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterator

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.relay.upstream.server import Server
from gateway.relay.upstream.waiter import Waiter


class Queues:
    """The waiters of a pool. Clients take turns: the next one stands first."""

    __slots__ = ("_full", "_late", "_max_size", "_share", "_timeout", "by_client", "refused")

    def __init__(
        self,
        *,
        timeout: float,
        share: int,
        late: Refusal,
        full: Refusal = refusals.BUSY,
        max_size: float = math.inf,
    ) -> None:
        """How many requests may wait for a place, and for how long.

        timeout: how long each may wait (seconds)
        share: how many of those that wait may be one client's (percent; see `Shares`)
        late: the refusal of one that has waited in vain
        full: the refusal of one more than may wait
        """
        self.refused = 0  # requests that got no place, so far
        self._timeout = timeout
        self._share = share
        self._late = late
        self._full = full
        self._max_size = max_size
        # With the end of the time of each waiter (monotonic seconds).
        self.by_client: OrderedDict[str, dict[Waiter, float]] = OrderedDict()

    def admit(self, waiter: Waiter) -> None:
        """Have a request wait for a place, or refuse it: too many wait."""
        size = self._max_size
        if (
            waiter.outage is not None
            or size == math.inf
            or self.have_room(waiter, places=int(size))
        ):
            self.wait(waiter)
        else:
            self._refuse(waiter, self._full if self.size >= size else refusals.OVER_SHARE)

    def refuse_late(self, waiter: Waiter, *, is_full: bool) -> None:
        """Refuse a request that has waited in vain.

        is_full: all places are taken; otherwise the client has its share
        """
        self._refuse(waiter, self._late if is_full else refusals.OVER_SHARE)

    def _refuse(self, waiter: Waiter, refusal: Refusal) -> None:
        self.refused += 1
        waiter.fail(refusal)

    def wait(self, waiter: Waiter) -> None:
        """Have the waiter wait, until the end of its outage or for the timeout."""
        outage = waiter.outage
        self.add(waiter, time.monotonic() + self._timeout if outage is None else outage.until)

    def add(self, waiter: Waiter, until: float) -> None:
        """Have the waiter wait, at the end of its client's queue."""
        self.by_client.setdefault(waiter.network, {})[waiter] = until
        waiter.queued = True

    def remove(self, waiter: Waiter) -> None:
        waiter.queued = False
        queue = self.by_client[waiter.network]
        del queue[waiter]
        if not queue:
            del self.by_client[waiter.network]

    def take(self, server: Server, *, in_outage: bool = True) -> Waiter | None:
        """Take out the waiter that gets a free place at a server.

        Clients that have their share of the server are passed over, and so are waiters that have
        tried it.

        in_outage: false passes over those that wait for a restart
        """
        for _ in range(len(self.by_client)):
            client, queue = self.by_client.popitem(last=False)
            found = None
            if server.shares.allows(client, server.load.busy):
                fitting = (waiter for waiter in queue if server not in waiter.tried)
                found = next(
                    (waiter for waiter in fitting if in_outage or waiter.outage is None), None
                )
            self.by_client[client] = queue
            if found is not None:
                self.remove(found)
                return found
        return None

    def late(self, now: float) -> list[Waiter]:
        """The waiters whose time is over; `now` is monotonic seconds."""
        queues = self.by_client.values()
        return [waiter for queue in queues for waiter, until in queue.items() if until < now]

    def in_outage(self) -> Waiter | None:
        """The first waiter that waits for a server to be back."""
        waiters = (waiter for queue in self.by_client.values() for waiter in queue)
        return next((waiter for waiter in waiters if waiter.outage is not None), None)

    def have_room(self, waiter: Waiter, *, places: int) -> bool:
        """Whether one more waiter may wait, of its client and in all."""
        return Shares(places, self._share, self._clients).allows(waiter.network, self.size)

    @property
    def size(self) -> int:
        """The number of waiters."""
        return sum(map(len, self.by_client.values()))

    def _clients(self) -> Iterator[str]:
        """The clients, once for each of their waiters."""
        for client, queue in self.by_client.items():
            yield from [client] * len(queue)

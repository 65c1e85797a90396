"""The servers behind a name: one for each of its addresses, which may change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from gateway.observe import causes
from gateway.relay.upstream.server import Server

if TYPE_CHECKING:
    from gateway.outbound.names import LookUp

# How many addresses that are gone are remembered, with what is known of them: DNS servers may show
# a part of many addresses, another one each time.
_MAX_GONE = 256

# The log repeats that a name cannot be resolved after so long (seconds).
_SECONDS_BETWEEN_WARNINGS = 60.0

# Names of many workers are not looked up at the same moment: an interval is up to so much shorter.
_JITTER = 0.1


class NamedServers:
    """Looks a name up again and again, and keeps a server for each address.

    Until the first answer, one server is reached by the name itself. If a name cannot be resolved,
    or has no address, the last answer stays.
    """

    def __init__(
        self,
        name: str,
        by_name: Server,
        *,
        upstream: str,
        interval: float,
        look_up: LookUp,
        new_server: Callable[[str], Server],
        changed: Callable[[], None],
    ) -> None:
        """The name, and how its addresses are found.

        by_name: the server until the first answer
        upstream: the upstream's name, for the log
        interval: between two look-ups (seconds)
        new_server: makes the server at an address
        changed: is called when there are other servers
        """
        self.servers: tuple[Server, ...] = (by_name,)
        self.resolves = 0  # look-ups that have ended
        self.failures = 0  # those of them without an address
        self._name = name
        self._upstream = upstream
        self._interval = interval
        self._look_up = look_up
        self._new_server = new_server
        self._changed = changed
        self._known: dict[str, Server] = {}  # by address; those that are gone stand first
        self._due = 0.0  # the next look-up (monotonic seconds)
        self._quiet_until = 0.0  # a further failure is not logged until then (monotonic seconds)
        self._task: asyncio.Task[None] | None = None
        self._random = Random()  # noqa: S311 (no secret)
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    async def begin(self) -> None:
        """Look the name up, and wait for the answer."""
        self.sweep(time.monotonic())
        assert self._task is not None
        await asyncio.wait([self._task])

    def sweep(self, now: float) -> None:
        """Look the name up if it is time, beside the caller (`now`: monotonic seconds)."""
        if now < self._due or self._task is not None:
            return
        self._due = now + self._interval * (1 - _JITTER * self._random.random())
        self._task = asyncio.get_running_loop().create_task(self._resolve(now))

    def close(self) -> None:
        """Look up no more."""
        self._due = float("inf")
        if self._task is not None:
            self._task.cancel()

    async def _resolve(self, now: float) -> None:
        try:
            addresses = await self._look_up(self._name)
        except OSError as error:
            self.failures += 1
            self._warn(causes.cause(error), now)
        else:
            self._quiet_until = 0.0
            self._have(addresses)
        finally:
            self.resolves += 1
            self._task = None

    def _have(self, addresses: tuple[str, ...]) -> None:
        before = self.servers
        servers = {address: self._server(address) for address in addresses}
        if set(servers.values()) == set(before):
            return
        gone = {key: server for key, server in self._known.items() if key not in servers}
        for address in list(gone)[: max(0, len(gone) - _MAX_GONE)]:
            del gone[address]
        self._known = {**gone, **servers}
        self.servers = tuple(servers.values())
        self._log.info(
            "upstream %s: %s has the addresses %s", self._upstream, self._name, ", ".join(addresses)
        )
        self._changed()

    def _server(self, address: str) -> Server:
        """The server at an address; one that was there before keeps its state."""
        return self._known.get(address) or self._new_server(address)

    def _warn(self, cause: str, now: float) -> None:
        if now >= self._quiet_until:
            self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
            self._log.warning(
                "upstream %s: %s keeps its last addresses: %s", self._upstream, self._name, cause
            )

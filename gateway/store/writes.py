"""Writes that count as done when enough replicas have them.

Replication is asynchronous. A write is lost when its primary dies before a replica has it, and when
it goes to an old primary while Sentinel promotes another one. WAIT tells how many replicas have all
that its own connection has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.servers.topology import Command, Topology


class Writes:
    """Sends commands that write, and answers when the writes are safe."""

    def __init__(self, topology: Topology, replicas: int, timeout: float) -> None:
        """What makes a write safe.

        replicas: how many must have it; with 0, the primary's answer is enough
        timeout: for each of the store's answers (seconds)
        """
        self._topology = topology
        self._replicas = replicas
        self._timeout = timeout

    async def do(self, *commands: Command) -> list[Any]:
        """Send the commands. Returns the answers.

        Raises `StoreUnavailable` when it is not certain that all of them are done.
        """
        work = self._confirmed(commands) if self._replicas else self._topology.write(commands)
        return await bounded(work, self._timeout)

    async def _confirmed(self, commands: Sequence[Command]) -> list[Any]:
        # Half of the timeout, so that the answer "too few replicas" arrives in time.
        wait_ms = int(self._timeout * 500)
        answers, reached = await self._topology.write_to_replicas(commands, self._replicas, wait_ms)
        if reached < self._replicas:
            raise StoreUnavailable
        return answers

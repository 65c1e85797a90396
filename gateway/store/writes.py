"""Writes that must not be lost: done when so many replicas have them as well.

Replication is asynchronous: what a primary has acknowledged is lost when it dies before a replica
has it, and what is written to an old primary while Sentinel promotes another one is lost, too.
WAIT tells how many replicas have all that its own connection has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.servers.topology import Command, Topology


class Writes:
    """Commands that write, whose answers come when their writes are safe."""

    def __init__(self, topology: Topology, replicas: int, timeout: float) -> None:
        """`replicas` must have a write; with none, the primary's word is enough. `timeout` bounds
        each of the store's answers, in seconds.
        """
        self._topology = topology
        self._replicas = replicas
        self._timeout = timeout

    async def do(self, *commands: Command) -> list[Any]:
        """The answers. Raises `StoreUnavailable` when it is not certain that all of it is done."""
        work = self._confirmed(commands) if self._replicas else self._topology.write(commands)
        return await bounded(work, self._timeout)

    async def _confirmed(self, commands: Sequence[Command]) -> list[Any]:
        # There has to be time left for an answer that says that too few replicas have it.
        wait_ms = int(self._timeout * 500)
        answers, reached = await self._topology.write_to_replicas(commands, self._replicas, wait_ms)
        if reached < self._replicas:
            raise StoreUnavailable
        return answers

"""Writes that must not be lost: done when so many replicas have them as well.

Replication is asynchronous: what a primary has acknowledged is lost when it dies before a replica
has it, and what is written to an old primary while Sentinel promotes another one is lost, too.
WAIT tells how many replicas have all that its own connection has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import AskError

from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.servers.cluster import Cluster
from gateway.store.servers.connect import Client

Command = tuple[Any, ...]  # the second part is the key


class Writes:
    """Commands that write, whose answers come when their writes are safe."""

    def __init__(self, client: Client, replicas: int, timeout: float) -> None:
        """`replicas` must have a write; with none, the primary's word is enough. `timeout` bounds
        each of the store's answers, in seconds.
        """
        self._client = client
        self._replicas = replicas
        self._timeout = timeout

    async def do(self, *commands: Command) -> list[Any]:
        """The answers. Raises `StoreUnavailable` when it is not certain that all of it is done."""
        work = self._confirmed(commands) if self._replicas else self._sent(commands)
        return await bounded(work, self._timeout)

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            answers: list[Any] = await pipe.execute()
        return answers

    async def _confirmed(self, commands: Sequence[Command]) -> list[Any]:
        # There has to be time left for an answer that says that too few replicas have it.
        wait = ("WAIT", self._replicas, int(self._timeout * 500))
        pipe: Any
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            if not isinstance(self._client, Cluster):
                pipe.execute_command(*wait)
                answers = await pipe.execute()
            else:
                for home in {await self._client.home(command[1]) for command in commands}:
                    pipe.execute_command(*wait, target_nodes=[home])
                try:
                    answers = await pipe.execute(allow_redirections=False)
                except AskError:  # WAIT has not asked the node that will have it
                    await self._sent(commands)
                    raise
        if min(answers[len(commands) :]) < self._replicas:
            raise StoreUnavailable
        return list(answers[: len(commands)])

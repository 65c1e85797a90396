"""Redis Cluster: redis-py's client, with what it lacks.

Found by testing redis-py 8.1:
* Its pool raises when it is empty, so a burst of look-ups would be a burst of failures.
* An ASK redirection sends ASKING over one connection and the command over another one, and knows
  no node that has no slots yet. So a session whose slot moves could not be found for a while.
* When no node can be reached, it raises an error that is no `RedisError`.
* A pipeline asks for the nodes as soon as it is made, before its caller can bound that.
* A script that one node does not know is loaded into all of them, of which one may be silent.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.cluster import PRIMARY, get_node_name
from redis.commands.core import AsyncScript
from redis.exceptions import AskError, ClusterError, NoScriptError, RedisClusterException

from gateway.store.servers.connections import Connection, TcpConnection, TlsConnection
from gateway.store.servers.topology import Command, Topology


class Sharded(Topology):
    """A cluster: each primary has its part of the keys."""

    is_sharded = True

    def __init__(self, client: Cluster) -> None:
        super().__init__(client)
        self._cluster = client

    async def _new_connections(self) -> list[Connection]:
        await self._cluster.look_around()
        nodes: list[Any] = self._cluster.get_primaries()
        return [node.connection_class(**node.connection_kwargs) for node in nodes]

    async def have_changed(self, connections: Sequence[Any]) -> bool:
        names = {get_node_name(connection.host, connection.port) for connection in connections}
        return await self._cluster.primaries_now() != names

    def pin(self, connections: Sequence[Connection]) -> None:
        """Nothing to do: the slots say where a key's commands go."""

    def unpin(self) -> None:
        """Nothing to do: the slots say where a key's commands go."""

    async def reconnect(self) -> None:
        """Nothing to do: `look_around` drops connections to nodes that are gone."""

    async def write_to_replicas(
        self, commands: Sequence[Command], replicas: int, wait_ms: int
    ) -> tuple[list[Any], int]:
        async with self._cluster.pipeline() as pipe:
            for command in commands:
                pipe.execute_command(*command)
            for home in {await self._cluster.home(command[1]) for command in commands}:
                pipe.execute_command("WAIT", replicas, wait_ms, target_nodes=[home])
            try:
                answers = await pipe.execute(allow_redirections=False)
            except AskError:  # the slot moves: WAIT has asked the node that it leaves
                await self.write(commands)
                raise
        return answers[: len(commands)], min(answers[len(commands) :])


class Cluster(RedisCluster):
    """A cluster's client. Every failure of the cluster is a `RedisError`."""

    def __init__(
        self, hosts: Sequence[tuple[str, int]], settings: dict[str, Any], max_commands: int
    ) -> None:
        """Allow `max_commands` at a node at once, and as many pipelines in all."""
        context = settings.pop("context", None)
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in hosts],
            max_connections=2 * max_commands,
            reinitialize_steps=0,  # else each fifth redirection closes all connections
            **settings,
        )
        # One limit for each node: a silent one must not take the room of the others.
        self._commands = defaultdict[str, asyncio.Semaphore](
            lambda: asyncio.Semaphore(max_commands)
        )
        # A limit of their own: a pipeline that is redirected sends commands, which need room.
        self.pipelines = asyncio.Semaphore(max_commands)
        kind = TcpConnection if context is None else TlsConnection
        more = {} if context is None else {"context": context}
        self.connection_kwargs.update(connection_class=kind, **more)
        for node in self.startup_nodes:
            node.connection_class = kind
            node.connection_kwargs.update(more)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with _own_errors():
            return await super().execute_command(*args, **options)

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        async with self._commands[target_node.name]:
            return await super()._execute_command(target_node, *args, **options)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        return _Pipeline(self)  # type: ignore[abstract]

    def register_script(self, script: Any) -> Any:
        return _Script(self, script)

    def get_node(
        self, host: str | None = None, port: int | None = None, node_name: str | None = None
    ) -> ClusterNode | None:
        """A node. redis-py asks by name for the node of an ASK redirection."""
        node = super().get_node(host, port, node_name)
        if node_name is None:
            return node
        if node is None:
            name, _, number = node_name.rpartition(":")
            node = ClusterNode(name, int(number), PRIMARY, **self.connection_kwargs)
            self.nodes_manager.set_nodes(self.nodes_manager.nodes_cache, {node.name: node})
        # ASKING and the command that follows at once must take the same connection.
        node._free = _LastFirst(node._free)
        return node

    async def look_around(self) -> None:
        """Ask the nodes anew which of them are the primaries."""
        with _own_errors():
            if self._initialize:
                await self.initialize()
            else:
                await self.nodes_manager.initialize()

    async def home(self, name: str) -> ClusterNode:
        """The primary that has a key, as far as this client knows."""
        with _own_errors():
            if self._initialize:
                await self.initialize()
            node: Any = self.get_node_from_key(name)  # None is for replicas
        return node  # type: ignore[no-any-return]

    async def primaries_now(self) -> set[str]:
        """The names of the primaries, as a primary chosen by chance knows them."""
        asked = random.choice(self.get_primaries())  # noqa: S311 (no secret)
        parts = await asked.execute_command("CLUSTER SLOTS")
        homes = [
            (host.decode() if host else asked.host, port) for _, _, (host, port, *_), *_ in parts
        ]
        return {ClusterNode(host, port).name for host, port in homes}


class _Pipeline(ClusterPipeline):
    """Commands that are sent to their nodes together."""

    async def initialize(self) -> _Pipeline:
        return self  # `execute` initializes as well, and its caller bounds it

    async def execute(self, *how: bool, **more: bool) -> list[Any]:
        cluster: Any = self.cluster_client
        async with cluster.pipelines:
            with _own_errors():
                return await super().execute(*how, **more)


class _Script(AsyncScript):
    """A script. A node that does not know it gets its text with the call."""

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        cluster: Any = client or self.registered_client
        names = tuple(keys or ())
        given = (len(names), *names, *(args or ()))
        try:
            return await cluster.evalsha(self.sha, *given)
        except NoScriptError:
            return await cluster.eval(self.script, *given)


class _LastFirst(deque[Any]):
    """Free connections. The one that was used last is used next."""

    def popleft(self) -> Any:
        return self.pop()


@contextmanager
def _own_errors() -> Iterator[None]:
    """Turn what redis-py raises beside `RedisError` into one."""
    try:
        yield
    except RedisClusterException as error:
        raise ClusterError(type(error).__name__) from None

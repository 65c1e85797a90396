"""Push invalidation: Redis says which sessions changed, and the near cache forgets them.

One connection of its own, with `CLIENT TRACKING ON BCAST PREFIX` over RESP3: every DEL, SET, expiry
and FLUSH by anybody is pushed. While it is down, the near cache is empty and bypassed; a heartbeat
notices a server that is silent without having closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from redis.asyncio.cluster import RedisCluster

from gateway.store.connect import Client, Connection, dedicated
from gateway.store.near_cache import NearCache

_log = logging.getLogger("gateway.store")

# How long to wait before the next attempt to be told of changes, in seconds.
_RETRY = 0.25

# How often a cluster is asked whether it has other primaries by now, in seconds.
_LOOK_AGAIN = 1.0


class Tracking:
    """Keeps the near cache true. One connection, or one for each primary of a cluster."""

    def __init__(self, client: Client, near: NearCache, prefix: str, timeout: float) -> None:
        """`prefix` is what session keys begin with; a server that says nothing for `timeout`
        seconds after a heartbeat counts as gone.
        """
        self._client = client
        self._near = near
        self._prefix = prefix.encode()
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        told = False
        while True:
            try:
                await self._follow()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not told:
                    _log.warning("sessions are not remembered for now: %s", type(error).__name__)
                    told = True
            await asyncio.sleep(_RETRY)

    async def _follow(self) -> None:
        """Follows every primary until one of their connections ends."""
        connections = await self._open()
        try:
            listeners = [asyncio.create_task(self._listen(each)) for each in connections]
            if isinstance(self._client, RedisCluster):
                listeners.append(asyncio.create_task(self._watch_topology(self._client)))
            self._near.trust()
            self.ready.set()
            try:
                await asyncio.wait(listeners, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._distrust()
                for listener in listeners:
                    listener.cancel()
                results = await asyncio.gather(*listeners, return_exceptions=True)
            raise next(error for error in results if isinstance(error, Exception))
        finally:
            for connection in connections:
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)

    def _distrust(self) -> None:
        """From now on nobody tells of changes, so nothing may be remembered."""
        self._near.distrust(time.time())
        self.ready.clear()

    async def _open(self) -> list[Connection]:
        async with asyncio.timeout(self._timeout):
            connections = await dedicated(self._client)
            for connection in connections:
                parser: Any = connection._parser
                parser.set_invalidation_push_handler(self._invalidated)
                await connection.send_command(
                    "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self._prefix
                )
                await connection.read_response()
        return connections

    async def _listen(self, connection: Connection) -> None:
        """Reads pushes until the connection ends or its heartbeat stays without an answer."""
        asked = False
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    # A heartbeat that is due must not close the connection, for redis-py would
                    # open it again by itself, and nobody would track over the new one.
                    answer = await connection.read_response(
                        push_request=True, disconnect_on_error=False
                    )
                asked = asked and answer is None
            except TimeoutError:
                if asked:
                    raise
                if not connection.is_connected:
                    raise ConnectionError("the tracking connection is gone") from None
                await connection.send_command("PING", check_health=False)
                asked = True

    async def _watch_topology(self, cluster: RedisCluster) -> None:
        """Raises as soon as a cluster has other primaries than those that are followed."""
        followed = {node.name for node in cluster.get_primaries()}
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            if {node.name for node in cluster.get_primaries()} != followed:
                raise ConnectionError("the cluster has other primaries now")

    async def _invalidated(self, push: list[Any]) -> None:
        names = push[1]
        if names is None:  # FLUSHALL or FLUSHDB
            self._near.clear()
            return
        for name in names:
            self._near.forget(name[len(self._prefix) + 1 : -1].decode("ascii", "replace"))

"""Push invalidation: Redis pushes changes, and the near cache forgets.

Each primary has a connection of its own with `CLIENT TRACKING ON BCAST PREFIX` over RESP3: Redis
pushes every DEL, SET, expiry and FLUSH of any client. While one of the connections is down, or
leads to a server that is no primary any more, the near cache is empty and bypassed.

A server that is gone without a word is noticed by its silence. A heartbeat is sent each quarter of
the timeout, and three without an answer are too many. So a broken network hides a logout from this
gateway for one timeout at most. The heartbeat is HELLO, since its answer tells the role: a demoted
primary goes on to push what its new primary tells it, but late, or never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from redis.exceptions import RedisError, ResponseError

from gateway.store.errors import error_text
from gateway.store.near_cache import NearCache
from gateway.store.servers.connections import (
    Connection,
    NotPrimary,
    hang_up,
    is_primary,
    says_primary,
)
from gateway.store.servers.topology import Topology

_log = logging.getLogger("gateway.store")

# How long to wait before the next attempt to follow, in seconds.
_RETRY_SECONDS = 0.25

# How often to ask whether the primaries have changed, in seconds.
_LOOK_AGAIN_SECONDS = 0.5

# How many heartbeats are sent in one timeout, and how many may stay without an answer.
_BEATS = 4
_UNANSWERED = 3


# Prefixes of the policies that delete keys before they expire. Sessions have a time to live, so the
# policies of volatile keys concern them, too.
_EVICTING = ("allkeys-", "volatile-")

_POLICY = re.compile(r"^maxmemory_policy:(\S+)", re.MULTILINE)


class Silent(Exception):
    """The server has not answered for too long."""


class Tracking:
    """Keeps the near cache true: it follows every primary."""

    def __init__(
        self,
        topology: Topology,
        near: NearCache,
        prefix: str,
        timeout: float,
        *,
        on_follow: Callable[[], Awaitable[None]],
        on_loss: Callable[[], None],
    ) -> None:
        """What is followed, and who is told.

        prefix: what the names of session keys begin with
        timeout: for an attempt to follow, and for a server's silence (seconds)
        on_follow: awaited before a primary is trusted
        on_loss: called when open connections may lead to no primary any more
        """
        self._topology = topology
        self._near = near
        self._prefix = prefix.encode()
        self._timeout = timeout
        self._on_follow = on_follow
        self._on_loss = on_loss
        self._task: asyncio.Task[None] | None = None
        self._logged_reason = ""
        # The policy by which a full primary deletes sessions; "" for none.
        self.eviction_policy = ""
        self.ready = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except (NotPrimary, Silent) as error:
                self._gone(error)
                await self._begin_anew()
            except Exception as error:
                self._gone(error)
            await asyncio.sleep(_RETRY_SECONDS)

    def _gone(self, error: Exception) -> None:
        self.ready.clear()
        self._log_reason(error_text(error))

    async def _begin_anew(self) -> None:
        """Have look-ups and commands connect anew.

        Their connections may lead to a server that is no primary, or that is not followed.
        """
        self._on_loss()
        with contextlib.suppress(RedisError, OSError):
            await self._topology.reconnect()

    def _log_reason(self, reason: str) -> None:
        """Log once why sessions are not remembered, and once that they are again."""
        if reason != self._logged_reason:
            _log.warning("sessions are %s", f"not remembered: {reason}" if reason else "remembered")
            self._logged_reason = reason

    def _warn_of(self, policies: Sequence[str]) -> None:
        """Log once by which policy a full primary would log people out."""
        policy = next((name for name in policies if name.startswith(_EVICTING)), "")
        if policy and policy != self.eviction_policy:
            _log.warning(
                "the store's maxmemory-policy is %s: when its memory is full, people are logged "
                "out; say noeviction",
                policy,
            )
        self.eviction_policy = policy

    async def _follow(self) -> None:
        """Follow every primary until one of them is lost, or the primaries change."""
        async with asyncio.timeout(self._timeout):
            connections = await self._topology.connect_to_primaries()
        followers = [_Follower(connection, self._near, self._prefix) for connection in connections]
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.gather(*(follower.begin() for follower in followers))
            self._warn_of([follower.policy for follower in followers])
            self._topology.pin(connections)
            await self._begin_anew()
            trusted = all(follower.leads_to_primary for follower in followers)
            if trusted:
                await self._on_follow()
                self._near.trust()
            self._log_reason("" if trusted else NotPrimary.__name__)
            self.ready.set()
            beat = self._timeout / _BEATS
            tasks = [asyncio.create_task(follower.listen(beat)) for follower in followers]
            tasks.append(asyncio.create_task(self._watch(connections)))
            # A replica is read from; its name may soon lead to the primary.
            wait = None if trusted else _LOOK_AGAIN_SECONDS
            await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._topology.unpin()
            self._near.distrust(min(follower.heard for follower in followers))
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await hang_up(connections)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _watch(self, connections: Sequence[Connection]) -> None:
        """Raise `NotPrimary` as soon as the primaries change."""
        changed = False
        while not changed:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            # No answer is no evidence against the primaries that are followed.
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._timeout):
                    changed = await self._topology.have_changed(connections)
        raise NotPrimary


class _Follower:
    """Follows one server: the near cache forgets what it pushes."""

    def __init__(self, connection: Connection, near: NearCache, prefix: bytes) -> None:
        self._connection = connection
        self._near = near
        self._prefix = prefix
        self._beats: deque[float] = deque()  # send times of heartbeats without an answer
        self.leads_to_primary = True
        self.policy = ""  # what the server does when its memory is full; "" if unknown
        self.heard = time.time()  # every change before then has been pushed

    async def begin(self) -> None:
        connection, parser = self._connection, cast("Any", self._connection._parser)
        parser.set_invalidation_push_handler(self._invalidated)
        await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self._prefix)
        await connection.read_response()
        self.leads_to_primary = await is_primary(connection)
        self.policy = await _maxmemory_policy(connection)

    async def listen(self, beat: float) -> None:
        """Read pushes until the connection ends, or the server's role changes.

        A silent server ends it too.
        """
        while len(self._beats) < _UNANSWERED:
            if not self._connection.is_connected:
                # redis-py would open a new one by itself, over which nothing is tracked.
                raise Silent
            self._beats.append(time.time())
            await self._connection.send_command("HELLO", check_health=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(beat):
                    while True:
                        self._read(
                            await self._connection.read_response(
                                push_request=True, disconnect_on_error=False
                            )
                        )
        raise Silent

    def _read(self, answer: Any) -> None:
        """Note the answer to a heartbeat.

        Other messages are pushes, which are handled already.
        """
        if isinstance(answer, dict):
            self.heard = self._beats.popleft()
            if says_primary(answer) != self.leads_to_primary:
                raise NotPrimary

    async def _invalidated(self, push: list[Any]) -> None:
        names = push[1]
        if names is None:  # FLUSHALL or FLUSHDB
            self._near.clear()
            return
        for name in names:
            self._near.pushed(name[len(self._prefix) + 1 : -1].decode("ascii", "replace"))


async def _maxmemory_policy(connection: Connection) -> str:
    """The server's maxmemory-policy; "" where an ACL forbids to ask."""
    await connection.send_command("INFO", "memory")
    try:
        answer = await connection.read_response()
    except ResponseError:
        return ""
    found = _POLICY.search(answer.decode() if isinstance(answer, bytes) else str(answer))
    return found[1] if found else ""

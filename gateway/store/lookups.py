"""Looking sessions up: the misses of one loop turn go out together, as one command.

One small script reads the sealed values and touches those sessions that have been idle for a while,
so the throttle of the touches is exact over all gateways and needs no memory here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence

import hiredis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from gateway.core.sessions.keys import ID_CHARACTERS
from gateway.core.sessions.records import ENDS_AT, HEAD_SIZE, SEEN_AT
from gateway.store.errors import StoreUnavailable, described
from gateway.store.layout import Layout
from gateway.store.servers.link import Link, packed
from gateway.store.servers.topology import Topology

_log = logging.getLogger("gateway.store")

# KEYS: sessions. ARGV: now, idle timeout, slack, all in milliseconds; a session is touched when its
# remaining time has sunk by more than the slack, and never beyond its end. One that has more time
# left than it may be idle is a named key's, which is never idle: then it is only noted as seen. A
# server that takes no writes now (demoted, full) is read all the same (wire-rules.md#E14).
_SCRIPT = f"""
local found = {{}}
local now, idle, slack = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 1, #KEYS do
  local value = redis.call('GET', KEYS[i])
  found[i] = value
  if value and #value >= {HEAD_SIZE} then
    local left = redis.call('PTTL', KEYS[i])
    if left > idle then
      local seen = struct.unpack('>I4', string.sub(value, {SEEN_AT}, {SEEN_AT + 3})) * 1000
      if now - seen > slack then
        redis.pcall('SETRANGE', KEYS[i], {SEEN_AT - 1}, struct.pack('>I4', math.floor(now / 1000)))
      end
    elseif left >= 0 and left < idle - slack then
      local ends = struct.unpack('>I4', string.sub(value, {ENDS_AT}, {ENDS_AT + 3})) * 1000
      local lasts = math.floor(math.min(idle, ends - now))
      if lasts > left then
        redis.pcall('PEXPIRE', KEYS[i], lasts)
        redis.pcall('SETRANGE', KEYS[i], {SEEN_AT - 1}, struct.pack('>I4', math.floor(now / 1000)))
      end
    end
  end
end
return found
"""

# Touches are throttled to one in this long, or in a tenth of the idle timeout, in seconds.
_SLACK = 60.0

Asked = dict[str, list[asyncio.Future[bytes | None]]]  # who waits, by session id

# At most this many keys in one command, so that none holds the server for long.
_MOST = 256


class Lookups:
    """Sealed values by session id, for whoever asks in the same turn of the loop."""

    def __init__(
        self, topology: Topology, layout: Layout, idle_timeout: float, timeout: float
    ) -> None:
        """`timeout` bounds the whole wait of a caller, retries included, in seconds."""
        self._topology = topology
        self._client = topology.client
        # Asking for the running loop costs a system call each time (CPython 3.11 looks at the
        # process id), so it is asked for once.
        self._loop = asyncio.get_running_loop()
        self._layout = layout
        self._idle = idle_timeout
        self._timeout = timeout
        self._script: AsyncScript = topology.client.register_script(_SCRIPT)
        self._sha = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest().encode()
        blank = "0" * ID_CHARACTERS
        self._blank = packed(layout.session(blank).encode()).replace(blank.encode(), b"%b")
        self._link: Link | None = None
        self._linking: asyncio.Task[None] | None = None
        self._waiting: Asked = {}
        self._sent: Asked = {}  # the latest look-up of each id that has not been answered
        self._tasks: set[asyncio.Task[None]] = set()
        self._most = 1 if topology.is_sharded else _MOST

    def get(self, session_id: str) -> asyncio.Future[bytes | None]:
        """The record, or None if there is none; or `StoreUnavailable`.

        Whoever asks while an answer is on its way shares it. Each caller has a future of its own,
        so that one that is cancelled takes nobody with it.
        """
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        shared = self._sent.get(session_id)
        if shared is not None:
            shared.append(future)
            return future
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.setdefault(session_id, []).append(future)
        return future

    def changed(self, session_id: str | None) -> None:
        """A session has changed, or any may have (None): the answers that are on their way are too
        old to be shared by those who ask from now on.
        """
        if session_id is None:
            self._sent.clear()
        else:
            self._sent.pop(session_id, None)

    def begin_anew(self) -> None:
        """Looks up over another connection from now on, also than the one that is being opened."""
        if self._linking is not None:
            self._linking.cancel()
        self.drop_link()

    def drop_link(self) -> None:
        """Looks up over another connection from now on."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def close(self) -> None:
        tasks = [*self._tasks, *([self._linking] if self._linking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.drop_link()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._sent.update(waiting)
        ids = list(waiting)
        for at in range(0, len(ids), self._most):
            batch = {each: waiting[each] for each in ids[at : at + self._most]}
            task = self._loop.create_task(self._answer(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Asked) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                values = await self._read(list(batch))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, RedisError | OSError | asyncio.CancelledError):
                _log.error("a look-up failed: %s", described(error))
            # Whatever was asked over the link may be answered late, or never.
            self.drop_link()
            self._answered(batch)
            for futures in batch.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(StoreUnavailable())
            return
        self._answered(batch)
        for futures, value in zip(batch.values(), values, strict=True):
            for future in futures:
                if not future.done():
                    future.set_result(value)

    def _answered(self, batch: Asked) -> None:
        """From now on nobody can share these answers."""
        for session_id, futures in batch.items():
            if self._sent.get(session_id) is futures:
                del self._sent[session_id]

    async def _read(self, ids: Sequence[str]) -> list[bytes | None]:
        slack = min(_SLACK, self._idle / 10)
        arguments = [int(each * 1000) for each in (time.time(), self._idle, slack)]
        link = self._link
        if link is not None and link.usable:
            try:
                return await link.ask(self._command(ids, arguments))  # type: ignore[no-any-return]
            except (hiredis.ReplyError, ConnectionError):
                self.drop_link()  # the client finds out what is wrong
        self._link_soon()
        return await self._read_by_client(ids, arguments)

    def _command(self, ids: Sequence[str], arguments: list[int]) -> bytes:
        """The script's call, packed. Session ids have one length, so each key is a mere blank."""
        blank, names = self._blank, [each.encode() for each in ids]
        return b"".join(
            [
                b"*%d\r\n$7\r\nEVALSHA\r\n" % (6 + len(ids)),
                packed(self._sha, b"%d" % len(ids)),
                *[blank % name for name in names],
                packed(*[b"%d" % each for each in arguments]),
            ]
        )

    async def _read_by_client(self, ids: Sequence[str], arguments: list[int]) -> list[bytes | None]:
        keys = [self._layout.session(each) for each in ids]
        try:
            return await self._script(keys=keys, args=arguments)  # type: ignore[no-any-return]
        except ResponseError:
            # A server that takes no writes now may still be read (wire-rules.md#E14).
            return await self._client.mget(keys)  # type: ignore[return-value]

    def _link_soon(self) -> None:
        """Opens a link beside the requests. In a cluster there is none: keys have many homes."""
        idle = self._linking is None or self._linking.done()
        if idle and not self._topology.is_sharded:
            self._linking = self._loop.create_task(self._open_link())

    async def _open_link(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                self._link = await Link.open(self._topology, _SCRIPT)
        except (RedisError, OSError, TimeoutError):
            pass  # the next look-up tries again

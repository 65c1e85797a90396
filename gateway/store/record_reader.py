"""Reading records and touching the used sessions, by one script.

So the throttle of the touches is exact over all gateways and needs no memory here. The script is
called over a link (`servers/link.py`), or by redis-py's client while there is none.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence

import hiredis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from gateway.core.sessions.keys import ID_CHARACTERS
from gateway.core.sessions.records import (
    ENDS_AT,
    HEAD_SIZE,
    IDLE_AT,
    OWN_HEAD_SIZE,
    OWN_VERSION,
    SEEN_AT,
)
from gateway.store.layout import Layout
from gateway.store.servers.link import Link, packed
from gateway.store.servers.topology import Topology

# A session is touched once in this long, or in a tenth of the idle timeout (seconds).
_SLACK_SECONDS = 60.0

# KEYS: sessions. ARGV: now, idle timeout, slack, all in milliseconds. A session may have an idle
# timeout of its own; then the slack is a tenth of it, if that is less. A session is touched when
# its remaining time has sunk by more than the slack, and never beyond its end. One that has more
# time left than it may be idle is a named key's, which is never idle: then it is only noted as
# seen. A server that takes no writes now (demoted, full) is read all the same (wire-rules.md#E14).
_SCRIPT = f"""
local found = {{}}
local now = tonumber(ARGV[1])
for i = 1, #KEYS do
  local value = redis.call('GET', KEYS[i])
  found[i] = value
  if value and #value >= {HEAD_SIZE} then
    local left, idle, slack = redis.call('PTTL', KEYS[i]), tonumber(ARGV[2]), tonumber(ARGV[3])
    if string.byte(value, 1) == {OWN_VERSION} and #value >= {OWN_HEAD_SIZE} then
      local own = struct.unpack('>I4', string.sub(value, {IDLE_AT}, {IDLE_AT + 3})) * 1000
      if own > 0 then idle, slack = own, math.min({_SLACK_SECONDS} * 1000, own / 10) end
    end
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

# How many keys stand in one command, so that none holds the server for long.
_MAX_KEYS = 256


class UntouchingReader:
    """Reads records, and leaves the sessions as idle as they were."""

    def __init__(self, topology: Topology, layout: Layout) -> None:
        self.max_ids = 1 if topology.is_sharded else _MAX_KEYS
        self._client = topology.client
        self._layout = layout

    async def read(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of at most `max_ids` sessions; None for a missing one.

        Raises `RedisError` and `OSError`.
        """
        names = [self._layout.session(session_id) for session_id in ids]
        return await self._client.mget(names)  # type: ignore[return-value]

    def drop_link(self) -> None:
        """Nothing to do: the client opens its connections anew by itself."""

    async def close(self) -> None:
        """Nothing to do: the client's owner closes it."""


class RecordReader:
    """Reads the records of sessions by their ids."""

    def __init__(
        self, topology: Topology, layout: Layout, idle_timeout: float, timeout: float
    ) -> None:
        """`timeout` bounds the opening of a link; both are in seconds."""
        self.max_ids = 1 if topology.is_sharded else _MAX_KEYS
        self._topology = topology
        self._layout = layout
        self._idle = idle_timeout
        self._slack = min(_SLACK_SECONDS, idle_timeout / 10)
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._script: AsyncScript = topology.client.register_script(_SCRIPT)
        self._sha = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest().encode()
        blank = "0" * ID_CHARACTERS
        self._blank = packed(layout.session(blank).encode()).replace(blank.encode(), b"%b")
        self._link: Link | None = None
        self._linking: asyncio.Task[None] | None = None

    async def read(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of at most `max_ids` sessions; None for a missing one.

        Raises `RedisError` and `OSError`.
        """
        arguments = [int(seconds * 1000) for seconds in (time.time(), self._idle, self._slack)]
        link = self._link
        if link is not None and link.usable:
            try:
                return await link.ask(self._command(ids, arguments))  # type: ignore[no-any-return]
            except (hiredis.ReplyError, ConnectionError):
                self.drop_link()  # the client finds out what is wrong
        self._link_soon()
        return await self._read_by_client(ids, arguments)

    def reconnect(self) -> None:
        """Read over a new connection from now on, even if one is being opened."""
        if self._linking is not None:
            self._linking.cancel()
        self.drop_link()

    def drop_link(self) -> None:
        """Read over another connection from now on."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def close(self) -> None:
        if self._linking is not None:
            self._linking.cancel()
            await asyncio.gather(self._linking, return_exceptions=True)
        self.drop_link()

    def _command(self, ids: Sequence[str], arguments: list[int]) -> bytes:
        """The script's call, packed.

        Session ids have one length, so a key is a mere blank.
        """
        blank, names = self._blank, [session_id.encode() for session_id in ids]
        return b"".join(
            [
                b"*%d\r\n$7\r\nEVALSHA\r\n" % (6 + len(ids)),
                packed(self._sha, b"%d" % len(ids)),
                *[blank % name for name in names],
                packed(*[b"%d" % argument for argument in arguments]),
            ]
        )

    async def _read_by_client(self, ids: Sequence[str], arguments: list[int]) -> list[bytes | None]:
        keys = [self._layout.session(session_id) for session_id in ids]
        try:
            return await self._script(keys=keys, args=arguments)  # type: ignore[no-any-return]
        except ResponseError:
            # A server that takes no writes now may still be read (wire-rules.md#E14).
            return await self._topology.client.mget(keys)  # type: ignore[return-value]

    def _link_soon(self) -> None:
        """Open a link beside the requests.

        A sharded store has none, since its keys have many servers.
        """
        idle = self._linking is None or self._linking.done()
        if idle and not self._topology.is_sharded:
            self._linking = self._loop.create_task(self._open_link())

    async def _open_link(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                self._link = await Link.open(self._topology, _SCRIPT)
        except (RedisError, OSError, TimeoutError):
            pass  # the next look-up tries again

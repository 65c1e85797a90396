"""Writing another token into a session, by compare-and-set.

It is written only over the very value that was read, and never over nothing. So no write resurrects
a session that was revoked meanwhile.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.core.sessions import records
from gateway.core.sessions.keys import Key
from gateway.core.sessions.records import (
    ENDS_AT,
    HEAD_SIZE,
    HEAD_SIZE_LUA,
    TEXTS_SIZE_AT,
    Records,
)
from gateway.core.sessions.sealing import NONCE_BYTES
from gateway.core.sessions.session import Lifetimes, Session, Token
from gateway.store.directory import Directory
from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client

# KEYS: session. ARGV: the seal that was read, the new seal; and if the session's end changes, the
# new end (UNIX seconds) and how long it lasts (milliseconds). What stands before the seal may have
# changed meanwhile.
_REPLACE = f"""
local record = redis.call('GET', KEYS[1])
if not record then return 'gone' end
if #record < {HEAD_SIZE} then return 'lost' end
local texts = struct.unpack('>I2', string.sub(record, {TEXTS_SIZE_AT}, {HEAD_SIZE}))
local open = string.sub(record, 1, {HEAD_SIZE_LUA} + texts)
if record ~= open .. ARGV[1] then return 'lost' end
if #ARGV == 2 then
  redis.call('SET', KEYS[1], open .. ARGV[2], 'KEEPTTL')
else
  local before, after = string.sub(open, 1, {ENDS_AT} - 1), string.sub(open, {ENDS_AT} + 4)
  local ends = struct.pack('>I4', tonumber(ARGV[3]))
  redis.call('SET', KEYS[1], before .. ends .. after .. ARGV[2], 'PX', ARGV[4])
end
return 'kept'
"""

# Whether the session has the new token, has another one that came first, or has ended.
Outcome = Literal["kept", "lost", "gone"]


@dataclass(frozen=True, slots=True)
class Renewed:
    """A token that replaces a session's, and what comes with it."""

    token: Token
    expires_at: float  # UNIX seconds; infinite if the token has no expiry
    renew_at: float  # infinite if it cannot be renewed
    refresh: str  # the next refresh token, which may be the same
    csrf: str = ""  # the value of a double submit that came with the token
    answer: bytes = field(default=b"", repr=False)  # to refresh calls (see `refresh_answers`)
    answer_lasts: float = 0.0  # seconds


class TokenWriter:
    """Reads sessions to be changed, and writes them back."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        kept: Records,
        directory: Directory,
        *,
        lifetimes: Lifetimes,
        timeout: float,
    ) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._client = client
        self._layout = layout
        self._records = kept
        self._directory = directory
        self._lifetimes = lifetimes
        self._timeout = timeout
        self._script = client.register_script(_REPLACE)

    async def read(self, key: Key, session_id: str) -> tuple[Session | None, bytes]:
        """The session as it is now, and its record. Raises `StoreUnavailable`."""
        record = await self._ask(self._client.get(self._layout.session(session_id)))
        if record is None:
            return None, b""
        try:
            return self._records.open(key, session_id, record), record
        except ValueError:
            return None, b""

    async def renew(self, key: Key, new: Session, record: bytes) -> Outcome:
        """Write a session whose end stays. Raises `StoreUnavailable`.

        `record` is the record that was read.
        """
        return await self._replace(key, new, record)

    async def adopt(
        self, key: Key, session: Session, record: bytes, renewed: Renewed
    ) -> tuple[Outcome, Session]:
        """Give a session a token that the backend sent by itself, and its end.

        Raises `StoreUnavailable`.
        """
        now = time.time()
        latest = records.read_info(record).created + self._lifetimes.max_age_of(session.life)
        # As for a new session: one whose token cannot be renewed ends with it.
        renews = not math.isinf(renewed.renew_at)
        ends = latest if renews else min(latest, renewed.expires_at + self._lifetimes.skew)
        new = replace(
            session,
            token=renewed.token,
            ends_at=ends,
            expires_at=renewed.expires_at,
            renew_at=renewed.renew_at,
            refresh=renewed.refresh,
            csrf=renewed.csrf or session.csrf,  # the reply takes it to the browser
            _claims=None,
        )
        if ends > session.ends_at:
            # First the index: it may name an ended session, but must not miss a living one.
            await self._directory.extend(session.subject, session.id, ends)
        idle = self._lifetimes.idle_of(session.life)
        lasts = max(1, int(min(idle, ends - now) * 1000))
        return await self._replace(key, new, record, records.end_seconds(ends), lasts), new

    async def _replace(self, key: Key, new: Session, record: bytes, *ends: int) -> Outcome:
        nonce = secrets.token_bytes(NONCE_BYTES)
        seal, new_seal = self._records.renewed(key, new, record, nonce)
        name = self._layout.session(new.id)
        outcome = await self._ask(self._script(keys=[name], args=[seal, new_seal, *ends]))
        return outcome.decode()  # type: ignore[no-any-return]

    async def _ask(self, work: Awaitable[Any]) -> Any:
        return await bounded(work, self._timeout)

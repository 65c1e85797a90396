"""Sessions at rest: issue, resolve and revoke, over one store that speaks the Redis protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from redis.exceptions import RedisError

from gateway.core import keys, records, sessions
from gateway.core.keys import Key
from gateway.core.records import Foreign, Records
from gateway.core.sealing import NONCE_BYTES, Sealer, Unsealable
from gateway.core.sessions import Device, Session, Token, Unreadable
from gateway.store.connect import Client, connect
from gateway.store.errors import StoreUnavailable
from gateway.store.layout import Layout
from gateway.store.lookups import Lookups
from gateway.store.near_cache import Entry, NearCache
from gateway.store.renewals import Renewals
from gateway.store.tracking import Tracking

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.store")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The credential names no session that lives."""

    reason: Literal["malformed_key", "unknown_key"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A new session, and the one key that opens it."""

    key: Key
    session: Session


class Sessions:
    """The four things that happen to a session, but for renewal.

    Whatever raises `StoreUnavailable` has done nothing that anybody may rely on.
    """

    def __init__(
        self,
        client: Client,
        *,
        sealer: Sealer,
        layout: Layout,
        near: NearCache,
        idle_timeout: float,
        max_age: float,
        skew: float,
        timeout: float,
        render: Callable[[Session], bytes],
    ) -> None:
        """Times in seconds; `skew` is how far a backend's clock may differ from ours; `render`
        makes the fields that upstreams get for a session.
        """
        self.near = near
        self._client = client
        self._records = Records(sealer)
        self._layout = layout
        self._idle = idle_timeout
        self._max_age = max_age
        self.skew = skew
        self._timeout = timeout
        self._render = render
        self._lookups = Lookups(client, layout, idle_timeout, timeout)
        self._tracking = Tracking(client, near, layout.sessions, timeout)
        self.renewals = Renewals(client, layout, self._records, skew=skew, timeout=timeout)

    async def start(self) -> None:
        """Begins to follow changes; waits a moment for it, but works without."""
        self._tracking.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self._tracking.ready.wait()

    async def close(self) -> None:
        await self.renewals.close()
        await self._tracking.stop()
        await self._lookups.close()
        await self._client.aclose()

    @property
    def available(self) -> bool:
        """Whether the store answers, as far as the tracking connection knows."""
        return self._tracking.ready.is_set()

    async def resolve(self, credential: bytes, *, renew: bool = True) -> Entry | Unresolved:
        """The session that a credential opens, with a token that is good unless `renew` is False.

        Raises `StoreUnavailable` and `RenewalFailed`.
        """
        key = keys.parse_key(credential)
        if key is None:
            return Unresolved("malformed_key")
        session_id = keys.session_id(key)
        self.near.expects(session_id)
        entry = None
        try:
            session = await self._read(key, session_id)
            if session is not None and renew and session.renew_at <= time.time():
                session = await self.renewals.current(key, session)
            if session is not None:
                entry = self._entry(session)
        finally:
            self.near.learned(credential, entry, session_id, time.time())
        return Unresolved("unknown_key") if entry is None else entry

    async def replaced(self, credential: bytes, entry: Entry) -> Entry | None:
        """The entry with another token, after an upstream has refused the one that it has; None
        when there is none to be had.
        """
        key = keys.parse_key(credential)
        if key is None:
            return None
        try:
            session = await self._read(key, entry.session.id)
            if session is not None and session.token == entry.session.token:
                session = await self.renewals.replaced(key, session)
        except StoreUnavailable:
            return None
        return None if session is None else self._entry(session)

    async def living(self, session_ids: Iterable[str]) -> set[str]:
        """Those of the sessions that have not ended. Raises `StoreUnavailable`."""
        ids = list(session_ids)

        async def ask() -> list[int]:
            async with self._client.pipeline(transaction=False) as pipe:
                for each in ids:
                    pipe.exists(self._layout.session(each))
                return await pipe.execute()

        found = await self._bounded(ask())
        return {each for each, exists in zip(ids, found, strict=True) if exists}

    def touch(self, session_id: str) -> None:
        """Takes note that a session is not idle, as any look-up of it does."""
        # Whether that succeeds, nobody waits for.
        self._lookups.get(session_id).add_done_callback(lambda done: done.exception())

    async def issue(
        self,
        *,
        token: str,
        subject: str,
        login: str,
        device: Device,
        token_expiry: float | None,
        refresh: str = "",
        renew_before: float | None = None,
    ) -> Issued:
        """A new session under a new key. Raises `StoreUnavailable`; then there is no session.

        `refresh` is what renews the token, and `renew_before` how long before its expiry, in
        seconds; None if it is not renewed.
        """
        now = time.time()
        key = keys.new_key(secrets.token_bytes(32))
        ends, expires, renew = sessions.times(
            now,
            max_age=self._max_age,
            expiry=token_expiry,
            skew=self.skew,
            renew_before=renew_before,
        )
        session = Session(
            keys.session_id(key),
            subject,
            Token(token.encode("ascii")),
            login,
            ends,
            expires,
            renew,
            refresh,
        )
        record = self._records.new(key, session, device, now, secrets.token_bytes(NONCE_BYTES))
        await self._bounded(self._write(session, record, now))
        return Issued(key, session)

    async def revoke(self, session_id: str) -> bool:
        """Ends a session, here at once and everywhere within a push; False if there was none.

        Raises `StoreUnavailable` when it is not certain that the session is gone.
        """
        self.near.forget(session_id)
        return await self._bounded(self._delete(session_id))

    async def _read(self, key: Key, session_id: str) -> Session | None:
        """The session as the store has it, if it can be opened and has not ended."""
        record = await self._lookups.get(session_id)
        if record is None:
            return None
        try:
            session = self._records.open(key, session_id, record)
        except (Foreign, Unsealable, Unreadable) as error:
            _log.error("session %s cannot be opened: %s", session_id[:12], type(error).__name__)
            return None
        return session if session.ends_at > time.time() else None

    def _entry(self, session: Session) -> Entry | None:
        """What requests need of a session, and until when it may be remembered."""
        now = time.time()
        until = session.renew_at if session.renew_at > now else self.renewals.retry_at(session, now)
        try:
            return Entry(session, self._render(session), session.token.raw, until)
        except (ValueError, IndexError) as error:
            _log.error("session %s cannot be used: %s", session.id[:12], type(error).__name__)
            return None

    async def _write(self, session: Session, record: bytes, now: float) -> None:
        """The index first: a stale entry in it heals, a session outside it could not be listed."""
        ends, layout = session.ends_at, self._layout
        index = layout.subject(session.subject)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(index, "-inf", now)
            pipe.zadd(index, {session.id: math.ceil(ends)})
            pipe.expireat(index, int(ends) + 1, gt=True)
            pipe.expireat(index, int(ends) + 1, nx=True)
            await pipe.execute()
        lasts = max(1, int(min(self._idle, ends - now) * 1000))
        await self._client.set(layout.session(session.id), record, px=lasts)

    async def _delete(self, session_id: str) -> bool:
        record = await self._client.getdel(self._layout.session(session_id))
        if record is None:
            return False
        # The session is gone already; a stale entry in the index heals at the next login.
        with contextlib.suppress(RedisError, OSError, Foreign):
            subject = records.load(record).subject  # type: ignore[arg-type]
            await self._client.zrem(self._layout.subject(subject), session_id)
        return True

    async def _bounded(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("the store is unavailable: %s", type(error).__name__)
            raise StoreUnavailable from None


def open_sessions(
    config: Config, *, url: str, secrets: tuple[str, ...], render: Callable[[Session], bytes]
) -> Sessions:
    """The sessions of a configuration, in the store at `url`."""
    near = config.store.near_cache
    return Sessions(
        connect(url, config.store.timeout),
        sealer=Sealer(secrets),
        layout=Layout(config.store.prefix),
        near=NearCache(near.entries, near.ttl),
        idle_timeout=config.session.idle_timeout,
        max_age=config.session.max_age,
        skew=config.session.clock_skew,
        timeout=config.store.timeout,
        render=render,
    )

"""Sessions at rest: issued and revoked, over one store that speaks the Redis protocol. How they are
resolved and renewed has modules of its own.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.config.realms import realms
from gateway.core.sessions import keys, records, subjects
from gateway.core.sessions.keys import Key
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.records import Foreign, Records, SessionInfo
from gateway.core.sessions.sealing import NONCE_BYTES, Sealer
from gateway.core.sessions.session import Device, Session, Token, session_times
from gateway.observe.events import Report, ignore, of_sessions
from gateway.store.directory import Directory
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.login_failures import Failures
from gateway.store.lookups import Lookups
from gateway.store.near_cache import NearCache
from gateway.store.renewals import Renewals
from gateway.store.replay_guard import ReplayGuard
from gateway.store.resolver import Resolver
from gateway.store.revocation_latency import RevocationLatency
from gateway.store.revocations import Revocations
from gateway.store.servers.connect import access, connect
from gateway.store.servers.topology import Topology
from gateway.store.token_updates import TokenWriter
from gateway.store.tracking import Tracking
from gateway.store.writes import Writes

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.store")


# How often a session in use is looked up in its idle timeout, at the least.
_LOOKS_PER_IDLE_TIMEOUT = 4

# How many sessions one command ends: 1,000 take Redis about a millisecond.
_AT_ONCE = 1000


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
        topology: Topology,
        *,
        sealer: Sealer,
        layout: Layout,
        near: NearCache,
        idle_timeout: float,
        max_age: float,
        skew: float,
        timeout: float,
        render: Callable[[Session], bytes],
        replicas: int = 0,
        most: int = 0,
        realms: Mapping[str, Realm] = MappingProxyType({}),
        report: Report = ignore,
        observe_latency: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Times in seconds; `skew` is how far a backend's clock may differ from ours; `render`
        makes the fields that upstreams get for a session; `replicas` must have a login or a logout
        before it counts as done; `most` is how many sessions a subject may have, or 0 for any
        number; `realms` are those of the logins, by their paths; `observe_latency` is told
        how long each revocation takes to be pushed, in seconds.
        """
        client = topology.client
        self.near = near
        self.skew = skew
        self._writes = Writes(topology, replicas, timeout)
        self.directory = Directory(client, layout, self._writes, timeout)
        self.failures = Failures(client, layout, sealer, timeout)
        self.replay_guard = ReplayGuard(client, layout, timeout)
        self.sealer = sealer
        self._records = Records(sealer)
        self.token_writer = TokenWriter(
            client,
            layout,
            self._records,
            self.directory,
            idle_timeout=idle_timeout,
            max_age=max_age,
            skew=skew,
            timeout=timeout,
        )
        self.renewals = Renewals(
            client, layout, self.token_writer, skew=skew, timeout=timeout, report=report
        )
        self._client = client
        self._layout = layout
        self._idle = idle_timeout
        self._max_age = max_age
        self._timeout = timeout
        self._most = most
        # Where a name is a subject as it comes, each is one of its realm.
        self._realms = {login: realm for login, realm in realms.items() if not realm.is_alone}
        self.report = report
        self._latency = RevocationLatency(observe_latency)
        self._lookups = Lookups(topology, layout, idle_timeout, timeout)
        near.on_change = self._lookups.changed
        near.on_push = self._latency.pushed
        self._revocations = Revocations(client, layout, timeout)
        self._tracking = Tracking(
            topology,
            near,
            layout.sessions,
            timeout,
            begun=self._revocations.repeat,
            lost=self._lookups.begin_anew,
        )
        resolver = Resolver(
            near,
            self._lookups,
            self._records,
            self.renewals,
            render,
            is_available=self._tracking.ready.is_set,
            is_gone=self._revocations.is_done,
            is_named=self._is_named,
        )
        self.resolve, self.replaced = resolver.resolve, resolver.replaced

    async def start(self) -> None:
        """Begins to follow changes; waits a moment for it, but works without."""
        self._tracking.start()
        with suppress(StoreUnavailable):
            await bounded(self._tracking.ready.wait(), self._timeout)

    async def close(self) -> None:
        await self.renewals.close()
        await self._tracking.stop()
        await self._lookups.close()
        await self._client.aclose()

    @property
    def available(self) -> bool:
        """Whether the store answers, as far as the tracking connection knows."""
        return self._tracking.ready.is_set()

    @property
    def evicts(self) -> str:
        """The store's maxmemory-policy, if it would log people out; else ""."""
        return self._tracking.evicts

    # Issue.

    async def issue(
        self,
        *,
        token: str,
        subject: str,
        login: str,
        device: Device,
        token_expiry: float | None,
        refresh: str = "",
        cookie: str = "",
        renew_before: float | None = None,
        lasts: float | None = None,
        names: Sequence[str] = (),
    ) -> Issued:
        """A new session under a new key. Raises `StoreUnavailable`; then there is no session.

        `refresh` is what renews the token, and `renew_before` how long before its expiry, in
        seconds; None if it is not renewed. `cookie` is what is kept of the one that holds the key.
        `lasts` is how long the session does, whether it is used or not, in seconds; None if that is
        up to the timeouts. `names` are what others call it.
        """
        now = time.time()
        key = keys.new_key(secrets.token_bytes(32))
        ends, expires, renew = session_times(
            now,
            max_age=self._max_age if lasts is None else lasts,
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
            cookie,
        )
        idle = self._idle if lasts is None else lasts
        number = await self._write(key, session, device, now, idle, names)
        if 0 < self._most < number:
            await self._make_room(subject)
        return Issued(key, session)

    async def _write(
        self,
        key: Key,
        session: Session,
        device: Device,
        now: float,
        idle: float,
        names: Sequence[str],
    ) -> int:
        """The session first: what the index names without there being a session has ended. Returns
        how many the index names.
        """
        record = self._records.new(key, session, device, now, secrets.token_bytes(NONCE_BYTES))
        lasts = max(1, int(min(idle, session.ends_at - now) * 1000))
        name = self._layout.session(session.id)
        await self._writes.do(("SET", name, record, "PX", lasts))
        try:
            return await self.directory.enter(
                session.subject, session.id, session.ends_at, now, names
            )
        except StoreUnavailable:
            # Nobody has the key, so the session would only be idle until it ends.
            with suppress(StoreUnavailable):
                await bounded(self._client.delete(name), self._timeout)
            raise

    async def _make_room(self, subject: str) -> None:
        """Ends the oldest sessions of a subject that has more than it may have.

        Logins at the same time all do it, in the same order, so that none ends one too many.
        """
        async for ended in self._revoke_all((await self.directory.by_age(subject))[: -self._most]):
            for event in of_sessions("revoke", ended, reason="too_many", by="limit"):
                self.report(event)

    # Revoke.

    async def revoke(self, *session_ids: str) -> dict[str, SessionInfo]:
        """Ends sessions, here at once and everywhere within a push. Returns those that there were.

        Raises `StoreUnavailable` when it is not certain that all of them are gone.
        """
        if not session_ids:
            return {}
        self._revocations.asked(session_ids)
        for each in session_ids:
            self.near.forget(each)
            self._latency.asked(each)
        names = [self._layout.session(each) for each in session_ids]
        found = await self._writes.do(*(("GETDEL", name) for name in names))
        self._revocations.done(session_ids)
        ended = {
            session_id: _said(record)
            for session_id, record in zip(session_ids, found, strict=True)
            if record is not None
        }
        # They are gone already; a stale entry in the index heals.
        with suppress(StoreUnavailable):
            await self.directory.leave({each: said.subject for each, said in ended.items()})
        return ended

    async def revoke_all(self, subject: str) -> AsyncIterator[dict[str, SessionInfo]]:
        """Ends all sessions of a subject, those that this version cannot read as well; some at a
        time, which are returned as `revoke` does. Raises `StoreUnavailable`.
        """
        async for ended in self._revoke_all(await self.directory.ids(subject)):
            yield ended

    async def revoke_others(
        self, subject: str, present: str
    ) -> AsyncIterator[dict[str, SessionInfo]]:
        """The same for all but the session `present`, which lives: an index that does not name it
        was lost, and is made anew first.
        """
        await self.directory.restore(subject, present)
        ids = await self.directory.ids(subject)
        async for ended in self._revoke_all([other for other in ids if other != present]):
            yield ended

    async def revoke_issued_before(self, moment: float) -> AsyncIterator[dict[str, SessionInfo]]:
        """Ends all sessions that were issued before a moment (UNIX seconds), of whomever; some at a
        time, which are returned as `revoke` does. Raises `StoreUnavailable`.
        """
        async for some in self.directory.every():
            older = [session_id for session_id, said in some.items() if said.created < moment]
            yield await self.revoke(*older)

    async def _revoke_all(self, ids: Sequence[str]) -> AsyncIterator[dict[str, SessionInfo]]:
        for at in range(0, len(ids), _AT_ONCE):
            yield await self.revoke(*ids[at : at + _AT_ONCE])

    async def living(self, session_ids: Iterable[str]) -> set[str]:
        """Those of the sessions that have not ended. Raises `StoreUnavailable`."""
        ids = list(session_ids)
        async with self._client.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.exists(self._layout.session(each))
            found = await bounded(pipe.execute(), self._timeout)
        return {each for each, exists in zip(ids, found, strict=True) if exists}

    def _is_named(self, session: Session) -> bool:
        realm, subject = self._realms.get(session.login), session.subject
        if realm is None or realm.name_in(subject) is not None:
            return True
        return subjects.is_unnamed(subject)

    def touch(self, session_id: str) -> None:
        """Takes note that a session is not idle, as any look-up of it does."""
        # Whether that succeeds, nobody waits for.
        self._lookups.get(session_id).add_done_callback(lambda done: done.exception())


def _said(record: bytes) -> SessionInfo:
    """What a record says in the open; nothing, if it is none of ours."""
    try:
        return records.read_info(record)
    except Foreign:
        return SessionInfo("", "", "", 0, 0, 0)


def open_sessions(
    config: Config,
    *,
    url: str,
    secrets: tuple[str, ...],
    render: Callable[[Session], bytes],
    report: Report = ignore,
    observe_latency: Callable[[float], None] = lambda _seconds: None,
) -> Sessions:
    """The sessions of a configuration, in the store at `url`."""
    near = config.store.near_cache
    return Sessions(
        connect(url, config.store.timeout, access(config.store, url)),
        sealer=Sealer(secrets),
        layout=Layout(config.store.prefix),
        near=NearCache(
            near.entries,
            # What is remembered is not touched, and must not become idle by that.
            min(near.ttl, config.session.idle_timeout / _LOOKS_PER_IDLE_TIMEOUT),
            config.store_outage.serve_cached,
        ),
        idle_timeout=config.session.idle_timeout,
        max_age=config.session.max_age,
        skew=config.session.clock_skew,
        timeout=config.store.timeout,
        render=render,
        replicas=config.store.replicas,
        most=config.session.max_per_subject,
        realms=realms(config),
        report=report,
        observe_latency=observe_latency,
    )

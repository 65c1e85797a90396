"""Sessions in one store: the composition of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.config.login_places import logins_with_jwt_keys
from gateway.config.realms import realms
from gateway.core.sessions import subjects
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.records import Records
from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import Lifetimes, Session
from gateway.observe.events import Report, ignore
from gateway.store.directory import Directory
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.issuer import Issuer
from gateway.store.key_texts import KeyTexts
from gateway.store.lasting_cookies import LastingCookies
from gateway.store.layout import Layout
from gateway.store.login_failures import LoginFailures
from gateway.store.lookups import Lookups
from gateway.store.near_cache import NearCache
from gateway.store.record_reader import RecordReader, UntouchingReader
from gateway.store.refresh_answers import RefreshAnswers
from gateway.store.renewals import Renewals
from gateway.store.replay_guard import ReplayGuard
from gateway.store.resolver import LOOKS_PER_IDLE_TIMEOUT, Resolver
from gateway.store.revocation_latency import RevocationLatency
from gateway.store.revocations import Revocations
from gateway.store.revoker import Revoker
from gateway.store.servers.connect import access, connect
from gateway.store.servers.topology import Topology
from gateway.store.shared_limits import SharedLimits
from gateway.store.temporary_tokens import TemporaryTokens
from gateway.store.token_updates import TokenWriter
from gateway.store.tracking import Tracking
from gateway.store.writes import Writes

if TYPE_CHECKING:
    from gateway.config.model import Config


class Sessions:
    """Issues, resolves, renews and revokes sessions.

    What raises `StoreUnavailable` has done nothing that can be relied on.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        sealer: Sealer,
        layout: Layout,
        near: NearCache,
        lifetimes: Lifetimes,
        timeout: float,
        render: Callable[[Session], bytes],
        replicas: int = 0,
        max_per_subject: int = 0,
        realms: Mapping[str, Realm] = MappingProxyType({}),
        key_texts: KeyTexts | None = None,
        report: Report = ignore,
        observe_latency: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """What the store is, and what sessions are bound by.

        timeout: for each of the store's answers (seconds)
        render: makes the fields that upstreams get for a session
        replicas: how many must have a login or a logout before it counts as done
        max_per_subject: how many sessions a subject may have; 0 for any number
        realms: those of the logins, by their paths
        key_texts: writes keys for clients; None writes them as they are
        report: is told what happens to sessions that no request asked for
        observe_latency: is told how long a revocation took to be pushed (seconds)
        """
        client = topology.client
        self.near = near
        self.sealer = sealer
        self.skew = lifetimes.skew
        self.report = report
        self.key_texts = key_texts or KeyTexts()
        self._client = client
        self._layout = layout
        self._timeout = timeout
        # In a realm that is alone every subject is one of its own, so there is nothing to check.
        self._realms = {login: realm for login, realm in realms.items() if not realm.is_alone}
        writes, records = Writes(topology, replicas, timeout), Records(sealer)
        latency = RevocationLatency(observe_latency)
        revocations = Revocations(client, layout, timeout)
        self.directory = Directory(client, layout, writes, timeout)
        self.failures = LoginFailures(client, layout, sealer, timeout)
        self.replay_guard = ReplayGuard(client, layout, timeout)
        self.temporary_tokens = TemporaryTokens(self.replay_guard)
        self.token_writer = TokenWriter(
            client, layout, records, self.directory, lifetimes=lifetimes, timeout=timeout
        )
        self.renewals = Renewals(
            client,
            layout,
            self.token_writer,
            RefreshAnswers(client, layout, sealer, timeout),
            skew=lifetimes.skew,
            timeout=timeout,
            report=report,
        )
        self.lasting_cookies = LastingCookies(client, layout, lifetimes, timeout)
        revoker = Revoker(
            layout=layout,
            writes=writes,
            directory=self.directory,
            near=near,
            revocations=revocations,
            latency=latency,
        )
        self.revoke, self.revoke_all = revoker.revoke, revoker.revoke_all
        self.revoke_others = revoker.revoke_others
        self.revoke_issued_before = revoker.revoke_issued_before
        self.issue = Issuer(
            client=client,
            layout=layout,
            records=records,
            writes=writes,
            directory=self.directory,
            revoker=revoker,
            lifetimes=lifetimes,
            max_per_subject=max_per_subject,
            timeout=timeout,
            report=report,
        ).issue
        reader = RecordReader(topology, layout, lifetimes.idle_timeout, timeout)
        self._lookups = Lookups(reader, timeout)
        self._untouching = Lookups(UntouchingReader(topology, layout), timeout)
        near.on_change = self._changed
        near.on_push = latency.pushed
        self._tracking = Tracking(
            topology,
            near,
            layout.sessions,
            timeout,
            on_follow=revocations.repeat,
            on_loss=reader.reconnect,
        )
        self.shared_limits = SharedLimits(
            client, layout, sealer, timeout, self._tracking.ready.is_set
        )
        resolver = Resolver(
            near=near,
            lookups=self._lookups,
            untouching=self._untouching,
            records=records,
            renewals=self.renewals,
            render=render,
            is_available=self._tracking.ready.is_set,
            is_gone=revocations.is_done,
            is_named=self._is_named,
            lifetimes=lifetimes,
        )
        self.resolve, self.replaced = resolver.resolve, resolver.replaced

    async def start(self) -> None:
        """Begin to follow changes. Works without, after a wait up to the timeout."""
        self._tracking.start()
        with suppress(StoreUnavailable):
            await bounded(self._tracking.ready.wait(), self._timeout)

    async def close(self) -> None:
        await self.renewals.close()
        await self.lasting_cookies.close()
        await self._tracking.stop()
        await self._lookups.close()
        await self._untouching.close()
        await self._client.aclose()

    @property
    def available(self) -> bool:
        """Whether the store answers, as far as the tracking connection knows."""
        return self._tracking.ready.is_set()

    @property
    def eviction_policy(self) -> str:
        """The store's maxmemory-policy, if it would log people out; else ""."""
        return self._tracking.eviction_policy

    async def living(self, session_ids: Iterable[str]) -> set[str]:
        """Which of the sessions have not ended. Raises `StoreUnavailable`."""
        ids = list(session_ids)
        async with self._client.pipeline(transaction=False) as pipe:
            for session_id in ids:
                pipe.exists(self._layout.session(session_id))
            found = await bounded(pipe.execute(), self._timeout)
        return {session_id for session_id, exists in zip(ids, found, strict=True) if exists}

    async def seconds_left(self, session_id: str) -> float | None:
        """Seconds until a session ends if it is not used; None if it has ended.

        Raises `StoreUnavailable`.
        """
        left: int = await bounded(
            self._client.pttl(self._layout.session(session_id)), self._timeout
        )
        return None if left < 0 else left / 1000

    def _is_named(self, session: Session) -> bool:
        realm, subject = self._realms.get(session.login), session.subject
        if realm is None or realm.name_in(subject) is not None:
            return True
        return subjects.is_unnamed(subject)

    def _changed(self, session_id: str | None) -> None:
        self._lookups.changed(session_id)
        self._untouching.changed(session_id)

    def touch(self, session_id: str) -> None:
        """Note that a session is not idle, as any look-up of it does."""
        # No caller waits for it, so its error is taken and dropped.
        self._lookups.get(session_id).add_done_callback(lambda done: done.exception())


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
            min(near.ttl, config.session.idle_timeout / LOOKS_PER_IDLE_TIMEOUT),
            config.store_outage.serve_cached,
        ),
        lifetimes=Lifetimes(
            idle_timeout=config.session.idle_timeout,
            max_age=config.session.max_age,
            skew=config.session.clock_skew,
        ),
        timeout=config.store.timeout,
        render=render,
        replicas=config.store.replicas,
        max_per_subject=config.session.max_per_subject,
        realms=realms(config),
        key_texts=KeyTexts(logins_with_jwt_keys(config), config.keys.claims),
        report=report,
        observe_latency=observe_latency,
    )

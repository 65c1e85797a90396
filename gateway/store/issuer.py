"""Issuing sessions: a key, a record, and an entry in the subject's index."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from gateway.core.sessions import keys
from gateway.core.sessions.keys import Key
from gateway.core.sessions.records import Records
from gateway.core.sessions.sealing import NONCE_BYTES
from gateway.core.sessions.session import (
    AS_ALL,
    Device,
    Life,
    Lifetimes,
    Parent,
    Session,
    cookie_end,
    cookie_seconds,
    session_times,
    token_of,
)
from gateway.observe.events import Report, of_sessions
from gateway.store.directory import Directory
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.revoker import Revoker
from gateway.store.servers.topology import Client
from gateway.store.writes import Writes

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A new session, and the one key that opens it."""

    key: Key
    session: Session

    @property
    def cookie_seconds(self) -> int | None:
        """How long a browser keeps the cookie (seconds); None: until it closes."""
        return cookie_seconds(self.session, time.time())


class Issuer:
    """Issues sessions."""

    def __init__(
        self,
        *,
        client: Client,
        layout: Layout,
        records: Records,
        writes: Writes,
        directory: Directory,
        revoker: Revoker,
        lifetimes: Lifetimes,
        max_per_subject: int,
        timeout: float,
        report: Report,
    ) -> None:
        """What new sessions are bound by.

        max_per_subject: how many sessions a subject may have; 0 for any number
        timeout: for each of the store's answers (seconds)
        report: is told of sessions that end since there are too many
        """
        self._client = client
        self._layout = layout
        self._records = records
        self._writes = writes
        self._directory = directory
        self._revoker = revoker
        self._lifetimes = lifetimes
        self._max_per_subject = max_per_subject
        self._timeout = timeout
        self._report = report

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
        sending: str = "",
        csrf: str = "",
        renew_before: float | None = None,
        lasts: float | None = None,
        names: Sequence[str] = (),
        claims_text: bytes | None = None,
        parent: Parent | None = None,
        life: Life = AS_ALL,
        in_lasting_cookie: bool = False,
        auth_time: float | None = None,
    ) -> Issued:
        """Issue a session under a new key.

        Raises `StoreUnavailable`; then there is no session.

        refresh: what renews the token
        cookie: what is kept of the backend's cookie that holds the key
        sending: what is kept of the way in which the token came
        csrf: the value of a double submit that came with the token
        renew_before: how long before its expiry the token is renewed (seconds); None for never
        lasts: how long the session lasts, used or not (seconds); None for the timeouts
        names: what a provider calls the session
        claims_text: the claims of an opaque token as JSON; None for a JWT
        parent: the session that impersonates the subject
        life: the session's own timeouts
        in_lasting_cookie: whether the browser keeps its key in a cookie when it closes
        auth_time: when the user has logged in (UNIX seconds); 0: not known; None: now
        """
        now = time.time()
        key = keys.new_key(secrets.token_bytes(_KEY_BYTES))
        ends, expires, renew = session_times(
            now,
            max_age=self._lifetimes.max_age_of(life) if lasts is None else lasts,
            expiry=token_expiry,
            skew=self._lifetimes.skew,
            renew_before=renew_before,
        )
        if parent is not None:
            ends, auth_time = min(ends, parent.ends_at), parent.logged_in_at
            device = replace(device, parent_id=parent.id, impersonator=parent.subject)
        idle = self._lifetimes.idle_of(life) if lasts is None else lasts
        session = Session(
            id=keys.session_id(key),
            subject=subject,
            token=token_of(token, claims_text),
            login=login,
            ends_at=ends,
            expires_at=expires,
            renew_at=renew,
            refresh=refresh,
            cookie=cookie,
            sending=sending,
            csrf=csrf,
            parent="" if parent is None else parent.kept,
            auth_time="" if auth_time is None else str(int(auth_time)),
            issued_at=int(now),
            life=life,
            cookie_until=cookie_end(now, idle, ends) if in_lasting_cookie else 0,
        )
        number = await self._write(key, session, device, now=now, idle=idle, names=names)
        # An impersonation ends none of the subject's own sessions.
        if 0 < self._max_per_subject < number and parent is None:
            await self._make_room(subject)
        return Issued(key, session)

    async def _write(
        self,
        key: Key,
        session: Session,
        device: Device,
        *,
        now: float,
        idle: float,
        names: Sequence[str],
    ) -> int:
        """Write the session, then enter it into the index.

        An entry alone means that the session has ended. Returns how many sessions the subject's
        index names.
        """
        record = self._records.new(key, session, device, now, secrets.token_bytes(NONCE_BYTES))
        lasts = max(1, int(min(idle, session.ends_at - now) * 1000))
        name = self._layout.session(session.id)
        await self._writes.do(("SET", name, record, "PX", lasts))
        try:
            return await self._directory.enter(
                session.subject, session.id, session.ends_at, now, names
            )
        except StoreUnavailable:
            # The key is never handed out, so the session would only be idle until it ends.
            with suppress(StoreUnavailable):
                await bounded(self._client.delete(name), self._timeout)
            raise

    async def _make_room(self, subject: str) -> None:
        """End the oldest sessions of a subject that has more than it may have.

        Logins at the same time all do it, in the same order, so that none ends one too many.
        """
        oldest_first = await self._directory.by_age(subject)
        async for ended in self._revoker.revoke_many(oldest_first[: -self._max_per_subject]):
            for event in of_sessions("revoke", ended, reason="too_many", by="limit"):
                self._report(event)

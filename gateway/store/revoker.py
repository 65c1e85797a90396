"""Ending sessions: here at once, and everywhere within a push."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from gateway.core.sessions import records
from gateway.core.sessions.records import Foreign, SessionInfo
from gateway.store.directory import Directory
from gateway.store.errors import StoreUnavailable
from gateway.store.layout import Layout
from gateway.store.near_cache import NearCache
from gateway.store.revocation_latency import RevocationLatency
from gateway.store.revocations import Revocations
from gateway.store.writes import Writes

# How many sessions one command ends: 1,000 take Redis about a millisecond.
_BATCH = 1000


class Revoker:
    """Ends sessions, and tells which there were.

    Everything raises `StoreUnavailable` when it is not certain that all of them are gone. What
    concerns many sessions ends some at a time, and yields those of each time.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        writes: Writes,
        directory: Directory,
        near: NearCache,
        revocations: Revocations,
        latency: RevocationLatency,
    ) -> None:
        self._layout = layout
        self._writes = writes
        self._directory = directory
        self._near = near
        self._revocations = revocations
        self._latency = latency

    async def revoke(self, *session_ids: str) -> dict[str, SessionInfo]:
        """End these sessions. Returns the info of those that lived."""
        if not session_ids:
            return {}
        self._revocations.asked(session_ids)
        for session_id in session_ids:
            self._near.forget(session_id)
            self._latency.asked(session_id)
        names = [self._layout.session(session_id) for session_id in session_ids]
        found = await self._writes.do(*(("GETDEL", name) for name in names))
        self._revocations.done(session_ids)
        ended = {
            session_id: _info(record)
            for session_id, record in zip(session_ids, found, strict=True)
            if record is not None
        }
        # They are gone already; a stale entry in the index heals.
        with suppress(StoreUnavailable):
            await self._directory.leave(
                {session_id: info.subject for session_id, info in ended.items()}
            )
        return ended

    async def revoke_many(
        self, session_ids: Sequence[str]
    ) -> AsyncIterator[dict[str, SessionInfo]]:
        """End these sessions, however many."""
        for at in range(0, len(session_ids), _BATCH):
            yield await self.revoke(*session_ids[at : at + _BATCH])

    async def revoke_all(self, subject: str) -> AsyncIterator[dict[str, SessionInfo]]:
        """End all sessions of a subject, also those that this version cannot read."""
        async for ended in self.revoke_many(await self._directory.ids(subject)):
            yield ended

    async def revoke_others(
        self, subject: str, present: str
    ) -> AsyncIterator[dict[str, SessionInfo]]:
        """End all sessions of a subject but `present`, which lives.

        An index that does not name it was lost, and is made anew first.
        """
        await self._directory.restore(subject, present)
        ids = await self._directory.ids(subject)
        async for ended in self.revoke_many([other for other in ids if other != present]):
            yield ended

    async def revoke_issued_before(self, moment: float) -> AsyncIterator[dict[str, SessionInfo]]:
        """End all subjects' sessions that were issued before a moment.

        It is in UNIX seconds.
        """
        async for some in self._directory.every():
            older = [session_id for session_id, info in some.items() if info.created < moment]
            yield await self.revoke(*older)


def _info(record: bytes) -> SessionInfo:
    """The open part of a record; empty for what is no record of this gateway."""
    try:
        return records.read_info(record)
    except Foreign:
        return SessionInfo(subject="", label="", address="", ends_at=0, created=0, seen=0)

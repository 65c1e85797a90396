"""What operators do with sessions: list them, count them, end them; each end is reported.

Everything raises `StoreUnavailable`. What was ended by then has ended and been reported, and asking
once more ends the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from gateway.core.moments import rfc3339
from gateway.core.records import Open
from gateway.observe.events import of_sessions
from gateway.store.sessions import Sessions


class Administration:
    """Everybody's sessions, in one operator's hands."""

    def __init__(self, sessions: Sessions, by: str) -> None:
        """`by` tells the audit log in what way they were ended."""
        self._sessions = sessions
        self._by = by

    async def listed(self, subject: str) -> list[dict[str, str]]:
        """A subject's sessions, the one that was seen last first."""
        found = await self._sessions.directory.of(subject)
        return [_shown(handle, said) for handle, said in found.items()]

    async def count(self, subject: str | None = None) -> int:
        """How many sessions there are, of a subject or in all. One that comes or goes while all are
        counted may or may not be among them.
        """
        if subject is not None:
            return len(await self._sessions.directory.of(subject))
        return await self._sessions.directory.count()

    async def end(self, handle: str) -> int:
        """Ends one session. Returns how many there were: one, or none."""
        return await self._end(_once(await self._sessions.revoke(handle)))

    async def end_all_of(self, subject: str) -> int:
        """Ends all of a subject's, those that this version cannot read as well."""
        return await self._end(self._sessions.revoke_all(subject), subject)

    async def end_issued_before(self, moment: float) -> int:
        """Ends all that were issued before a moment (UNIX seconds), whosever they are."""
        return await self._end(self._sessions.revoke_issued_before(moment))

    async def _end(self, ended: AsyncIterator[dict[str, Open]], subject: str = "") -> int:
        count = 0
        async for some in ended:
            count += len(some)
            for event in of_sessions("revoke", some, by=self._by):
                self._sessions.report(replace(event, subject=event.subject or subject))
        return count


async def _once(ended: dict[str, Open]) -> AsyncIterator[dict[str, Open]]:
    yield ended


def _shown(handle: str, said: Open) -> dict[str, str]:
    return {
        "handle": handle,
        "device": said.label,
        "address": said.address,
        "created": rfc3339(said.created),
        "last_seen": rfc3339(said.seen),
        "ends": rfc3339(said.ends_at),
    }

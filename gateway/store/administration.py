"""What operators do with sessions: list them, count them, end them, and issue named keys; whatever
changes is reported.

Everything raises `StoreUnavailable`. What was ended by then has ended and been reported, and asking
once more ends the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from gateway.core.sessions.records import SessionInfo
from gateway.core.sessions.session import NAMED, Device
from gateway.core.timestamps import rfc3339
from gateway.observe.events import Event, of_sessions
from gateway.store.issuer import Issued
from gateway.store.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Given:
    """The token that a named key stands for: when it expires, in UNIX seconds, if it does; what
    renews it, and how long before its expiry, if anything does.
    """

    token: str = field(repr=False)
    expiry: float | None
    refresh: str = field(default="", repr=False)
    renew_before: float | None = None


class Administration:
    """Everybody's sessions, in one operator's hands."""

    def __init__(self, sessions: Sessions, by: str) -> None:
        """`by` tells the audit log in what way they were ended."""
        self._sessions = sessions
        self._by = by

    async def listed(self, subject: str) -> list[dict[str, str]]:
        """A subject's sessions, the one that was seen last first."""
        found = await self._sessions.directory.of(subject)
        return [_shown(handle, info) for handle, info in found.items()]

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

    async def issue_named(self, subject: str, name: str, given: Given, lasts: float) -> Issued:
        """A key for a script: a session that is never idle, on a device of this name; it lasts for
        so many seconds.
        """
        issued = await self._sessions.issue(
            token=given.token,
            subject=subject,
            login=NAMED,
            device=Device(name, ""),
            token_expiry=given.expiry,
            refresh=given.refresh,
            renew_before=given.renew_before,
            lasts=lasts,
        )
        self._sessions.report(Event("login", subject, issued.session.id, device=name, by=self._by))
        return issued

    async def named(self, subject: str | None = None) -> list[dict[str, str]]:
        """The named keys of a subject, or of all."""
        found: dict[str, SessionInfo] = {}
        if subject is not None:
            found = await self._sessions.directory.of(subject)
        else:
            async for some in self._sessions.directory.every():
                found |= {handle: info for handle, info in some.items() if info.is_named}
        return [_key_shown(handle, info) for handle, info in found.items() if info.is_named]

    async def end_named(self, subject: str, name: str | None = None) -> int:
        """Ends all of a subject's named keys, or those of one name."""
        found = await self._sessions.directory.of(subject)
        ids = [
            handle
            for handle, info in found.items()
            if info.is_named and (name is None or info.label == name)
        ]
        return await self._end(_once(await self._sessions.revoke(*ids)))

    async def _end(self, ended: AsyncIterator[dict[str, SessionInfo]], subject: str = "") -> int:
        count = 0
        async for some in ended:
            count += len(some)
            for event in of_sessions("revoke", some, by=self._by):
                self._sessions.report(replace(event, subject=event.subject or subject))
        return count


async def _once(ended: dict[str, SessionInfo]) -> AsyncIterator[dict[str, SessionInfo]]:
    yield ended


def _shown(handle: str, info: SessionInfo) -> dict[str, str]:
    return {
        "handle": handle,
        "device": info.label,
        "address": info.address,
        "created": rfc3339(info.created),
        "last_seen": rfc3339(info.seen),
        "ends": rfc3339(info.ends_at),
    }


def _key_shown(handle: str, info: SessionInfo) -> dict[str, str]:
    shown = _shown(handle, info)
    return {
        "handle": handle,
        "subject": info.subject,
        "name": info.label,
        **{name: shown[name] for name in ("created", "last_seen", "ends")},
    }

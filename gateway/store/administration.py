"""Listing, counting and ending sessions for operators, and named keys.

Every change is reported. Everything raises `StoreUnavailable`. What was ended before the error has
ended and been reported; asking once more ends the rest.
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
class NamedKeyToken:
    """The token that a named key stands for."""

    token: str = field(repr=False)
    expiry: float | None  # UNIX seconds; None if it does not expire
    refresh: str = field(default="", repr=False)  # what renews it
    renew_before: float | None = None  # how long before its expiry (seconds); None for never


class Administration:
    """All sessions, in the hands of an operator."""

    def __init__(self, sessions: Sessions, by: str) -> None:
        """`by` is the audit log's word for the way in which the operator came."""
        self._sessions = sessions
        self._by = by

    async def listed(self, subject: str) -> list[dict[str, str]]:
        """A subject's sessions, the last seen first."""
        found = await self._sessions.directory.of(subject)
        return [_shown(handle, info) for handle, info in found.items()]

    async def count(self, subject: str | None = None) -> int:
        """How many sessions there are, of a subject or in all.

        One that comes or goes while all are counted may or may not be among them.
        """
        if subject is not None:
            return len(await self._sessions.directory.of(subject))
        return await self._sessions.directory.count()

    async def end(self, handle: str) -> int:
        """End one session. Returns how many there were: one, or none."""
        return await self._end(_once(await self._sessions.revoke(handle)))

    async def end_all_of(self, subject: str) -> int:
        """End all sessions of a subject, also those that this version cannot read."""
        return await self._end(self._sessions.revoke_all(subject), subject)

    async def end_issued_before(self, moment: float) -> int:
        """End all sessions that were issued before a moment (UNIX seconds)."""
        return await self._end(self._sessions.revoke_issued_before(moment))

    async def issue_named(
        self, subject: str, name: str, token: NamedKeyToken, lasts: float
    ) -> Issued:
        """Issue a key for a script: a session without an idle timeout.

        It lasts for `lasts` seconds.
        """
        issued = await self._sessions.issue(
            token=token.token,
            subject=subject,
            login=NAMED,
            device=Device(name, ""),
            token_expiry=token.expiry,
            refresh=token.refresh,
            renew_before=token.renew_before,
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
        """End all of a subject's named keys, or those of one name."""
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
        **({"impersonated_by": info.impersonator} if info.impersonator else {}),
    }


def _key_shown(handle: str, info: SessionInfo) -> dict[str, str]:
    shown = _shown(handle, info)
    return {
        "handle": handle,
        "subject": info.subject,
        "name": info.label,
        **{name: shown[name] for name in ("created", "last_seen", "ends")},
    }

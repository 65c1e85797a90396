"""Events of sessions. The audit log writes them, the metrics count them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.core.sessions.records import SessionInfo

Kind = Literal[
    "login",
    "login_pending",
    "login_failed",
    "logout",
    "renew",
    "renew_failed",
    "revoke",
    "refused",
]

# Kinds that a client without any rights can cause as often as it likes: the audit log sums them up.
REPEATABLE: frozenset[Kind] = frozenset(
    {"refused", "login_pending", "login_failed", "renew_failed"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Unknown fields stay empty; none holds a secret.

    address: of the client that asked; without one, the address that the device logged in from
    reason: why, in one stable word
    by: who did it, if not the device itself
    """

    kind: Kind
    subject: str = ""
    session_id: str = ""
    address: str = ""
    device: str = ""
    reason: str = ""
    request_id: str = ""
    by: str = ""


# Takes note of an event. Never fails and never waits.
Report = Callable[[Event], None]


def of_sessions(
    kind: Kind,
    found: Mapping[str, SessionInfo],
    *,
    reason: str = "",
    request_id: str = "",
    by: str = "",
) -> Iterator[Event]:
    """An event for each session.

    `found` maps ids to session info.
    """
    for session_id, info in found.items():
        yield Event(
            kind,
            subject=info.subject,
            session_id=session_id,
            address=info.address,
            device=info.label,
            reason=reason,
            request_id=request_id,
            by=by or info.impersonator,
        )


def ignore(_event: Event) -> None:
    """Report to nothing."""

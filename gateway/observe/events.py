"""What happens to sessions, told once: the audit log writes it down and the metrics count it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.core.sessions.records import SessionInfo

Kind = Literal["login", "login_failed", "logout", "renew", "renew_failed", "revoke", "refused"]

# What a client without any rights can cause as often as it likes: the audit log sums it up.
REPEATABLE: frozenset[Kind] = frozenset({"refused", "login_failed", "renew_failed"})


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. What is not known stays empty; nothing in it is a secret.

    `address` is that of the client who asked; where none did, the one that the device logged in
    from. `reason` says why in one stable word, `by` who did it where that is not the device itself.
    """

    kind: Kind
    subject: str = ""
    session_id: str = ""
    address: str = ""
    device: str = ""
    reason: str = ""
    request_id: str = ""
    by: str = ""


# Takes note of an event; never fails and never waits.
Report = Callable[[Event], None]


def of_sessions(
    kind: Kind,
    found: Mapping[str, SessionInfo],
    *,
    reason: str = "",
    request_id: str = "",
    by: str = "",
) -> Iterator[Event]:
    """The same thing that happened to each of some sessions; what is known of them by their ids."""
    for session_id, info in found.items():
        yield Event(
            kind, info.subject, session_id, info.address, info.label, reason, request_id, by
        )


def ignore(_event: Event) -> None:
    """For those who have no log to report to."""

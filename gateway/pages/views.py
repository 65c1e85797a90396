"""The plain values that templates show, so that templates decide nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.core.sessions.records import SessionInfo
from gateway.core.timestamps import rfc3339
from gateway.pages.english import ENGLISH
from gateway.pages.korean import KOREAN
from gateway.pages.texts import Texts

# By language tag. The first one is for readers of other languages.
LANGUAGES: dict[str, Texts] = {texts.language: texts for texts in (ENGLISH, KOREAN)}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: for programs (RFC 3339), for people, and how long ago."""

    machine: str
    plain: str
    ago: str


@dataclass(frozen=True, slots=True)
class ListedSession:
    """One session in the list of sessions."""

    handle: str
    name: str
    address: str
    created: Moment
    last_seen: Moment
    current: bool
    impersonator: str  # the subject that acts by it in place of the user, or ""


def device(
    handle: str, info: SessionInfo, texts: Texts, *, current: bool, now: float
) -> ListedSession:
    """A session as the page shows it.

    now: UNIX seconds
    """
    return ListedSession(
        handle=handle,
        name=texts.device(info.label),
        address=info.address,
        created=moment(info.created, texts, now),
        last_seen=moment(info.seen, texts, now),
        current=current,
        impersonator=info.impersonator,
    )


def moment(at: int, texts: Texts, now: float) -> Moment:
    """A time (UNIX seconds) as the page shows it."""
    when = datetime.fromtimestamp(at, UTC)
    return Moment(rfc3339(at), f"{when:%Y-%m-%d %H:%M} UTC", texts.ago(now - at))

"""The near cache: the sessions that one worker remembers, until Redis says that they changed.

Keyed by the credential's bytes as received, so a request that is known costs one look-up and no
digest. Bounded by count and by age; bypassed while nobody would tell it of a change.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from gateway.store.changes import Changes
from gateway.store.resolved_session import ResolvedSession

T = TypeVar("T")

# How long it is remembered that there is no session of some id, in seconds, and of how many ids: a
# flood of one made-up key costs a look-up now and then, and one of many costs no more memory.
_UNKNOWN_FOR = 2.0
_MAX_UNKNOWN = 10_000


class NearCache:
    """Remembered entries. `trusted` says whether somebody tells us of changes."""

    def __init__(self, entries: int, ttl: float, outage: float = 0.0) -> None:
        """At most `entries` (0: off), each for at most `ttl` seconds. What is remembered when trust
        is lost may be used for `outage` seconds more, by those who ask for it.
        """
        self._max_entries = entries
        self._ttl = ttl
        self._outage = outage
        self._entries: dict[bytes, ResolvedSession] = {}
        self._credentials: dict[str, bytes] = {}  # session id → credential
        self._asked: dict[str, bool] = {}  # ids being looked up → changed meanwhile
        self._unknown: dict[str, float] = {}  # ids without a session → until when
        self._left: dict[
            str, ResolvedSession
        ] = {}  # by session id: what was remembered before an outage
        self._left_until = 0.0
        self.trusted = False
        self.changes = Changes()
        # Told of each change: a session's id, or None when anything may have changed.
        self.on_change: Callable[[str | None], None] = lambda _session_id: None
        # Told of each change of which Redis has told us: a session's id.
        self.on_push: Callable[[str], None] = lambda _session_id: None

    def get(self, credential: bytes, now: float) -> ResolvedSession | None:
        """The entry of a credential, if it may be used at `now` (UNIX seconds)."""
        entry = self._entries.get(credential)
        if entry is not None and entry.expires > now:
            return entry
        return None

    def is_unknown(self, session_id: str, now: float) -> bool:
        """Whether there was no such session a moment ago, and none has come since."""
        return self._unknown.get(session_id, 0.0) > now

    def before_outage(self, session_id: str, now: float) -> ResolvedSession | None:
        """What was remembered of a session when the store went away, if that may still be used."""
        entry = self._left.get(session_id)
        if entry is None or now >= min(
            self._left_until, entry.session.ends_at, entry.session.expires_at
        ):
            return None
        return entry

    def expects(self, session_id: str) -> None:
        """A look-up begins: a change from now on makes its result too old to be remembered."""
        self._asked.setdefault(session_id, False)

    def learned(
        self, credential: bytes, entry: ResolvedSession | None, session_id: str, now: float
    ) -> None:
        """A look-up ended; what it found is remembered unless the session changed meanwhile."""
        if self._asked.pop(session_id, True) or not self.trusted or not self._max_entries:
            return
        if entry is None:
            if len(self._unknown) >= _MAX_UNKNOWN:
                make_room(self._unknown, _MAX_UNKNOWN)
            self._unknown[session_id] = now + _UNKNOWN_FOR
            return
        if len(self._entries) >= self._max_entries:
            for dropped in make_room(self._entries, self._max_entries):
                self._credentials.pop(dropped.session.id, None)
        entry.expires = min(now + self._ttl, entry.expires, entry.session.ends_at)
        self._entries[credential] = entry
        self._credentials[session_id] = credential

    def gave_up(self, session_id: str) -> None:
        """A look-up ended without a result."""
        self._asked.pop(session_id, None)

    def pushed(self, session_id: str) -> None:
        """Redis says that the session changed, or ended."""
        self.forget(session_id)
        self.on_push(session_id)

    def forget(self, session_id: str) -> None:
        """The session changed, or ended, or has just begun."""
        self.changes.note(session_id)
        self.on_change(session_id)
        if session_id in self._asked:
            self._asked[session_id] = True
        self._unknown.pop(session_id, None)
        self._left.pop(session_id, None)
        credential = self._credentials.pop(session_id, None)
        if credential is not None:
            self._entries.pop(credential, None)

    def clear(self) -> None:
        """Anything may have changed."""
        self.changes.all = True
        self.on_change(None)
        self._entries.clear()
        self._credentials.clear()
        self._unknown.clear()
        self._left.clear()
        for session_id in self._asked:
            self._asked[session_id] = True

    def trust(self) -> None:
        """From now on somebody tells of changes; what happened before, nobody has told."""
        self.clear()
        self.trusted = True

    def distrust(self, since: float) -> None:
        """Since then (UNIX seconds) nobody tells of changes, so nothing may be remembered; but for
        the time of an outage, if config.yaml says so.
        """
        if not self.trusted:
            return
        left = {entry.session.id: entry for entry in self._entries.values()}
        self.trusted = False
        self.clear()
        if self._outage:
            self._left, self._left_until = left, since + self._outage

    def __len__(self) -> int:
        return len(self._entries)


def make_room(remembered: dict[Any, T], max_entries: int) -> list[T]:
    """Makes room where there is none; returns what had to go.

    Dicts keep their order: what was learned first goes first, a twentieth of it at once, for one at
    a time would pass over the places of those that went before each time.
    """
    return [remembered.pop(name) for name in list(islice(remembered, max(1, max_entries // 20)))]

"""The near cache: sessions that a worker remembers until they change.

It is keyed by the presented key as it came, so a known request costs one look-up in a dict and no
digest. It is bounded by count and by age, and bypassed while Redis does not push changes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from gateway.store.changes import Changes
from gateway.store.resolved_session import ResolvedSession

T = TypeVar("T")

# How long an id without a session is remembered (seconds), and how many such ids: a flood of one
# made-up key costs a look-up now and then, and a flood of many costs no more memory.
_UNKNOWN_SECONDS = 2.0
_MAX_UNKNOWN = 10_000


class NearCache:
    """Remembers resolved sessions while Redis pushes their changes (`trusted`)."""

    def __init__(self, entries: int, ttl: float, outage: float = 0.0) -> None:
        """How much is remembered, and for how long.

        entries: at most so many sessions; 0 remembers none
        ttl: for how long one is remembered (seconds)
        outage: for how long `before_outage` gives what was remembered when trust was lost (seconds)
        """
        self._max_entries = entries
        self._ttl = ttl
        self._outage = outage
        self._entries: dict[bytes, ResolvedSession] = {}
        self._presented_keys: dict[str, bytes] = {}  # session id → presented key
        # By session id: entries that serve only requests which leave a session as idle as it was.
        self._untouched: dict[str, ResolvedSession] = {}
        # By the id of a session that impersonates: the ids of the sessions in which it does.
        self._impersonations: dict[str, set[str]] = {}
        self._asked: dict[str, bool] = {}  # ids being looked up → changed meanwhile
        self._unknown: dict[str, float] = {}  # ids without a session → until when
        # By session id: what was remembered before an outage.
        self._left: dict[str, ResolvedSession] = {}
        self._left_until = 0.0
        self.trusted = False
        self.changes = Changes()
        # Called with the id of a session that changed; with None when any may have changed.
        self.on_change: Callable[[str | None], None] = lambda _session_id: None
        # Called with the id of a session whose change Redis has pushed.
        self.on_push: Callable[[str], None] = lambda _session_id: None

    def get(self, presented_key: bytes, now: float) -> ResolvedSession | None:
        """The entry of a presented key, if it may be used at `now` (UNIX seconds)."""
        entry = self._entries.get(presented_key)
        if entry is not None and entry.expires > now:
            return entry
        return None

    def is_unknown(self, session_id: str, now: float) -> bool:
        """Whether a look-up lately found no such session, and none was written."""
        return self._unknown.get(session_id, 0.0) > now

    def untouched(self, session_id: str, now: float) -> ResolvedSession | None:
        """The entry of a session that was looked up without a touch.

        A request that is to keep the session from being idle must not use it.
        """
        entry = self._untouched.get(session_id)
        return entry if entry is not None and entry.expires > now else None

    def before_outage(self, session_id: str, now: float) -> ResolvedSession | None:
        """The session from before the store's outage, if it may still be used."""
        entry = self._left.get(session_id)
        if entry is None or now >= min(
            self._left_until, entry.session.ends_at, entry.session.expires_at
        ):
            return None
        return entry

    def expects(self, session_id: str) -> None:
        """Begin a look-up, whose result is too old after a change from now on."""
        self._asked.setdefault(session_id, False)

    def learned(
        self,
        presented_key: bytes,
        entry: ResolvedSession | None,
        session_id: str,
        now: float,
        *,
        touched: bool = True,
    ) -> None:
        """Remember the result of a look-up, unless the session changed meanwhile.

        touched: whether the look-up has kept the session from being idle
        """
        if self._asked.pop(session_id, True) or not self.trusted or not self._max_entries:
            return
        if entry is None:
            if len(self._unknown) >= _MAX_UNKNOWN:
                make_room(self._unknown, _MAX_UNKNOWN)
            self._unknown[session_id] = now + _UNKNOWN_SECONDS
            return
        entry.expires = min(now + self._ttl, entry.expires, entry.session.ends_at)
        if not touched:
            if len(self._untouched) >= self._max_entries:
                make_room(self._untouched, self._max_entries)
            self._untouched[session_id] = entry
            return
        if len(self._entries) >= self._max_entries:
            for dropped in make_room(self._entries, self._max_entries):
                self._presented_keys.pop(dropped.session.id, None)
        self._entries[presented_key] = entry
        self._presented_keys[session_id] = presented_key

    def ends_with(self, session_id: str, parent_id: str) -> None:
        """Forget the session from now on when its parent changes, too."""
        self._impersonations.setdefault(parent_id, set()).add(session_id)

    def gave_up(self, session_id: str) -> None:
        """End a look-up without a result."""
        self._asked.pop(session_id, None)

    def pushed(self, session_id: str) -> None:
        """Forget a session of which Redis has pushed that it changed, or ended."""
        self.forget(session_id)
        self.on_push(session_id)

    def forget(self, session_id: str) -> None:
        """Forget a session, which changed, ended, or has just begun."""
        self.changes.note(session_id)
        self.on_change(session_id)
        if session_id in self._asked:
            self._asked[session_id] = True
        self._unknown.pop(session_id, None)
        self._left.pop(session_id, None)
        self._untouched.pop(session_id, None)
        presented_key = self._presented_keys.pop(session_id, None)
        if presented_key is not None:
            self._entries.pop(presented_key, None)
        if self._impersonations:
            for impersonation in self._impersonations.pop(session_id, ()):
                self.forget(impersonation)

    def clear(self) -> None:
        """Forget all sessions: any may have changed."""
        self.changes.all = True
        self.on_change(None)
        self._entries.clear()
        self._presented_keys.clear()
        self._unknown.clear()
        self._left.clear()
        self._untouched.clear()
        self._impersonations.clear()
        for session_id in self._asked:
            self._asked[session_id] = True

    def trust(self) -> None:
        """Begin to remember sessions: Redis pushes changes from now on."""
        self.clear()
        self.trusted = True

    def distrust(self, since: float) -> None:
        """Forget all sessions: Redis pushes no changes any more.

        What is forgotten stays available to `before_outage`, if config.yaml allows that.

        since: when Redis ceased to push (UNIX seconds)
        """
        if not self.trusted:
            return
        left = self._untouched | {entry.session.id: entry for entry in self._entries.values()}
        self.trusted = False
        self.clear()
        if self._outage:
            self._left, self._left_until = left, since + self._outage

    def __len__(self) -> int:
        return len(self._entries)


def make_room(remembered: dict[Any, T], max_entries: int) -> list[T]:
    """Remove the oldest twentieth of a full dict. Returns their values.

    Dicts keep their order. Removing one entry at a time would pass over the empty places of all
    earlier ones each time.
    """
    return [remembered.pop(name) for name in list(islice(remembered, max(1, max_entries // 20)))]

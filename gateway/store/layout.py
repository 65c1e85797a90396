"""How sessions are laid out in Redis: the names of the keys.

The braces make Redis Cluster keep a session and its device in one slot, so that no command crosses
slots. A subject's index is apart; it is found without any key, and it holds session ids only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Names under one prefix."""

    prefix: str

    @property
    def sessions(self) -> str:
        """What the names of all sealed sessions begin with."""
        return f"{self.prefix}s:"

    def session(self, session_id: str) -> str:
        """The sealed session: a string that expires with the idle timeout."""
        return f"{self.prefix}s:{{{session_id}}}"

    def device(self, session_id: str) -> str:
        """Subject, label, address, created, seen, ends (milliseconds): a hash in the open."""
        return f"{self.prefix}d:{{{session_id}}}"

    def lease(self, session_id: str) -> str:
        """Who renews the session's token: a string that expires soon."""
        return f"{self.prefix}r:{{{session_id}}}"

    def pair(self, session_id: str) -> tuple[str, str]:
        return self.session(session_id), self.device(session_id)

    def subject(self, subject: str) -> str:
        """The index of a subject's session ids: a sorted set, scored by when they end (seconds)."""
        return f"{self.prefix}u:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"

"""How sessions are laid out in Redis: the names of the keys.

The braces make Redis Cluster keep a session and its device in one slot, so that no command crosses
slots. Indexes are apart; they are found without any key, and they hold session ids only.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Names under one prefix."""

    prefix: str

    @property
    def sessions(self) -> str:
        """What the names of all sessions begin with."""
        return f"{self.prefix}s:"

    def session(self, session_id: str) -> str:
        """The session's record: a string that expires with the idle timeout."""
        return f"{self.prefix}s:{{{session_id}}}"

    def session_id(self, name: bytes) -> str:
        """The id in the name of a session's record; of a name that is none, something harmless."""
        return name[len(self.sessions) + 1 : -1].decode("ascii", "replace")

    def lease(self, session_id: str) -> str:
        """Who renews the session's token: a string that expires soon."""
        return f"{self.prefix}r:{{{session_id}}}"

    @property
    def failures(self) -> str:
        """What the names of all counts of failed logins begin with, before a colon."""
        return f"{self.prefix}f"

    def known(self, digest: str) -> str:
        """That a network has logged in to an account: a string that expires."""
        return f"{self.prefix}k:{digest}"

    def step(self, digest: str) -> str:
        """Whose login has handed something out for its next step: a string that expires. All are
        in one slot, so that several can be asked for at once.
        """
        return f"{self.prefix}t:{{step}}:{digest}"

    def subject(self, subject: str) -> str:
        """The index of a subject's session ids: a sorted set, scored by when they end (seconds)."""
        return f"{self.prefix}u:{_digest(subject)}"

    def name(self, name: str) -> str:
        """The index of the ids of sessions that somebody else calls by a name: as a subject's."""
        return f"{self.prefix}n:{_digest(name)}"

    def used(self, name: str) -> str:
        """That something which may be used once has been used: a string that expires with it."""
        return f"{self.prefix}o:{_digest(name)}"


def _digest(name: str) -> str:
    """Names may be of any length, and Redis is to hold none of them in its own."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:18]).decode()

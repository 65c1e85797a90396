"""The names of the keys in Redis.

The braces keep a session and its lease in one slot of a Redis Cluster, so that no command crosses
slots. Indexes stand apart: they are found without a client's key, and hold session ids only.
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
        """The beginning of the names of all sessions."""
        return f"{self.prefix}s:"

    def session(self, session_id: str) -> str:
        """The session's record: a string that expires with the idle timeout."""
        return f"{self.prefix}s:{{{session_id}}}"

    def session_id(self, name: bytes) -> str:
        """The id in the name of a record; another name gives a text that is no id."""
        return name[len(self.sessions) + 1 : -1].decode("ascii", "replace")

    def lease(self, session_id: str) -> str:
        """The lease of the session's renewal: a string that expires soon."""
        return f"{self.prefix}r:{{{session_id}}}"

    def answer(self, session_id: str) -> str:
        """The last answer to the session's refresh calls. It expires soon."""
        return f"{self.prefix}a:{{{session_id}}}"

    @property
    def failures(self) -> str:
        """The prefix of all counts of failed logins, before a colon."""
        return f"{self.prefix}f"

    @property
    def limits(self) -> str:
        """The prefix of all counts of shared rate limits, before a colon."""
        return f"{self.prefix}l"

    def known(self, digest: str) -> str:
        """The mark that a network has logged in to an account, until it expires."""
        return f"{self.prefix}k:{digest}"

    def step(self, digest: str) -> str:
        """The account whose login handed a text out for its next step.

        It is a string that expires. All are in one slot, so that one command can ask for several.
        """
        return f"{self.prefix}t:{{step}}:{digest}"

    def subject(self, subject: str) -> str:
        """The index of a subject's session ids: a sorted set.

        Scores are the ends of the sessions (seconds).
        """
        return f"{self.prefix}u:{_digest(subject)}"

    def name(self, name: str) -> str:
        """The index of the sessions that a provider calls by a name."""
        return f"{self.prefix}n:{_digest(name)}"

    def used(self, name: str) -> str:
        """The mark that a one-time value was used: it expires with the value."""
        return f"{self.prefix}o:{_digest(name)}"


def _digest(name: str) -> str:
    """A short digest.

    Subjects may be of any length, and must not stand in the names of keys.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:18]).decode()

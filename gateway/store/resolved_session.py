"""A session as the relay uses it, with its token and rendered lines."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.sessions.session import Session


@dataclass(slots=True, eq=False)
class ResolvedSession:
    """A session that a key has opened, and what a request needs of it."""

    session: Session
    lines: bytes  # the finished fields that tell upstreams of the subject
    token: bytes  # the session's, for it is wanted with each request
    expires: float  # UNIX seconds from which on it must be looked up again, at the latest

    @property
    def label(self) -> bytes:
        """The session id, for the log."""
        return self.session.id.encode()

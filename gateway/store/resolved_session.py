"""A session as the relay uses it, with its token and rendered lines."""

from __future__ import annotations

from gateway.core.logins import double_submit
from gateway.core.logins.token_sending import as_it_came
from gateway.core.sessions.session import Session


class ResolvedSession:
    """A session that a key has opened, and what a request needs of it."""

    __slots__ = ("csrf", "expires", "lines", "rendered", "sending", "session", "token")

    def __init__(self, session: Session, lines: bytes, token: bytes, expires: float) -> None:
        """Render what requests need, once for each look-up.

        lines: the finished fields that tell upstreams of the subject
        token: the session's, for it is wanted with each request
        expires: from then on it must be looked up again, at the latest (UNIX seconds)
        """
        sending, csrf = session.sending, session.csrf
        self.session = session
        # Lines of routes, by what renders them. Few routes have such, and a dict takes 72 bytes.
        self.rendered: dict[object, list[bytes]] | None = None
        self.lines = lines
        self.token = token
        self.expires = expires
        self.sending = as_it_came(sending) if sending else None  # None: as a bearer token
        self.csrf = double_submit.values(csrf) if csrf else None  # of a double submit

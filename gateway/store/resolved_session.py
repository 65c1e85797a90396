"""A session as the relay uses it, with its token and rendered lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.logins import double_submit
from gateway.core.logins.token_sending import TokenSending, as_it_came, bearer_line
from gateway.core.sessions.session import Session


@dataclass(slots=True, eq=False)
class ResolvedSession:
    """A session that a key has opened, and what a request needs of it."""

    session: Session
    lines: bytes  # the finished fields that tell upstreams of the subject
    token: bytes  # the session's, for it is wanted with each request
    expires: float  # UNIX seconds from which on it must be looked up again, at the latest
    csrf: tuple[bytes, bytes] | None = field(init=False)  # see `double_submit.values`
    sending: TokenSending | None = field(init=False)  # how the token came; None: as a bearer token
    token_line: bytes = field(init=False)  # the finished field with the token, as a bearer token

    def __post_init__(self) -> None:
        sending = self.session.sending
        self.sending = as_it_came(sending) if sending else None
        csrf = self.session.csrf
        self.csrf = double_submit.values(csrf) if csrf else None
        self.token_line = bearer_line(self.token)

    @property
    def label(self) -> bytes:
        """The session id, for the log."""
        return self.session.id.encode()

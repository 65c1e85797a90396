"""`kind: backend`: a login by the backend's own login, whose token becomes a key.

The client's request goes to the backend as it came. A refusal comes back as it came. On success
the reply's token is kept, and the reply goes to the client with the key in the token's place.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING

from gateway.backends import BackendFailed
from gateway.core import refresh_tokens, refusals, swaps, tokens
from gateway.core.replies import Reply, UnreadableReply
from gateway.core.sessions import Device
from gateway.core.swaps import Found, NoToken
from gateway.core.tokens import BadToken, Claims
from gateway.logins import Attempt, Means
from gateway.logins._asking import ask, private
from gateway.logins._refresh import BackendRefresh

if TYPE_CHECKING:
    from gateway.config.model import BackendLogin

_log = logging.getLogger("gateway.logins")


class Login:
    """One configured login."""

    def __init__(self, config: BackendLogin, means: Means) -> None:
        self._config = config
        self._backends = means.backends
        self._sessions = means.sessions
        self.renew = config.renew and BackendRefresh(
            config.renew, means.backends, subject=self._subject, skew=means.sessions.skew
        )

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        reply = await ask(self._backends, self._config, attempt)
        try:
            if reply.status >= 400 or attempt.method == "OPTIONS":
                return swaps.scrub(reply)
            found = swaps.find(reply, self._config.token)
            claims = tokens.read_claims(found.token, time.time() - self._sessions.skew)
            # The swap is tried before anything is issued: what cannot be rewritten is refused.
            swaps.swap(reply, found, "")
        except NoToken:
            return self._without_token(reply, attempt)
        except BadToken as error:
            _log.error("login %s: the token is unusable: %s", attempt.request_id, error)
            raise BackendFailed(refusals.NO_TOKEN) from None
        except UnreadableReply:
            _log.error("login %s: the reply's text cannot be read", attempt.request_id)
            raise BackendFailed(refusals.LOGIN_REPLY) from None
        return await self._issue(attempt, reply, found, claims)

    def _without_token(self, reply: Reply, attempt: Attempt) -> Reply:
        """A refusal, or a redirect that hands nothing out, passes; a success must have a token."""
        if reply.status < 300:
            _log.error(
                "login %s: the backend answered %d without a token",
                attempt.request_id,
                reply.status,
            )
            raise BackendFailed(refusals.NO_TOKEN)
        try:
            return swaps.scrub(reply)
        except UnreadableReply:
            raise BackendFailed(refusals.LOGIN_REPLY) from None

    async def _issue(self, attempt: Attempt, reply: Reply, found: Found, claims: Claims) -> Reply:
        if attempt.replaces is not None:
            # The same browser logs in anew: its former key must not stay good (rule E5).
            await self._sessions.revoke(attempt.replaces)
        renew = self._config.renew
        refresh = None if renew is None else refresh_tokens.find(reply, renew.refresh_token)
        issued = await self._sessions.issue(
            token=found.token,
            subject=self._subject(claims) or _nameless(found.token),
            login=self._config.path,
            device=Device(attempt.device, attempt.address),
            token_expiry=claims.expires,
            refresh=refresh_tokens.dump(refresh),
            renew_before=renew.before if renew and refresh else None,
        )
        return private(swaps.swap(reply, found, issued.key.reveal()))

    def _subject(self, claims: Claims) -> str | None:
        return claims.subject(self._config.subject)


def _nameless(token: str) -> str:
    """A token that names nobody is nobody else's: its digest stands for the subject."""
    return "token:" + hashlib.sha256(token.encode()).hexdigest()[:32]

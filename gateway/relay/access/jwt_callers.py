"""Callers that bring a JWT in place of a key, on routes that accept one.

A verified token is remembered for some seconds, because services send the same one with each
request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from gateway.core.sessions.realms import NoRealm, Realm
from gateway.core.sessions.session import Session, Token
from gateway.core.timestamps import is_date
from gateway.core.tokens.claims import BadToken, Claims
from gateway.outbound.token_readers import ReadToken
from gateway.store.resolved_session import ResolvedSession

# A verified token is believed for so long. A key that its provider has revoked is believed for as
# much longer.
_REMEMBERED_SECONDS = 10.0

# A remembered token is at most as long as a head.
_MAX_REMEMBERED = 1000


class JwtCallers:
    """Verifies the tokens of callers without a session."""

    def __init__(
        self,
        read: ReadToken,
        render: Callable[[Session], bytes],
        realm: Realm,
        subject: tuple[str, ...],
    ) -> None:
        """Take what a verified token needs.

        read: verifies a token and reads its claims
        render: makes the fields that tell upstreams the subject
        realm: of the tokens' subjects
        subject: the claims that may name a subject
        """
        self._read = read
        self._realm = realm
        self._render = render
        self._names = subject
        self._known: dict[bytes, ResolvedSession] = {}

    async def session_of(self, token: bytes) -> ResolvedSession:
        """The token in the form of a session.

        Raises `BadToken` and `KeysUnavailable`.
        """
        known = self._known.get(token)
        if known is not None and known.expires > time.time():
            return known
        claims = await self._read(token.decode("latin-1"))
        expires = math.inf if claims.expires is None else claims.expires
        # It has no id, because nothing renews, ends or lists it.
        session = Session(
            id="",
            subject=self._subject(claims),
            token=Token(token),
            login="",
            ends_at=expires,
            expires_at=expires,
            # Only its `auth_time` tells of a login.
            issued_at=int(time.time()) if is_date(claims.payload.get("auth_time")) else 0,
            _claims=claims.payload,
        )
        until = min(time.time() + _REMEMBERED_SECONDS, expires)
        resolved = ResolvedSession(session, self._render(session), token, until)
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[token] = resolved
        return resolved

    def _subject(self, claims: Claims) -> str:
        """The subject that a token names; "" without one. Raises `BadToken`."""
        try:
            return self._realm.subject(claims.subject(self._names), claims.payload) or ""
        except NoRealm:
            raise BadToken("no_realm") from None

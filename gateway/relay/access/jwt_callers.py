"""JWTs that callers bring along themselves, on routes that accept them: verified, and remembered
for a moment, so that a service which sends one with each request costs no signature each time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from gateway.core.sessions import identity_headers
from gateway.core.sessions.realms import NoRealm, Realm
from gateway.core.sessions.session import Session, Token
from gateway.core.tokens.claims import BadToken, Claims
from gateway.outbound.token_readers import ReadToken
from gateway.store.resolved_session import ResolvedSession

# For how long a token is believed without another look, in seconds: a key that its provider has
# taken back is believed for so much longer.
_REMEMBERED_SECONDS = 10.0

# How many are remembered; each is at most as long as a head.
_MAX_REMEMBERED = 1000


class JwtCallers:
    """Entries of callers that have no session, but a token of their own."""

    def __init__(self, read: ReadToken, identity: Mapping[str, str], realm: Realm) -> None:
        """`read` verifies; `identity` are the fields that tell upstreams who asks, and `realm` is
        that of the tokens' subjects.
        """
        self._read = read
        self._realm = realm
        self._identity = identity
        self._known: dict[bytes, ResolvedSession] = {}

    async def entry(self, token: bytes) -> ResolvedSession:
        """What requests need of a token. Raises `BadToken` and `KeysUnavailable`."""
        known = self._known.get(token)
        if known is not None and known.expires > time.time():
            return known
        claims = await self._read(token.decode("latin-1"))
        expires = math.inf if claims.expires is None else claims.expires
        # Without an id, for it is no session: nothing renews it, ends it or lists it.
        session = Session(
            id="",
            subject=self._subject(claims),
            token=Token(token),
            login="",
            ends_at=expires,
            expires_at=expires,
            _claims=claims.payload,
        )
        until = min(time.time() + _REMEMBERED_SECONDS, expires)
        entry = ResolvedSession(
            session, identity_headers.lines(session, self._identity), token, until
        )
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[token] = entry
        return entry

    def _subject(self, claims: Claims) -> str:
        """Whom a token names; nothing, if it names none. Raises `BadToken`."""
        try:
            return self._realm.subject(claims.subject(("sub",)), claims.payload) or ""
        except NoRealm:
            raise BadToken("no_realm") from None

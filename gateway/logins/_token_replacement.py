"""A token that takes the place of a session's: how it is found in a reply, and checked."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.logins import denials, refresh_tokens
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found, NoToken
from gateway.core.logins.request_echo import NOTHING, EchoDetector
from gateway.core.logins.token_places import TokenPlace
from gateway.core.sessions import subjects
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Session, Token, renewal_time
from gateway.core.tokens.claims import MINTED, Claims, OtherKind, token_kind
from gateway.logins._asking import find_refresh_token, find_token
from gateway.outbound.token_readers import ReadToken
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendSection


class OtherSubject(ValueError):
    """The token names somebody else than the session's subject."""


class TokenReplacement:
    """Finds the tokens that take the place of one login's."""

    def __init__(self, config: BackendSection, read: ReadToken, realm: Realm) -> None:
        """`read` tells what a token of this login says."""
        self._config = config
        self._read = read
        self._realm = realm

    async def __call__(
        self,
        session: Session,
        reply: Reply,
        place: TokenPlace,
        *,
        asked: bool,
        host: str | None = None,
        sent: EchoDetector = NOTHING,
    ) -> tuple[Found, Renewed]:
        """Where the reply holds the token, and what the session gets of it.

        asked: for it, with the session's own refresh token; otherwise it must say whose it is
        host: that the reply is of; None if it is the session's own
        sent: what was asked, of which nothing is a token

        Raises `NoToken`, `BadToken`, `KeysUnavailable`, `OtherSubject` and `UnreadableReply`.
        """
        if await off_loop(reply.is_large, denials.says_no, reply, self._config.failed):
            raise NoToken
        is_verified = self._config.verify is not None
        found = await find_token(reply, place, sent, is_verified=is_verified)
        claims = await self._read(found.token)
        before = token_kind(session.token.reveal(), session.claims)
        if token_kind(found.token, claims.payload) != before:
            raise OtherKind("other_kind")
        if not self._is_of(session.subject, claims, host, asked=asked):
            raise OtherSubject
        expires = math.inf if claims.expires is None else claims.expires
        token, renew = Token(found.token.encode("ascii")), self._config.renew
        if renew is None:
            return found, Renewed(token, expires, math.inf, "")
        rotated = await find_refresh_token(reply, renew.refresh_token, sent)
        # What was minted here (the path was another kind of login's before) is no refresh token,
        # and the mark of it must not vouch for this one.
        kept = "" if session.refresh == MINTED else session.refresh
        refresh = refresh_tokens.dump(rotated) if rotated else kept
        due = renewal_time(time.time(), expires, renew.before) if refresh else math.inf
        return found, Renewed(token, expires, due, refresh)

    def _is_of(self, subject: str, claims: Claims, host: str | None, *, asked: bool) -> bool:
        name = claims.subject(self._config.subject)
        if subjects.is_unnamed(subject):
            return name is None
        if name is None and asked:
            name = self._realm.name_in(subject)
        return name is not None and self._realm.is_subject(subject, name, claims.payload, host)

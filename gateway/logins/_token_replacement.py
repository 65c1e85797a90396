"""Replacing a session's token by one that a reply holds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.logins import denials, pending, refresh_tokens
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
    """The token names another subject than the session does."""


class TokenReplacement:
    """Find the tokens that replace those of one login's sessions."""

    def __init__(self, config: BackendSection, read: ReadToken, realm: Realm) -> None:
        """`read` reads, and if configured verifies, a token of this login."""
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
        """Find a session's new token in a reply: its place, and its content.

        asked: the session's refresh token was sent; otherwise the token must name the subject
        host: the host that replied; None if it is the session's own
        sent: the request, none of whose texts is a token

        Raises `NoToken`, `BadToken`, `KeysUnavailable`, `OtherSubject` and `UnreadableReply`.
        """
        if await off_loop(reply.is_large, self._hands_out_none, reply):
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
        # MINTED is no refresh token, and must not vouch for claims of this token: the session began
        # when another kind of login had this path.
        kept = "" if session.refresh == MINTED else session.refresh
        refresh = refresh_tokens.replaced(kept, rotated) if rotated else kept
        due = renewal_time(time.time(), expires, renew.before) if refresh else math.inf
        return found, Renewed(token, expires, due, refresh)

    def _hands_out_none(self, reply: Reply) -> bool:
        """Whether a reply says no, or announces a second step."""
        place = self._config.pending
        if place is not None and pending.is_pending(reply, place):
            return True
        return denials.says_no(reply, self._config.failed)

    def _is_of(self, subject: str, claims: Claims, host: str | None, *, asked: bool) -> bool:
        name = claims.subject(self._config.subject)
        if subjects.is_unnamed(subject):
            return name is None
        if name is None and asked:
            name = self._realm.name_in(subject)
        return name is not None and self._realm.is_subject(subject, name, claims.payload, host)

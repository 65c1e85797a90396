"""Replacing a session's token by one that a reply holds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.logins import denials, pending, refresh_tokens, reply_tokens
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found, NoToken
from gateway.core.logins.request_echo import NOTHING, EchoDetector
from gateway.core.logins.token_places import TokenPlace
from gateway.core.sessions import subjects
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import OpaqueToken, Session, Token, renewal_time, token_of
from gateway.core.tokens.claims import MINTED, OtherKind, token_kind
from gateway.logins._asking import find_refresh_token, naming
from gateway.logins._token_finders import HandedOut, TokenFinder
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendSection


class OtherSubject(ValueError):
    """The token names another subject than the session does."""


class TokenReplacement:
    """Find the tokens that replace those of one login's sessions."""

    def __init__(self, config: BackendSection, tokens: TokenFinder, realm: Realm) -> None:
        """`tokens` finds and reads the tokens of this login."""
        self.is_opaque = config.has_opaque_tokens
        self._config = config
        self._tokens = tokens
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

        Raises `NoToken`, `BadToken`, `BackendFailed`, `KeysUnavailable`, `OtherSubject` and
        `UnreadableReply`.
        """
        if await off_loop(reply.is_large, self._hands_out_none, reply):
            raise NoToken
        asked_host = self._realm.host_in(session.subject) if host is None else host
        new = await self._tokens.find(reply, place, sent, naming(asked_host) if asked_host else [])
        found = new.found
        if not _is_of_same_kind(session, new):
            raise OtherKind("other_kind")
        if not self._is_of(session.subject, new, host, asked=asked):
            raise OtherSubject
        expires = math.inf if new.claims.expires is None else new.claims.expires
        token, renew = _token(session, new), self._config.renew
        csrf = reply_tokens.csrf_value(reply, found)
        if renew is None:
            return found, Renewed(token, expires, math.inf, "", csrf)
        rotated = await find_refresh_token(reply, renew.refresh_token, sent)
        # MINTED is no refresh token, and must not vouch for claims of this token: the session began
        # when another kind of login had this path.
        kept = "" if session.refresh == MINTED else session.refresh
        refresh = refresh_tokens.replaced(kept, rotated) if rotated else kept
        due = renewal_time(time.time(), expires, renew.before) if refresh else math.inf
        return found, Renewed(token, expires, due, refresh, csrf)

    def _hands_out_none(self, reply: Reply) -> bool:
        """Whether a reply says no, or announces a second step."""
        place = self._config.pending
        if place is not None and pending.is_pending(reply, place):
            return True
        return denials.says_no(reply, self._config.failed)

    def _is_of(self, subject: str, new: HandedOut, host: str | None, *, asked: bool) -> bool:
        name = new.name
        if subjects.is_unnamed(subject):
            return name is None
        if name is None and asked:
            name = self._realm.name_in(subject)
        return name is not None and self._realm.is_subject(subject, name, new.claims.payload, host)


def _is_of_same_kind(session: Session, new: HandedOut) -> bool:
    """Whether a token has the issuer and the kind of the session's.

    Of opaque tokens only a userinfo answer names an issuer, and a reply need not.
    """
    is_opaque = isinstance(session.token, OpaqueToken)
    if is_opaque or new.is_opaque:
        issuers = {session.claims.get("iss"), new.claims.payload.get("iss")} - {None}
        return is_opaque and new.is_opaque and len(issuers) <= 1
    before = token_kind(session.token.reveal(), session.claims)
    return token_kind(new.found.token, new.claims.payload) == before


def _token(session: Session, new: HandedOut) -> Token:
    """The new token. If the reply names no user, the session keeps its claims."""
    keeps = new.is_opaque and new.name is None
    return token_of(new.found.token, session.token.claims_text if keeps else new.claims_text)

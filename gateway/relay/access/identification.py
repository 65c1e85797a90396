"""The third phase of a decision: which session a request's key belongs to.

The near cache answers for most requests; this is for all others. Keys in cookies have rules of
their own: a browser also sends cookies that a neighbouring host has set, or that are left from
another path or from before HTTPS.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.sessions import keys
from gateway.core.tokens.claims import BadToken
from gateway.observe.events import Event
from gateway.outbound.jwks import KeysUnavailable
from gateway.relay.access import own_authorization
from gateway.relay.access.key_cookies import KeyCookie, TrustedCookies
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Auth
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused
from gateway.store.errors import NewerSession, StoreUnavailable
from gateway.store.renewals import RenewalFailed
from gateway.store.resolved_session import ResolvedSession
from gateway.store.resolver import Unresolved

if TYPE_CHECKING:
    from gateway.core.sessions.session import Session
    from gateway.relay.access.jwt_callers import JwtCallers
    from gateway.relay.access.peer import Peer
    from gateway.store.sessions import Sessions

# More cookies with different keys are not looked up. Only an attack makes a browser send so many.
_MAX_KEYS = 8

# By the reason for operators: the refusal for the client. A client does not learn that there is a
# session which cannot be read, or that a cookie is not one of the gateway's.
_REFUSALS = {
    "not_a_key": refusals.NOT_A_KEY,
    "token_not_key": refusals.TOKEN_NOT_KEY,
    "invalid_key": refusals.BAD_KEY,
    "unreadable_session": refusals.BAD_KEY,
    "untrusted_cookie": refusals.BAD_KEY,
    "several_keys": refusals.SEVERAL_KEYS,
}

# In these cases the browser keeps the cookie: the session can be read again once a missing secret
# is back, and a cookie that is not taken may be another site's.
_KEPT = frozenset({"unreadable_session", "untrusted_cookie"})


class SessionFinder:
    """Finds the sessions of requests."""

    def __init__(
        self, sessions: Sessions, cookies: TrustedCookies, jwt_callers: JwtCallers | None
    ) -> None:
        """Take what finds sessions.

        cookies: the cookies in which keys are taken
        jwt_callers: believes JWTs that callers bring; None if no route accepts one
        """
        self._sessions = sessions
        self._near = sessions.near
        self._cookies = cookies
        self._jwt_callers = jwt_callers

    def find(
        self, route: Route, head: RequestHead, peer: Peer
    ) -> Awaitable[ResolvedSession | None]:
        """The session whose key came.

        None if the request counts as one without a key.

        Raises `Refused`, also when it is awaited. A coroutine in between would cost each look-up.
        """
        assert head.presented_key is not None
        if head.presented_key[:3] != b"lk_" and _brings_no_key(route, head):
            return self._find_without(route, head, peer)
        if head.ambiguous or _contradicts_cookies(head):
            # A browser would send its cookies again and again.
            self._cookies.forget(head, peer)
            raise Refused(refusals.AMBIGUOUS_KEY, event=Event("refused", reason="ambiguous_key"))
        if head.disputed and head.cookie is not None:
            return self._choose(route, head, peer)
        if route.access.accepts_jwt and own_authorization.brings_jwt(head):
            return self._verify(route, head.presented_key)
        return self._resolve(route, head, peer)

    def refuse(self, route: Route, head: RequestHead, peer: Peer, reason: str) -> None:
        """Raises `Refused` for a key that opens nothing, unless it counts as none.

        Either way the browser is told to forget the cookie. `reason` is for operators.
        """
        assert head.presented_key is not None
        if head.cookie is not None and reason not in _KEPT:
            self._cookies.forget(head, peer)
        if not _counts_as_none(route, head):
            raise Refused(_REFUSALS[reason], event=_event(head.presented_key, reason))

    async def _find_without(
        self, route: Route, head: RequestHead, peer: Peer
    ) -> ResolvedSession | None:
        """The session of the cookies: the field holds none of the gateway's keys."""
        head.presented_key, head.key_fields = None, ()
        if not head.key_cookies:
            return None
        head.cookie, head.presented_key = head.key_cookies[0]
        head.key_fields = (b"Cookie",)
        head.disputed = len(set(head.key_cookies)) > 1
        if head.disputed:
            return await self._choose(route, head, peer)
        return await self._resolve(route, head, peer)

    async def _resolve(self, route: Route, head: RequestHead, peer: Peer) -> ResolvedSession | None:
        assert head.presented_key is not None
        if head.cookie is not None and not self._cookies.have(head, peer):
            self.refuse(route, head, peer, "untrusted_cookie")
            return None
        try:
            found = await self._sessions.resolve(
                head.presented_key, renew=not route.is_endpoint, extend=route.action.extends_session
            )
        except (StoreUnavailable, RenewalFailed) as error:
            raise _refused(error, head.presented_key) from None
        if isinstance(found, Unresolved):
            self.refuse(route, head, peer, found.reason)
            return None
        if found.session.cookie_until:
            self._prolong_cookie(route, head, found.session)
        return found

    async def _choose(self, route: Route, head: RequestHead, peer: Peer) -> ResolvedSession | None:
        """The session of the cookie that counts, of several (wire-rules.md#E7).

        Cookies that no neighbouring host can set come first, and then cookies whose sessions live.
        If living sessions belong to several people, no cookie counts: one of these people may have
        planted a cookie.
        """
        reason = "untrusted_cookie"
        for rank in self._cookies.ranked(head, peer):
            living: list[tuple[KeyCookie, ResolvedSession]] = []
            for cookie in rank[:_MAX_KEYS]:
                found = await self._find(route, cookie[1])
                if isinstance(found, ResolvedSession):
                    living.append((cookie, found))
                elif reason != "unreadable_session":
                    reason = found.reason
            people = {resolved.session.subject for _, resolved in living}
            if len(people) > 1 or len(rank) > _MAX_KEYS:
                reason = "several_keys"
                break
            if living:
                (head.cookie, head.presented_key), resolved = living[0]
                if resolved.session.cookie_until:
                    self._prolong_cookie(route, head, resolved.session)
                return resolved
        self.refuse(route, head, peer, reason)
        return None

    def _prolong_cookie(self, route: Route, head: RequestHead, session: Session) -> None:
        """Set a lasting cookie anew if it is due: the session lasts longer now.

        The endpoints set cookies themselves. A proxy that asks may keep the answer's cookies from
        the browser: so it gets the cookie with each look-up, until a request passes through here.
        """
        if head.cookie is None or route.in_process or not route.action.extends_session:
            return
        cookies, key = self._sessions.lasting_cookies, keys.parse_key(head.presented_key or b"")
        until = cookies.new_end(session)
        if until is None or key is None:
            return
        text = self._sessions.key_texts.of(key, session) if session.cookie else key.reveal()
        is_set = self._cookies.prolong(head, session, text, until)
        if is_set and head.description is None:
            cookies.note(session.id, until)

    async def _find(self, route: Route, presented_key: bytes) -> ResolvedSession | Unresolved:
        resolved = self._near.get(presented_key, time.time())
        if resolved is not None:
            return resolved
        try:
            return await self._sessions.resolve(
                presented_key, renew=not route.is_endpoint, extend=route.action.extends_session
            )
        except (StoreUnavailable, RenewalFailed) as error:
            raise _refused(error, presented_key) from None

    async def _verify(self, route: Route, token: bytes) -> ResolvedSession | None:
        """Verify a token that the caller brought in place of a key."""
        assert self._jwt_callers is not None
        try:
            return await self._jwt_callers.session_of(token)
        except KeysUnavailable:
            raise Refused(refusals.KEYS) from None
        except StoreUnavailable:
            raise Refused(refusals.STORE_DOWN) from None
        except BadToken as error:
            if route.access.bad_key_is_anonymous:
                return None
            event = Event("refused", reason=str(error))
            raise Refused(refusals.BAD_TOKEN, event=event) from None


def _refused(error: StoreUnavailable | RenewalFailed, presented_key: bytes) -> Refused:
    """The refusal if a session cannot be read or renewed at the moment."""
    if isinstance(error, NewerSession):
        event = _event(presented_key, refusals.NEWER_SESSION.reason)
        return Refused(refusals.NEWER_SESSION, event=event)
    return Refused(refusals.RENEWAL if isinstance(error, RenewalFailed) else refusals.STORE_DOWN)


def _brings_no_key(route: Route, head: RequestHead) -> bool:
    """Whether a field presents no key, or one that is for the upstream.

    That is so on optional routes and at logins, but for a JWT that the gateway verifies. Text that
    begins like a key counts as a broken one, and does not come here.
    """
    assert head.presented_key is not None
    if head.ambiguous:
        return False
    if head.cookie is None and head.presented_key in keys.NOTHING:
        return True
    if route.access.auth is not Auth.OPTIONAL and not route.is_login:
        return False
    if route.access.accepts_jwt and own_authorization.brings_jwt(head):
        return False
    return own_authorization.is_presented(head)


def _contradicts_cookies(head: RequestHead) -> bool:
    """Whether a key came in a field, and another one in a cookie."""
    in_field = head.disputed and head.cookie is None
    return in_field and any(key != head.presented_key for _, key in head.key_cookies)


def _counts_as_none(route: Route, head: RequestHead) -> bool:
    """Whether a key that opens nothing counts as no key.

    A visitor of an optional route may not know of an old cookie.
    """
    if route.access.auth is Auth.OPTIONAL and head.cookie is not None:
        return True
    return route.access.auth is Auth.OFFERED or route.access.bad_key_is_anonymous


def _event(presented_key: bytes, reason: str) -> Event:
    """The event for the audit log.

    A key that opens nothing any more is named by the session that it had.
    """
    key = keys.parse_key(presented_key)
    return Event("refused", session_id="" if key is None else keys.session_id(key), reason=reason)

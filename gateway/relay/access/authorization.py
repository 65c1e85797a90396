"""The fourth phase of a decision: whether the caller may do this."""

from __future__ import annotations

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.tokens.claims import MINTED
from gateway.observe.events import Event
from gateway.relay.access import browsers, rule_check
from gateway.relay.access.peer import Peer
from gateway.relay.access.requirements import Requirements
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Auth
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused
from gateway.store.resolved_session import ResolvedSession


def authorise(
    head: RequestHead, route: Route, resolved: ResolvedSession | None, peer: Peer
) -> None:
    """Raises `Refused` for a caller who may not use the route so.

    That is a caller without a session, another site's page, or a session that does not meet
    what the route requires.
    """
    access = route.access
    if resolved is None and (access.auth is Auth.REQUIRED or access.requires is not None):
        raise Refused(refusals.NO_KEY)
    by_cookie = resolved is not None and head.cookie is not None
    if by_cookie and not browsers.may_act(head, route, peer):
        raise Refused(refusals.CROSS_SITE, event=_event(resolved, refusals.CROSS_SITE))
    if resolved is not None and access.requires is not None:
        _check(access.requires, head, route, resolved, peer)


def may_use(head: RequestHead, route: Route, resolved: ResolvedSession, peer: Peer) -> bool:
    """Whether the session, with the token that it has now, may use the route so."""
    try:
        authorise(head, route, resolved, peer)
    except Refused:
        return False
    return True


def _check(
    requires: Requirements, head: RequestHead, route: Route, resolved: ResolvedSession, peer: Peer
) -> None:
    """Raises `Refused` for a session that does not meet them."""
    try:
        requires.check(resolved.session)
        if requires.rules:
            rule_check.check(requires.rules, head, route, resolved.session, peer)
    except Refused as refused:
        refused.event = _event(resolved, refused.refusal)
        raise


def sessions_to_end(
    head: RequestHead, route: Route, resolved: ResolvedSession | None, peer: Peer
) -> tuple[str, ...]:
    """The ids of the sessions that end with a request to a backend's logout.

    These are the sessions of all keys that came, even on a route that looks at no key. Another
    site's page ends no session whose key came in a cookie.
    """
    if not any(logout.is_asked(head.method) for logout in route.at_logouts):
        return ()
    if resolved is None and head.key_cookies and not browsers.may_act(head, route, peer):
        return ()
    return head.session_ids


def require_minted(resolved: ResolvedSession) -> None:
    """Raises `Refused` for a session with claims of another issuer.

    The gateway signs tokens for upstreams only with claims that it has minted itself.
    """
    if resolved.session.refresh != MINTED:
        raise Refused(refusals.FORBIDDEN, event=_event(resolved, refusals.FORBIDDEN))


def _event(resolved: ResolvedSession | None, refusal: Refusal) -> Event | None:
    """The event for the audit log, if a session was refused."""
    if resolved is None:
        return None
    session = resolved.session
    return Event("refused", session.subject, session.id, reason=refusal.reason)

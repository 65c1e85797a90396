"""The decision: which requests pass, as whom, and with what head. One function tells the story.

It is an `async def` that seldom waits: when the near cache answers, it ends without a suspension,
so the relay drives it by hand and makes no task (see `eager`). Authentication is a fixed phase of
it and not a filter that a route could forget.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.core.sessions import required_claims
from gateway.core.tokens.claims import MINTED
from gateway.observe.events import Event
from gateway.relay.access import browsers, upstream_request
from gateway.relay.access.forward_auth import ForwardAuth
from gateway.relay.access.jwt_callers import Bearers
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.peer import Peer
from gateway.relay.access.presented_keys import PresentedKeys
from gateway.relay.access.route import Auth, Route
from gateway.relay.access.route_table import RouteTable
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.http1.request_head import Answered, Refused, RequestHead
from gateway.store.resolved_session import ResolvedSession

if TYPE_CHECKING:
    from gateway.store.sessions import Sessions

_NEVER = frozenset({b"TRACE", b"CONNECT"})

# What the server of the endpoints is sure to know: RFC 9110 §9, but for what is never served, and
# RFC 5789.
_KNOWN = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})

# What has one value (RFC 9110 §5.3), and may come in a request.
_SINGLE = (
    b"content-type",
    b"user-agent",
    b"content-location",
    b"content-range",
    b"etag",
    b"max-forwards",
    b"server",
)


@dataclass(slots=True)
class Forward:
    """The request may pass: by this route, as this session's (or nobody's), with this head."""

    route: Route
    entry: ResolvedSession | None
    head: bytes
    ends: tuple[str, ...] = ()  # the sessions that end before it goes on, by their ids
    answer: Answered | Refusal | None = None  # given in place of an upstream's


class Load:
    """How much is in flight in this worker, against its limit, and whose that is."""

    __slots__ = ("limit", "requests", "shares")

    def __init__(self, limit: int, shares: Shares) -> None:
        self.limit = limit
        self.shares = shares
        self.requests = 0


class Decider:
    """Decides over requests by one configuration."""

    def __init__(
        self,
        table: RouteTable,
        forward_auth: ForwardAuth,
        sessions: Sessions,
        load: Load,
        bearers: Bearers | None,
        cookies: TrustedCookies,
    ) -> None:
        """`bearers` are those who bring tokens of their own, if there are routes for them, and
        `cookies` are those in which keys are taken.
        """
        self._table = table
        self._forward_auth = forward_auth
        self._sessions = sessions
        self._near = sessions.near
        self._load = load
        self._cookies = cookies
        self._keys = PresentedKeys(sessions, cookies, bearers)

    async def decide(self, head: RequestHead, peer: Peer, own_id: bytes) -> Forward:
        """match → admit → identify → authorise → prepare. Raises `Refused` or `Answered`.

        Where a proxy asks, it is the request that it describes that goes through the phases; there
        is nothing to prepare, as the proxy itself lets it pass.
        """
        asked = route = self._match(head)
        if asked.verifies:
            head.described = self._forward_auth.described(head, asked, peer)
            head = head.described
            route = self._match_described(head)
        try:
            self._admit(route, head, peer)
            entry = None
            if route.identifies and head.credential is not None:
                entry = self._near.get(head.credential, time.time())
                if entry is None or head.ambiguous or head.disputed:
                    entry = await self._keys.identify(route, head, peer)
                elif head.cookie is not None and not self._cookies.have(head, peer):
                    self._keys.refuse(route, head, peer, "untrusted_cookie")
                    entry = None
            if entry is None or route.access.claims or head.cookie is not None:
                _authorise(head, route, entry, peer)
            ends = _logged_out(head, route, entry, peer) if route.at_logout else ()
            if route.action.token is not None and entry is not None:
                entry = _for_route(route.action.token, entry)
        except Refused as refused:
            raise browsers.fitted(refused, head, route) from None
        if asked is not route:
            return Forward(asked, entry, b"", ends, self._forward_auth.answer(head, entry))
        if route.pool is None:
            return Forward(route, entry, b"", ends, refusals.NO_ROUTE)
        prepared = upstream_request.request_head(head, route, entry, peer, own_id)
        return Forward(route, entry, prepared, ends)

    async def decide_again(
        self, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes, *, renew: bool
    ) -> Forward | None:
        """The same with another token, after the upstream has refused this one; None without.

        renew: a new one is got, unless the session has another one already
        """
        assert forward.entry is not None
        assert head.credential is not None
        entry = await self._sessions.replaced(head.credential, forward.entry, renew=renew)
        if entry is None:
            return None
        route = forward.route
        if route.action.token is not None:
            entry = _for_route(route.action.token, entry)
        return Forward(
            route, entry, upstream_request.request_head(head, route, entry, peer, own_id)
        )

    def _match(self, head: RequestHead) -> Route:
        if head.path == b"*":
            raise Answered(browsers.NO_CONTENT, browsers.OPTIONS_FIELDS)
        if head.loop:
            raise Refused(refusals.LOOP)
        if head.method in _NEVER:
            raise Refused(refusals.METHOD)
        found = self._table.match(head.path)
        if isinstance(found, Refusal):
            raise Refused(found)
        if head.method == b"OPTIONS":
            browsers.answer_options(head, found)
        route = found.pick(head.method)
        if route is None:
            raise Refused(refusals.METHOD, {"Allow": ", ".join(found.allowed)})
        return route

    def _match_described(self, head: RequestHead) -> Route:
        """Whatever passes here, the proxy sends on as it came, to a backend of its choice: so no
        request may that the gateway would answer by itself, nor one for a backend's login
        (wire-rules.md#E1), and no upgrade that it would not grant.
        """
        route = self._match(head)
        if route.in_process or route.at_login:
            raise Refused(refusals.NO_ROUTE)
        if head.upgrade is not None and not route.action.websocket:
            raise Refused(refusals.NO_UPGRADE)
        return route

    def _admit(self, route: Route, head: RequestHead, peer: Peer) -> None:
        load = self._load
        if load.requests > load.shares.crowded:
            _admit_to_share(load, head, peer)
        if head.length > route.action.body_limit:
            raise Refused(refusals.BODY_TOO_LARGE)
        if head.upgrade is not None and route.action.websocket and head.has_body:
            # A body would be read as tunnel bytes (wire-rules.md#E9).
            raise Refused(refusals.MALFORMED)
        if route.in_process:
            _admit_inside(head)


def _admit_to_share(load: Load, head: RequestHead, peer: Peer) -> None:
    """What may be one request too many, for all or for its client."""
    if load.requests > load.limit:
        raise Refused(refusals.BUSY)
    if not load.shares.allows(peer.network(head), load.requests - 1):
        raise Refused(refusals.OVER_SHARE)


def _admit_inside(head: RequestHead) -> None:
    """What the endpoints' own server would refuse in its own words, in which it repeats the request
    (wire-rules.md#E6). Of a field that came twice, the gateway and a backend might each read
    another one.
    """
    if head.method not in _KNOWN:
        raise Refused(refusals.UNKNOWN_METHOD)
    names = [line.partition(b":")[0].lower() for line in head.passed]
    if any(names.count(each) > 1 for each in _SINGLE):
        raise Refused(refusals.MALFORMED)


def _authorise(head: RequestHead, route: Route, entry: ResolvedSession | None, peer: Peer) -> None:
    if entry is None and route.access.auth is Auth.REQUIRED:
        raise Refused(refusals.NO_KEY)
    by_cookie = entry is not None and head.cookie is not None
    if by_cookie and not browsers.may_act(head, route, peer):
        raise Refused(refusals.CROSS_SITE, event=_forbidden(entry, refusals.CROSS_SITE))
    for name, allowed in route.access.claims.items():
        if entry is None or not required_claims.is_met(entry.session.claim(name), allowed):
            raise Refused(refusals.FORBIDDEN, event=_forbidden(entry, refusals.FORBIDDEN))


def _logged_out(
    head: RequestHead, route: Route, entry: ResolvedSession | None, peer: Peer
) -> tuple[str, ...]:
    """The sessions that end with a request to the backend's own logout: those of the keys that
    came, whether the route looks at keys or not. By a cookie no other site's page may log out.
    """
    if not route.upstream_paths.logout.is_asked(head.method):
        return ()
    if entry is None and head.key_cookies and not browsers.may_act(head, route, peer):
        return ()
    return head.session_ids


def _for_route(tokens: RouteTokens, entry: ResolvedSession) -> ResolvedSession:
    """The entry with a token that is meant for the route's upstream alone. Only a session whose
    claims the gateway has minted itself gets one: it vouches for nothing that it was only handed.
    """
    if entry.session.refresh != MINTED:
        raise Refused(refusals.FORBIDDEN, event=_forbidden(entry, refusals.FORBIDDEN))
    return tokens.entry(entry, time.time())


def _forbidden(entry: ResolvedSession | None, refusal: Refusal) -> Event | None:
    if entry is None:
        return None
    session = entry.session
    return Event("refused", session.subject, session.id, reason=refusal.reason)

"""The decision: whether a request passes, as whose, and with what head.

`Decider.decide` tells the story of its five phases. It is an `async def` that seldom waits: when
the near cache knows the key, it ends without a suspension. So the relay drives it by hand, and
makes no task (see `relay/loop/eager.py`). Authentication is a phase and no filter, so that no route
can forget it.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.relay.access import (
    admission,
    authorization,
    browsers,
    keys_aside,
    upstream_request,
)
from gateway.relay.access.admission import Load
from gateway.relay.access.forward_auth import VerifyEndpoint
from gateway.relay.access.identification import SessionFinder
from gateway.relay.access.jwt_callers import JwtCallers
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.limits import Taken
from gateway.relay.access.matching import matched_route
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_table import RouteTable
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered, Refused
from gateway.store.resolved_session import ResolvedSession

if TYPE_CHECKING:
    from gateway.store.sessions import Sessions


@dataclass(slots=True)
class Forward:
    """The request may pass."""

    route: Route
    resolved: ResolvedSession | None  # the caller's session; None for an anonymous caller
    head: bytes  # for the upstream
    ends: tuple[str, ...] = ()  # ids of the sessions that end before the request goes on
    answer: Answered | Refusal | None = None  # given in place of an upstream's
    answer_lines: bytes = b""  # the gateway's own, about limits


class Decide(Protocol):
    """Decides on a request: `Decider.decide`, or what stands in its place."""

    def __call__(
        self, head: RequestHead, peer: Peer, own_id: bytes, /
    ) -> Coroutine[Any, Any, Forward]: ...


class DecideAgain(Protocol):
    """`Decider.decide_again`."""

    def __call__(
        self, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes, /, *, renew: bool
    ) -> Coroutine[Any, Any, Forward | None]: ...


class DecideLate(Protocol):
    """`Decider.decide_late`."""

    def __call__(
        self, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes, /
    ) -> Coroutine[Any, Any, Forward]: ...


class Decider:
    """Decides on requests by one configuration."""

    def __init__(
        self,
        table: RouteTable,
        verify_endpoint: VerifyEndpoint,
        sessions: Sessions,
        load: Load,
        jwt_callers: JwtCallers | None,
        cookies: TrustedCookies,
    ) -> None:
        """Take what the phases need.

        table: finds routes
        verify_endpoint: reads and answers the questions of proxies
        sessions: finds sessions by their keys
        load: the requests in flight
        jwt_callers: believes JWTs that callers bring; None if no route accepts one
        cookies: the cookies in which keys are taken
        """
        self._table = table
        self._verify_endpoint = verify_endpoint
        self._sessions = sessions
        self._near = sessions.near
        self._load = load
        self._cookies = cookies
        self._finder = SessionFinder(sessions, cookies, jwt_callers)

    async def decide(self, head: RequestHead, peer: Peer, own_id: bytes) -> Forward:
        """match → admit → identify → authorise → prepare.

        Raises `Refused` or `Answered`.

        If a proxy asks about a request, the described request goes through the phases. There is
        nothing to prepare then, as the proxy itself sends it on.
        """
        source, asked = head, matched_route(self._table, head, peer)
        route = asked
        if asked.verifies:
            head.described = self._verify_endpoint.described_request(head, asked, peer)
            head = head.described
            route = self._match_described(head, peer)
        if head.brings_key_aside:
            keys_aside.take(route, head)
        try:
            admission.admit(route, head, peer, self._load)
            if (limits := route.action.limits) is not None:
                taken: list[Taken] = []
                if limits.early:
                    counting = limits.take(limits.early, taken, source, peer, None)
                    if counting is not None:
                        await counting
            resolved = None
            if route.identifies and head.presented_key is not None:
                resolved = self._near.get(head.presented_key, time.time())
                if resolved is None or head.ambiguous or head.disputed:
                    resolved = await self._finder.find(route, head, peer)
                elif head.cookie is not None and not self._cookies.have(head, peer):
                    self._finder.refuse(route, head, peer, "untrusted_cookie")
                    resolved = None
            if limits is not None and limits.late:
                counting = limits.take(limits.late, taken, source, peer, resolved)
                if counting is not None:
                    await counting
            if resolved is None or route.access.requires is not None or head.cookie is not None:
                authorization.authorise(head, route, resolved, peer)
            ends: tuple[str, ...] = ()
            if route.at_logouts:
                ends = authorization.sessions_to_end(head, route, resolved, peer)
            if route.action.token is not None and resolved is not None:
                resolved = _with_route_token(route, resolved)
        except Refused as refused:
            # No variable holds it: it holds this frame, and a cycle would wait for the collector.
            raise _outcome(refused, head, route) from None
        if asked is not route:
            answer = self._verify_endpoint.answer(head, route, resolved)
            return Forward(asked, resolved, b"", ends, answer)
        forward = Forward(route, resolved, b"", ends)
        if limits is not None:
            forward.answer_lines = limits.lines(taken)
        if route.pool is None:
            own = route.action.answer
            forward.answer = refusals.NO_ROUTE if own is None else own(head)
        else:
            forward.head = upstream_request.request_head(head, route, resolved, peer, own_id)
        return forward

    async def decide_again(
        self, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes, *, renew: bool
    ) -> Forward | None:
        """Decide again with another token, after the upstream has refused one.

        None if there is no other token, or if its claims do not meet what the route requires.
        Raises `Refused`.

        renew: whether a new token is fetched if the session has no other one yet
        """
        assert forward.resolved is not None
        assert head.presented_key is not None
        route = forward.route
        resolved = await self._sessions.replaced(
            head.presented_key, forward.resolved, renew=renew, extend=route.action.extends_session
        )
        if resolved is None or not authorization.may_use(head, route, resolved, peer):
            return None
        if route.action.token is not None:
            resolved = _with_route_token(route, resolved)
        prepared = upstream_request.request_head(head, route, resolved, peer, own_id)
        return Forward(route, resolved, prepared, answer_lines=forward.answer_lines)

    async def decide_late(
        self, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes
    ) -> Forward:
        """Decide again who asks, after a body has taken its time. Raises `Refused`.

        Its session may have ended meanwhile, or have another token.
        """
        route, before = forward.route, forward.resolved
        if before is None or head.presented_key is None or forward.ends:
            return forward
        try:
            resolved = self._near.get(head.presented_key, time.time())
            if resolved is None:
                resolved = await self._finder.find(route, head, peer)
            if resolved is None or resolved.session.token != before.session.token:
                authorization.authorise(head, route, resolved, peer)
            if route.action.token is not None and resolved is not None:
                resolved = _with_route_token(route, resolved)
        except Refused as refused:
            raise _outcome(refused, head, route) from None
        prepared = upstream_request.request_head(head, route, resolved, peer, own_id)
        return Forward(route, resolved, prepared, answer_lines=forward.answer_lines)

    def _match_described(self, head: RequestHead, peer: Peer) -> Route:
        """The route of a request that a proxy has described. Raises `Refused`.

        The proxy sends a request that passes to a backend of its choice, as it came. So none may
        pass that the gateway would answer itself, that goes to a backend's login
        (wire-rules.md#E1), or that asks for an upgrade which the gateway would not grant.
        """
        route = matched_route(self._table, head, peer)
        if route.in_process or route.at_login or route.watch.refuses:
            raise Refused(refusals.NO_ROUTE)
        if route.action.answer is not None:
            raise Refused(refusals.NO_ROUTE)
        if head.upgrade is not None and head.upgrade not in route.action.upgrades:
            raise Refused(refusals.NO_UPGRADE)
        return route


def _outcome(refused: Refused, head: RequestHead, route: Route) -> Refused | Answered:
    """The answer to the caller in place of one of the route."""
    outcome = browsers.refusal_for_caller(refused, head, route)
    outcome.route = route.label
    return outcome


def _with_route_token(route: Route, resolved: ResolvedSession) -> ResolvedSession:
    """The session with a token that is meant for the route's upstream alone.

    Raises `Refused`.
    """
    assert route.action.token is not None
    authorization.require_minted(resolved)
    return route.action.token.applied(resolved, time.time())

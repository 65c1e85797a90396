"""The first phase of a decision: the route of a request, or an answer without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.relay.access import browsers
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.core.http.routing import Methods
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route
    from gateway.relay.access.route_table import RouteTable
    from gateway.relay.http1.request_head import RequestHead

_NEVER_SERVED = frozenset({b"TRACE", b"CONNECT"})


def matched_route(table: RouteTable, head: RequestHead, peer: Peer) -> Route:
    """The route of a request. Raises `Refused` or `Answered`."""
    if head.path == b"*":
        raise Answered(browsers.NO_CONTENT, browsers.OPTIONS_FIELDS)
    if head.loop:
        raise Refused(refusals.LOOP)
    if head.method in _NEVER_SERVED:
        raise Refused(refusals.METHOD)
    found = table.match(head, peer)
    if isinstance(found, Refusal):
        raise Refused(found)
    if head.method == b"OPTIONS":
        browsers.answer_options(head, found)
        route = browsers.route_of_options(head, found)
    else:
        route = found.pick(head.method)
    if route is None:
        raise _not_served(head, found)
    return route


def _not_served(head: RequestHead, found: Methods[Route]) -> Refused:
    """The refusal of a method. Pages that may read other answers of the path may read it, too."""
    refused = Refused(refusals.METHOD, {"Allow": ", ".join(found.allowed)})
    route = next(iter(found.all()))
    refused.route = route.label
    if route.access.cors is not None:
        refused.fields |= browsers.cors_fields(head, route.access.cors)
    return refused

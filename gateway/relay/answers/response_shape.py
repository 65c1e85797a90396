"""What a route changes in the heads of its answers, before the gateway's own fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import shared_caches
from gateway.core.http.backend_links import Asked
from gateway.relay.access import upstream_request

if TYPE_CHECKING:
    from gateway.relay.access.decision import Forward
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route_action import Action
    from gateway.relay.answers.own_answers import Change
    from gateway.relay.http1.request_head import RequestHead
    from gateway.relay.http1.response_head import ResponseHead


def apply(response: ResponseHead, request: RequestHead, forward: Forward, peer: Peer) -> None:
    """Put links right, change fields, and add those that protect browsers."""
    route = forward.route
    action = route.action
    if action.links is not None:
        response.passed = action.links.put_right(
            response.passed, lambda: _asked(request, action, peer)
        )
    if action.answer_fields is not None:
        response.passed = action.answer_fields.applied(
            response.passed, forward.resolved, lambda: route.path_values(request)
        )
        _read_again(response)
    if action.security is not None:
        https = peer.client(request).is_protected
        added = action.security.lines(response.passed, https=https)
        response.passed = [*response.passed, *added]


def _asked(request: RequestHead, action: Action, peer: Peer) -> Asked:
    return Asked(
        hosts=tuple(host for host in (request.host, peer.client(request).host) if host),
        path=action.prefix + action.upstream_path(request.path),
        prefix=upstream_request.told_prefix(request, action, peer),
    )


def of_own_answer(request: RequestHead, forward: Forward) -> Change | None:
    """The changes of a route to an answer of the gateway's own; None without any."""
    route, changes = forward.route, forward.route.action.answer_fields
    if changes is None:
        return None
    return lambda fields: changes.of_own_answer(
        fields, forward.resolved, lambda: route.path_values(request)
    )


def _read_again(response: ResponseHead) -> None:
    """Read again what the lines say to caches: private answers are confined by it."""
    named = [(line.partition(b":")[0].lower(), line) for line in response.passed]
    response.for_caches = tuple(line for name, line in named if shared_caches.is_for_caches(name))
    response.vary = tuple(line for name, line in named if name == b"vary")

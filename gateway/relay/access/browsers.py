"""What browsers need that programs do not: whose page asked, who may read, where to log in.

None of it costs a request of a program anything; a route without a policy costs nobody anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import negotiation, origins, return_paths
from gateway.core.http.cors import Policy
from gateway.core.http.routing import Methods
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route

_SAFE = frozenset(method.encode() for method in origins.SAFE_METHODS)

# What a request without a usable key is told. A key that is two keys is no reason to log in.
_UNAUTHENTICATED = 401

# RFC 9110 §9.3.7: what `OPTIONS *`, or an OPTIONS that may not be forwarded, is told.
OPTIONS_FIELDS = {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}

_SEE_OTHER = 303  # RFC 9110 §15.4.4: go on with a GET, whatever this was
NO_CONTENT = 204


def answer_options(head: RequestHead, found: Methods[Route]) -> None:
    """Raises `Answered` if an OPTIONS may go no further (RFC 9110 §7.6.2), or if it is a browser's
    question whether another site's page may ask (WHATWG Fetch §3.2.2), and the route that it is
    about has an answer; it carries no key.

    A proxy that asks about one would take such an answer for leave to pass it on.
    """
    if head.description is not None or any(route.verifies for route in found.all()):
        return
    if head.max_forwards == 0:
        raise Answered(NO_CONTENT, OPTIONS_FIELDS)
    method = head.passed_value(b"access-control-request-method")
    if method is None:
        return
    route = found.pick(method.encode("latin-1"))
    if route is not None and route.access.cors is not None:
        origin = head.passed_value(b"origin") or ""
        raise Answered(NO_CONTENT, route.access.cors.preflight(origin))


def may_act(head: RequestHead, route: Route, peer: Peer) -> bool:
    """Whether a request whose key came in a cookie was caused by a page of our own, or of an origin
    that may do what ours may, or cannot change anything. The endpoints have rules of their own.
    """
    if route.is_endpoint or (head.method in _SAFE and head.upgrade is None):
        return True
    return origins.is_own_site(
        site=head.passed_value(b"sec-fetch-site"),
        origin=head.passed_value(b"origin"),
        host=asked_host(head, peer),
        policy=route.access.cors,
    )


def refusal_for_caller(refused: Refused, head: RequestHead, route: Route) -> Refused | Answered:
    """The refusal as this caller can use it: a browser that goes somewhere is sent to log in first,
    and another site's page may read why it was refused, if it may read the route's answers.
    """
    status = refused.refusal.status
    page = route.access.login_page if status == _UNAUTHENTICATED else None
    if page is not None and (
        route.access.sends_all_to_login or negotiation.navigates(*_accept_and_mode(head))
    ):
        looks = head.method in (b"GET", b"HEAD")
        back = (head.path + head.query).decode("ascii") if looks else "/"
        location = return_paths.login_url(page, back)
        told = head.description
        fields = {"Location": told.site + location if told else location}
        fields["Cache-Control"] = "no-store"
        if told is None or told.redirects:
            return Answered(_SEE_OTHER, fields, refused.event)
        refused.fields |= fields
    if route.access.cors is not None:
        refused.fields |= cors_fields(head, route.access.cors)
    return refused


def cors_fields(head: RequestHead, policy: Policy) -> dict[str, str]:
    """What an answer to this request says of who may read it."""
    return policy.answer(head.passed_value(b"origin") or "")


def wants_page(head: RequestHead) -> bool:
    """Whether a person reads the answer to this request."""
    return negotiation.wants_page(*_accept_and_mode(head))


def _accept_and_mode(head: RequestHead) -> tuple[str | None, str | None]:
    return head.passed_list(b"accept"), head.passed_value(b"sec-fetch-mode")


def asked_host(head: RequestHead, peer: Peer) -> str:
    """What the browser asked, as far as whoever stands before us is to be believed."""
    return (peer.client(head).host or head.host or b"").decode("latin-1")

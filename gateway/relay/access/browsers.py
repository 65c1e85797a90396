"""The needs of browsers: who asked, who may read, where to log in.

None of this costs a program's request anything, nor one without a cookie on a route without a
policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import negotiation, origins, refusals, return_paths
from gateway.core.http.cors import Policy
from gateway.core.http.routing import Methods
from gateway.relay.http1.request_head import SAFE_METHODS, RequestHead
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route

# A request without a usable key gets it. One with several keys gets another status, because a login
# would not help.
_UNAUTHENTICATED = 401
_BASIC_CHALLENGE = 'Basic realm="latchkey"'

# The answer to `OPTIONS *`, and to an OPTIONS that goes no further (RFC 9110 §9.3.7).
OPTIONS_FIELDS = {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}

_SEE_OTHER = 303  # go on with a GET, whatever this was (RFC 9110 §15.4.4)
NO_CONTENT = 204


def answer_options(head: RequestHead, found: Methods[Route]) -> None:
    """Answer an OPTIONS request that goes no further. Raises `Answered`.

    It is one whose Max-Forwards is 0 (RFC 9110 §7.6.2), or a preflight (WHATWG Fetch §3.2.2) for a
    route with a policy; a preflight carries no key.

    A question of a proxy gets no such answer, for the proxy would let the request pass.
    """
    if head.description is not None or any(route.verifies for route in found.all()):
        return
    if head.max_forwards == 0:
        raise Answered(NO_CONTENT, OPTIONS_FIELDS)
    route = _asked_for(head, found)
    if route is not None and route.access.cors is not None:
        origin = head.passed_value(b"origin") or ""
        raise Answered(NO_CONTENT, route.access.cors.preflight(origin))


def route_of_options(head: RequestHead, found: Methods[Route]) -> Route | None:
    """The route of an OPTIONS request.

    A preflight for a method that an endpoint serves goes there: the backend of a login decides.
    """
    asked = _asked_for(head, found)
    return asked if asked is not None and asked.is_endpoint else found.pick(b"OPTIONS")


def _asked_for(head: RequestHead, found: Methods[Route]) -> Route | None:
    """The route of the method that a preflight asks for."""
    method = head.passed_value(b"access-control-request-method")
    return None if method is None else found.pick(method.encode("latin-1"))


def may_act(head: RequestHead, route: Route, peer: Peer) -> bool:
    """Whether a request may use the key in its cookie.

    It may if the site's own pages have caused it, or if its method changes nothing. The endpoints
    have rules of their own.
    """
    if route.is_endpoint or (head.method in SAFE_METHODS and head.upgrade is None):
        return True
    return origins.is_own_site(
        site=head.passed_value(b"sec-fetch-site"),
        origin=head.passed_value(b"origin"),
        host=asked_host(head, peer),
        policy=route.access.cors,
    )


def refusal_for_caller(refused: Refused, head: RequestHead, route: Route) -> Refused | Answered:
    """The refusal in the form that this caller can use.

    A browser that goes somewhere is sent to the login page. Another origin's page may read the
    refusal if it may read the route's answers.
    """
    status = refused.refusal.status
    page = route.access.login_page if status == _UNAUTHENTICATED else None
    if page is not None and (
        route.access.sends_all_to_login or negotiation.navigates(*_accept_and_mode(head))
    ):
        looks = head.method in (b"GET", b"HEAD")
        back = (head.path + head.query).decode("ascii") if looks else "/"
        location = return_paths.login_url(page, return_paths.safe(back), _max_age(refused, route))
        described = head.description
        fields = {"Location": described.site + location if described else location}
        fields["Cache-Control"] = "no-store"
        if described is None or described.redirects:
            return Answered(_SEE_OTHER, fields, refused.event)
        refused.fields |= fields
    asks = route.access.asks_for_basic and refused.refusal is not refusals.LOGIN_TOO_OLD
    if status == _UNAUTHENTICATED and asks and not _is_browser(head):
        challenge = refused.refusal.fields.get("WWW-Authenticate", "")
        refused.fields["WWW-Authenticate"] = f"{challenge}, {_BASIC_CHALLENGE}"
    if route.access.cors is not None:
        refused.fields |= cors_fields(head, route.access.cors)
    return refused


def _max_age(refused: Refused, route: Route) -> int | None:
    """How old a login may be (seconds), if the session's is too old for the route."""
    requires = route.access.requires
    if refused.refusal is not refusals.LOGIN_TOO_OLD or requires is None:
        return None
    return None if requires.max_age is None else int(requires.max_age)


def _is_browser(head: RequestHead) -> bool:
    """Whether a browser may have sent it, and would show its password dialog."""
    agent = head.passed_value(b"user-agent") or ""
    named = (head.passed_value(b"sec-fetch-mode"), head.passed_value(b"origin"))
    return agent.startswith("Mozilla/") or any(named)


def cors_fields(head: RequestHead, policy: Policy) -> dict[str, str]:
    """The fields that say which pages may read the answer to this request."""
    return policy.answer(head.passed_value(b"origin") or "")


def wants_page(head: RequestHead) -> bool:
    """Whether a person reads the answer to this request."""
    return negotiation.wants_page(*_accept_and_mode(head))


def _accept_and_mode(head: RequestHead) -> tuple[str | None, str | None]:
    return head.passed_list(b"accept"), head.passed_value(b"sec-fetch-mode")


def asked_host(head: RequestHead, peer: Peer) -> str:
    """The host that the browser asked, as trusted proxies tell it."""
    return (peer.client(head).host or head.host or b"").decode("latin-1")

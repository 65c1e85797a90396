"""Whether a caller may do what it asks for (`gateway.relay.access.authorization`)."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.http.forwarding import Trusted
from gateway.core.http.paths import BackendPaths
from gateway.core.sessions import conditions
from gateway.core.tokens.claims import MINTED
from gateway.relay.access.authorization import authorise, require_minted, sessions_to_end
from gateway.relay.access.peer import Peer
from gateway.relay.access.requirements import Requirements
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.upstream_paths import BackendLogout
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

INSTANCE = "0" * 16
PEER = Peer(("192.0.2.1", 1), instance=INSTANCE, proxies=Trusted(()), describing=Trusted(()))

REQUIRED = Route("/api/*", Access(Auth.REQUIRED))
OPTIONAL = Route("/api/*", Access(Auth.OPTIONAL))
ADMINS = Route(
    "/api/*", Access(Auth.REQUIRED, requires=Requirements(conditions.OneOf(("role",), ("admin",))))
)
LOGOUT = Route(
    "/api/*",
    Access(Auth.PUBLIC),
    at_logouts=(BackendLogout(BackendPaths((b"/api/logout",)), b"POST"),),
)


def session(**claims: Any) -> Any:
    """A resolved session with these claims."""
    found = SimpleNamespace(
        id="alice's", subject="alice", claim=claims.get, refresh=claims.pop("refresh", "")
    )
    return SimpleNamespace(session=found)


def request(method: bytes = b"GET", *, by_cookie: bool = False, site: str = "") -> RequestHead:
    """A request with a key, in a cookie or in a field, from a page of this `Sec-Fetch-Site`."""
    head = RequestHead(method, b"/", b"1")
    head.presented_key = b"lk_1"
    if by_cookie:
        head.cookie, head.key_cookies = b"key", ((b"key", b"lk_1"),)
    head.passed = [f"Sec-Fetch-Site: {site}\r\n".encode()] if site else []
    return head


def reason(head: RequestHead, route: Route, resolved: Any) -> str | None:
    """Why the caller is refused; None if it may pass."""
    try:
        authorise(head, route, resolved, PEER)
    except Refused as refused:
        return refused.refusal.reason
    return None


def test_only_a_route_that_requires_a_session_refuses_without_one() -> None:
    assert reason(request(), REQUIRED, None) == "no_key"
    assert reason(request(), OPTIONAL, None) is None
    assert reason(request(), REQUIRED, session()) is None


def test_another_sites_page_cannot_use_a_cookie() -> None:
    """It can make the browser send the cookie, but it cannot know a key for a field."""
    assert reason(request(b"POST", by_cookie=True, site="cross-site"), REQUIRED, session())
    assert reason(request(b"POST", by_cookie=True, site="same-origin"), REQUIRED, session()) is None
    assert reason(request(b"POST", site="cross-site"), REQUIRED, session()) is None


@pytest.mark.parametrize(
    ("role", "passes"),
    [("admin", True), (["user", "admin"], True), ("user", False), (None, False), ([], False)],
)
def test_a_required_claim(role: object, *, passes: bool) -> None:
    """The claim is the value, or a list that holds it."""
    assert (reason(request(), ADMINS, session(role=role)) is None) == passes


def test_a_refused_session_is_named_for_the_audit_log() -> None:
    with pytest.raises(Refused) as refused:
        authorise(request(), ADMINS, session(role="user"), PEER)
    event = refused.value.event
    assert event is not None
    assert (event.kind, event.subject, event.session_id) == ("refused", "alice", "alice's")


@pytest.mark.parametrize(
    ("method", "site", "ends"),
    [
        (b"POST", "same-origin", True),
        (b"GET", "same-origin", False),
        (b"POST", "cross-site", False),
    ],
)
def test_a_backends_logout_ends_the_sessions_of_all_keys(
    method: bytes, site: str, *, ends: bool
) -> None:
    """Also on a route that looks at no key, but not for another site's page."""
    head = request(method, by_cookie=True, site=site)
    assert sessions_to_end(head, LOGOUT, None, PEER) == (head.session_ids if ends else ())
    assert sessions_to_end(head, REQUIRED, None, PEER) == ()


def test_tokens_are_minted_for_minted_claims_alone() -> None:
    """A gateway that signed another issuer's claims would vouch for them."""
    require_minted(session(refresh=MINTED))
    with pytest.raises(Refused):
        require_minted(session(refresh="a refresh token"))

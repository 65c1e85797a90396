"""What browsers need: whose page asked, where to log in, and who may read a refusal."""

import pytest

from gateway.core.http import refusals
from gateway.core.http.cors import Policy
from gateway.core.http.forwarding import Trusted
from gateway.core.http.routing import Methods
from gateway.relay.access import browsers
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Answered, Refused

INSTANCE = "0" * 16
READER = RequestReader(instance=INSTANCE, identity=(), max_fields=20)
PEER = Peer(("192.0.2.1", 1), instance=INSTANCE, proxies=Trusted(()), describing=Trusted(()))

APP = "https://app.example"
NAVIGATES = ("Accept: text/html", "Sec-Fetch-Mode: navigate")


def head(line: str, *fields: str) -> RequestHead:
    text = "".join(f"{field}\r\n" for field in ("Host: shop.example", *fields))
    data = f"{line} HTTP/1.1\r\n{text}\r\n".encode()
    return READER.read(data, len(data) - 4)


def policy(*, credentials: bool = True) -> Policy:
    """Lets the app read what it asks for."""
    return Policy(frozenset({APP}), ("GET", "PUT"), (), (), credentials=credentials, max_age=60)


ROUTE = Route("/api/*", Access(Auth.REQUIRED))
WITH_PAGE = Route("/api/*", Access(Auth.REQUIRED, login_page="/signin"))
SHARED = Route("/api/*", Access(Auth.REQUIRED, cors=policy()))


@pytest.mark.parametrize(
    ("line", "fields", "route", "may"),
    [
        ("POST /api/x", ("Sec-Fetch-Site: same-origin",), ROUTE, True),
        ("POST /api/x", ("Origin: https://shop.example",), ROUTE, True),
        ("POST /api/x", ("Sec-Fetch-Site: cross-site",), ROUTE, False),
        ("POST /api/x", ("Origin: https://evil.example",), ROUTE, False),
        ("POST /api/x", (), ROUTE, False),
        ("GET /api/x", ("Sec-Fetch-Site: cross-site",), ROUTE, True),
        ("GET /api/x", ("Connection: Upgrade", "Upgrade: websocket"), ROUTE, False),
        ("POST /api/x", ("Sec-Fetch-Site: cross-site", f"Origin: {APP}"), SHARED, True),
        ("POST /api/x", (), Route("/login", Access(Auth.PUBLIC), is_endpoint=True), True),
    ],
    ids=[
        "own page",
        "own origin",
        "another site",
        "another origin",
        "no sign",
        "a safe method",
        "a WebSocket",
        "an origin that may",
        "an endpoint",
    ],
)
def test_whose_page_may_act(line: str, fields: tuple[str, ...], route: Route, may: bool) -> None:
    """wire-rules.md#C9: with a key in a cookie, only the site's own pages change anything."""
    assert browsers.may_act(head(line, *fields), route, PEER) is may


def test_a_person_is_sent_to_the_login_page() -> None:
    """With the way back, for what can be looked at; a program gets the refusal."""
    refused = Refused(refusals.NO_KEY)
    answer = browsers.refusal_for_caller(refused, head("GET /api/x?a=b", *NAVIGATES), WITH_PAGE)
    assert isinstance(answer, Answered)
    assert answer.status == 303
    assert answer.fields["Location"] == "/signin?return_to=/api/x%3Fa%3Db"
    assert answer.fields["Cache-Control"] == "no-store"
    answer = browsers.refusal_for_caller(refused, head("POST /api/x", *NAVIGATES), WITH_PAGE)
    assert isinstance(answer, Answered)
    assert answer.fields["Location"] == "/signin"
    assert browsers.refusal_for_caller(refused, head("GET /api/x"), WITH_PAGE) is refused
    assert browsers.refusal_for_caller(refused, head("GET /api/x", *NAVIGATES), ROUTE) is refused


def test_a_refusal_that_no_login_mends_stays_one() -> None:
    """A session that may not do this is logged in already."""
    refused = Refused(refusals.FORBIDDEN)
    assert (
        browsers.refusal_for_caller(refused, head("GET /api/x", *NAVIGATES), WITH_PAGE) is refused
    )


@pytest.mark.parametrize(("origin", "reads"), [(APP, True), ("https://evil.example", False)])
def test_who_may_read_a_refusal(origin: str, reads: bool) -> None:
    """The pages that may read the route's answers, or they could not tell why one failed."""
    refused = Refused(refusals.NO_KEY)
    assert (
        browsers.refusal_for_caller(refused, head("GET /api/x", f"Origin: {origin}"), SHARED)
        is refused
    )
    assert (refused.fields.get("Access-Control-Allow-Origin") == origin) is reads


def methods(route: Route) -> Methods[Route]:
    """A path on which this route serves all methods."""
    return Methods(other=[route])


PREFLIGHT = ("Access-Control-Request-Method: PUT", f"Origin: {APP}")


def test_a_preflight_is_answered_for_the_route() -> None:
    """WHATWG Fetch §4.8: it carries no key, so no upstream is asked."""
    with pytest.raises(Answered) as caught:
        browsers.answer_options(head("OPTIONS /api/x", *PREFLIGHT), methods(SHARED))
    assert caught.value.status == 204
    assert caught.value.fields["Access-Control-Allow-Origin"] == APP
    assert "PUT" in caught.value.fields["Access-Control-Allow-Methods"]


def test_an_options_that_is_no_preflight_goes_on() -> None:
    """So does one for a route without a policy; the last hop is answered (wire-rules.md#B4)."""
    browsers.answer_options(head("OPTIONS /api/x"), methods(SHARED))
    browsers.answer_options(head("OPTIONS /api/x", *PREFLIGHT), methods(ROUTE))
    with pytest.raises(Answered) as caught:
        browsers.answer_options(head("OPTIONS /api/x", "Max-Forwards: 0"), methods(ROUTE))
    assert "Allow" in caught.value.fields

"""Methods that a login or logout does not serve are for the routes at its path."""

from collections.abc import Iterator

import pytest

from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, Visit, ask, fields_by_name, request, status

PREFLIGHT = ("Origin: https://app.example", "Access-Control-Request-Method: ")


def page(visit: Visit) -> None:
    for got in visit.requests():
        visit.send(json_answer("200 OK", {"page": got.split(b" ")[1].decode()}))


def logins(visit: Visit) -> None:
    """Hands a token out, whatever the method, and a page that could hold one."""
    for got in visit.requests():
        if got.startswith(b"OPTIONS"):
            visit.send(b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
        else:
            visit.send(json_answer("200 OK", {"token": token_of("alice")}))


@pytest.fixture(scope="module")
def web() -> Iterator[Upstream]:
    with Upstream(page) as server:
        yield server


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    with Upstream(logins) as server:
        yield server


@pytest.fixture(scope="module")
def running(start: Start, web: Upstream, api: Upstream) -> Gateway:
    login = {"kind": "backend", "upstream": "api", "subject_prefix": ""}
    open_to_others = {"cors": {"origins": ["https://app.example"]}}
    return start(
        upstreams={"web": web.url, "api": api.url},
        login=[
            {**login, "path": "/login"},
            {**login, "path": "/api/login"},
            {**login, "path": "/with/page", "methods": ["GET", "POST"]},
            {**login, "path": "/told/login"},
            {**login, "path": "/read/login"},
            {**login, "path": "/api/mfa/{token}/verify"},
        ],
        logout=[
            {"path": "/logout", "methods": ["POST"]},
            {"path": "/session", "methods": ["DELETE"]},
        ],
        guessing="off",
        routes=[
            {"path": "/*", "upstream": "web", "auth": "public"},
            {"path": "/private/*", "upstream": "web"},
            {"path": "/api/*", "upstream": "api", "auth": "public"},
            {"path": "/told/login", "methods": ["PUT"], "upstream": "web", **open_to_others},
            {
                "path": "/read/login",
                "methods": ["GET", "PUT"],
                "upstream": "api",
                "auth": "optional",
                "captures": "/nowhere",
                "login": "/read/login",
            },
        ],
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_other_methods_reach_the_route(
    running: Gateway, web: Upstream, method: str, path: str
) -> None:
    """A SPA's own page stands beside the login that its script posts to."""
    web.clear(page)
    answer = ask(running.port, request(f"{method} {path}?next=/"))
    assert status(answer) == 200
    assert web.got.startswith(f"{method} {path}?next=/ ".encode())


def test_the_methods_of_the_endpoint_stay_its_own(running: Gateway, web: Upstream) -> None:
    web.clear(page)
    answer = ask(running.port, request("POST /login", body="{}"))
    assert (status(answer), b'"lk_' in answer) == (200, True)
    assert status(ask(running.port, request("POST /logout"))) == 204
    assert status(ask(running.port, request("DELETE /session"))) == 204
    for method in ("GET", "POST"):
        assert b'"lk_' in ask(running.port, request(f"{method} /with/page"))
    assert web.got == b""


def test_head_follows_get(running: Gateway, web: Upstream) -> None:
    """A login that serves GET has HEAD too, and refuses it, unless it names it."""
    web.clear(page)
    assert status(ask(running.port, request("HEAD /with/page"))) == 405
    assert web.got == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"])
@pytest.mark.parametrize(
    "target",
    [
        "/api/login",
        "//api/login",
        "/api/%6cogin",
        "/api/./login",
        "/x/../api/login",
        "/api/login?a=b",
    ],
)
def test_no_method_leads_to_the_backends_login(
    running: Gateway, api: Upstream, method: str, target: str
) -> None:
    """wire-rules.md#E1: a backend may log in by any method. 405 names what the login serves."""
    api.clear(logins)
    answer = ask(running.port, request(f"{method} {target}"))
    assert status(answer) in (400, 405)
    if status(answer) == 405:
        assert fields_by_name(answer)["Allow"] == "POST"
    assert (api.got, b"eyJ" in answer) == (b"", False)


@pytest.mark.parametrize(
    "target",
    [
        "/api/mfa/abc/verify/",
        "/api/MFA/abc/verify",
        "/api/mfa/abc/verify.json",
        "/api//mfa/abc/verify",
        "/api/mfa/a%2Fb/verify",
        "/api/mfa/abc/%76erify",
        "/api/mfa/x/../abc/verify",
    ],
)
def test_a_segment_to_fill_in_opens_no_way(running: Gateway, api: Upstream, target: str) -> None:
    """wire-rules.md#E1: each is the login, or refused; its log does not hold the segment."""
    for method in ("GET", "POST"):
        api.clear(logins)
        answer = ask(running.port, request(f"{method} {target}", body="{}"))
        assert b"eyJ" not in answer
        if status(answer) != 200:
            assert (status(answer) in (400, 404, 405), api.got) == (True, b"")
        else:
            assert b'"lk_' in answer


def test_a_segment_to_fill_in_is_not_logged(running: Gateway, api: Upstream) -> None:
    """It may hold a temporary token."""
    answer = ask(running.port, request("POST /api/mfa/tmp-secret/verify", body="{}"))
    assert (status(answer), b'"lk_' in answer) == (200, True)
    assert running.records(route="/api/mfa/{token}/verify", path="/api/mfa/{token}/verify")
    assert "tmp-secret" not in running.access_log.read_text()
    below = ask(running.port, request("POST /api/mfa/tmp/verify/more"))
    assert (status(below), b"eyJ" in below) == (200, True)


@pytest.mark.parametrize("target", ["/api/LOGIN", "/api/login/", "/api/login.json"])
def test_nor_does_another_spelling(running: Gateway, api: Upstream, target: str) -> None:
    api.clear(logins)
    for method in ("GET", "POST", "PUT"):
        assert status(ask(running.port, request(f"{method} {target}"))) == 404
    assert api.got == b""


def test_a_route_that_captures_may(running: Gateway, api: Upstream) -> None:
    """It reads the page as a whole, and takes tokens out."""
    api.clear(logins)
    for method in ("GET", "PUT"):
        answer = ask(running.port, request(f"{method} /read/login"))
        assert (status(answer), b"eyJ" in answer) == (200, False)
    assert api.got.startswith(b"GET /read/login ")
    answer = ask(running.port, request("DELETE /read/login"))
    assert (status(answer), fields_by_name(answer)["Allow"]) == (405, "GET, HEAD, POST, PUT")


def test_405_names_the_methods_of_both(running: Gateway) -> None:
    answer = ask(running.port, request("PATCH /told/login"))
    assert (status(answer), fields_by_name(answer)["Allow"]) == (405, "POST, PUT")


def test_a_preflight_goes_where_its_method_goes(
    running: Gateway, web: Upstream, api: Upstream
) -> None:
    """The backend of a login answers for it, and the route's upstream for its other methods."""
    origin, asked = PREFLIGHT
    for method, seen, unseen in (("POST", api, web), ("GET", web, api)):
        api.clear(logins)
        web.clear(page)
        ask(running.port, request("OPTIONS /login", origin, f"{asked}{method}"))
        assert seen.got.startswith(b"OPTIONS /login ")
        assert unseen.got == b""


def test_a_routes_policy_answers_its_preflight(running: Gateway, web: Upstream) -> None:
    web.clear(page)
    origin, asked = PREFLIGHT
    answer = ask(running.port, request("OPTIONS /told/login", origin, f"{asked}PUT"))
    assert fields_by_name(answer)["Access-Control-Allow-Origin"] == "https://app.example"
    assert web.got == b""
    answer = ask(running.port, request("OPTIONS /told/login", origin, f"{asked}POST"))
    assert "Access-Control-Allow-Methods" not in fields_by_name(answer)


def test_the_routes_own_rules_hold(running: Gateway, web: Upstream) -> None:
    """Its upstream is not asked without a key where one is required."""
    web.clear(page)
    assert status(ask(running.port, request("PUT /told/login"))) == 401
    assert web.got == b""

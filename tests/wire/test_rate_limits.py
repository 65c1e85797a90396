"""wire-rules.md#D15: rate limits, and what clients are told of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import LOGIN, SIGNING_SECRET, Start, accounts, json_answer, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, Visit, always, ask, fields_by_name, request, status

ONE, OTHER = "127.0.0.1", "127.0.0.2"
ORIGIN = "Origin: https://app.example"
VERIFY = "/.well-known/latchkey/verify"
BY_TRAEFIK = ("X-Forwarded-Method: GET", "X-Forwarded-Host: a.example", "X-Forwarded-Proto: https")

# Rates are so low that no test sees a new token.
RATE_LIMITS: dict[str, Any] = {
    "few": {"rate": "3/h"},
    "cors": {"rate": "1/h"},
    "page": {"rate": "1/h"},
    "session": {"rate": "2/h", "per": "session"},
    "subject": {"rate": "2/h", "per": "subject"},
    "tenant": {"rate": "2/h", "per": "claim:tenant"},
    "route": {"rate": "2/h", "per": "route"},
    "guesses": {"rate": "2/h"},
    "login": {"rate": "40/h"},
    "burst": {"rate": "60/h", "burst": 2},
    "wide": {"rate": "5/h"},
    "narrow": {"rate": "1/h", "per": "session"},
    "asked": {"rate": "2/h"},
    "backend": {"rate": "2/h"},
    "loose": {"rate": "2/h"},
}


def rule(path: str, *limits: Any, auth: str = "public", **more: Any) -> dict[str, Any]:
    return {"path": path, "upstream": "shop", "auth": auth, "limits": [*limits], **more}


ROUTES: list[dict[str, Any]] = [
    rule("/few/*", "few"),
    rule("/few/too/*", "few"),
    rule("/cors/*", "cors", cors={"origins": "https://app.example", "exposed": "X-Total"}),
    rule("/page/*", "page"),
    rule("/session/*", "session", auth="required"),
    rule("/subject/*", "subject", auth="required", accept_jwt="verify"),
    rule("/tenant/*", "tenant", auth="required"),
    rule("/maybe/*", "session", auth="optional"),
    rule("/route/1/*", "route"),
    rule("/route/2/*", "route"),
    rule("/guesses/*", "guesses", auth="required"),
    rule("/burst/*", "burst"),
    rule("/both/*", "wide", "narrow", auth="required"),
    rule("/in/place/*", "2/h"),
    rule("/asked/*", "asked"),
    {"path": "/backend/1/*", "upstream": "limited", "auth": "public"},
    {"path": "/backend/2/*", "upstream": "limited", "auth": "public"},
    rule("/loose/x", "loose"),
    rule("/nowhere/*", "3/h") | {"upstream": "nowhere"},
    {"path": "/static/*", "auth": "public", "limits": "2/h", "respond": {"body": "here"}},
    rule("/*"),
]


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway with a limit for each test."""
    login_upstream.clear(accounts)
    return start(
        upstreams={
            "shop": upstream.url,
            "limited": {"servers": upstream.url, "limits": "backend"},
            "accounts": login_upstream.url,
            "nowhere": "http://127.0.0.1:1",
        },
        login=LOGIN,
        guessing="off",
        jwt={"secret": SIGNING_SECRET, "algorithms": "HS256", "subject_prefix": "service:"},
        verify={},
        trusted_proxies="127.0.0.9",
        rate_limits=RATE_LIMITS,
        endpoint_limits={"/login": "login", "/sessions": "2/h"},
        routes=ROUTES,
    )


@pytest.fixture(autouse=True)
def plain(shop: Upstream) -> None:
    """Each test finds the upstream as it was."""


def get(gate: Gateway, path: str, *fields: str, source: str = ONE, method: str = "GET") -> bytes:
    return ask(gate.port, request(f"{method} {path}", *fields), source)


def statuses(count: int, one: Callable[[], bytes]) -> list[int]:
    return [status(one()) for _ in range(count)]


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def test_a_client_over_the_rate_is_429(gate: Gateway, shop: Upstream) -> None:
    """Each answer tells what is left; the refusal names the setting and when to come again. Routes
    that name a limit share it; another address has a bucket of its own; the upstream sees nothing.
    """
    first = get(gate, "/few/")
    assert status(first) == 200
    told = fields_by_name(first)
    assert told["RateLimit-Policy"] == '"few";q=3;w=3600'
    assert told["RateLimit"].startswith('"few";r=2;t=')
    assert statuses(2, lambda: get(gate, "/few/too/")) == [200, 200]
    seen = len(shop.visits)
    refused = get(gate, "/few/")
    told = fields_by_name(refused)
    assert status(refused) == 429
    assert 1 <= int(told["Retry-After"]) <= 1200
    assert told["RateLimit"] == f'"few";r=0;t={told["Retry-After"]}'
    problem = json.loads(refused.partition(b"\r\n\r\n")[2])
    assert problem["reason"] == "rate_limited"
    assert "rate_limits.few" in problem["title"]
    assert len(shop.visits) == seen
    assert get(gate, "/few/", source=OTHER).startswith(b"HTTP/1.1 200")
    assert gate.records(reason="rate_limited", path="/few/")[0]["cause"] == "rate_limits.few"


def test_every_method_counts_but_an_answered_preflight(gate: Gateway) -> None:
    """HEAD costs an upstream as much as GET. A preflight that the gateway answers costs it nothing."""
    preflight = (ORIGIN, "Access-Control-Request-Method: GET")
    assert statuses(3, lambda: get(gate, "/cors/", *preflight, method="OPTIONS")) == [204] * 3
    assert status(get(gate, "/cors/", method="HEAD")) == 200
    assert status(get(gate, "/cors/", method="HEAD")) == 429


def test_pages_of_other_origins_may_read_it(gate: Gateway) -> None:
    """The refusal has the CORS fields, and the fields of limits are exposed beside the route's."""
    answers = [get(gate, "/cors/", ORIGIN, source="127.0.0.3") for _ in range(2)]
    assert list(map(status, answers)) == [200, 429]
    for answer in answers:
        told = fields_by_name(answer)
        assert told["Access-Control-Allow-Origin"] == "https://app.example"
        exposed = told["Access-Control-Expose-Headers"].split(", ")
        assert exposed == ["X-Total", "RateLimit", "RateLimit-Policy", "Retry-After"]


def test_a_person_gets_a_page(gate: Gateway) -> None:
    """The refusal is negotiated like any other, in English and in Korean."""
    person = ("Accept: text/html", "Sec-Fetch-Mode: navigate")
    assert status(get(gate, "/page/", *person)) == 200
    english, korean = (get(gate, "/page/", *person, f"Accept-Language: {x}") for x in ("en", "ko"))
    assert status(english) == status(korean) == 429
    assert b"Too many requests" in english
    assert "요청이 너무 많습니다".encode() in korean
    assert b"Retry-After: " in korean


def test_a_session_has_a_bucket_of_its_own(gate: Gateway) -> None:
    """Two devices of one person count apart by session, and together by subject."""
    one, two = log_in(gate.port, "sam"), log_in(gate.port, "sam")
    for key in (one, two):
        found = [status(get(gate, "/session/", bearer(key))) for _ in range(3)]
        assert found == [200, 200, 429]
    assert status(get(gate, "/subject/", bearer(one))) == 200
    assert status(get(gate, "/subject/", bearer(two))) == 200
    assert status(get(gate, "/subject/", bearer(one))) == 429
    assert status(get(gate, "/subject/", bearer(log_in(gate.port, "tom")))) == 200


def test_a_callers_jwt_counts_for_its_subject(gate: Gateway) -> None:
    """A JWT in place of a key has no session; another token of the same subject is no new client."""
    tokens = [token_of("robot", number=number) for number in range(3)]
    assert [status(get(gate, "/subject/", bearer(token))) for token in tokens] == [200, 200, 429]


def test_sessions_with_one_claim_count_together(gate: Gateway, login_upstream: Upstream) -> None:
    """A limit by claim is one of all that have its value; who lacks it counts alone."""

    def issuing(visit: Visit) -> None:
        for asked in visit.requests():
            name = json.loads(asked.partition(b"\r\n\r\n")[2])["username"]
            claims = {} if name == "none" else {"tenant": {"id": name[0]}}
            visit.send(json_answer("200 OK", {"token": token_of(name, **claims)}))

    login_upstream.clear(issuing)
    a1, a2, b, none = (log_in(gate.port, name) for name in ("a1", "a2", "b1", "none"))
    login_upstream.clear(accounts)
    assert [status(get(gate, "/tenant/", bearer(key))) for key in (a1, a2, a1, a2)] == [
        *(200, 200),
        *(429, 429),
    ]
    assert status(get(gate, "/tenant/", bearer(b))) == 200
    assert statuses(3, lambda: get(gate, "/tenant/", bearer(none))) == [200, 200, 429]


def test_callers_without_a_session_count_by_address(gate: Gateway) -> None:
    """Leaving the key out, or a broken cookie, is no way around a limit by session."""
    assert statuses(3, lambda: get(gate, "/maybe/", source="127.0.0.4")) == [200, 200, 429]
    assert status(get(gate, "/maybe/", "Cookie: latchkey=x", source="127.0.0.4")) == 429
    assert status(get(gate, "/maybe/", source=OTHER)) == 200


def test_a_limit_by_route_is_one_of_all_clients(gate: Gateway) -> None:
    """Each route that names it has its own bucket."""
    assert status(get(gate, "/route/1/", source=ONE)) == 200
    assert status(get(gate, "/route/1/", source=OTHER)) == 200
    assert status(get(gate, "/route/1/", source="127.0.0.5")) == 429
    assert status(get(gate, "/route/2/", source=ONE)) == 200


def test_bad_keys_count_before_they_are_looked_up(gate: Gateway) -> None:
    """So a flood of guesses gets 429 and no look-up; a good key from elsewhere passes."""
    key = log_in(gate.port, "vic")
    guess = bearer("lk_" + "A" * 43)
    assert statuses(4, lambda: get(gate, "/guesses/", guess, source=OTHER)) == [401, 401, 429, 429]
    assert status(get(gate, "/guesses/", bearer(key), source=OTHER)) == 429
    assert status(get(gate, "/guesses/", bearer(key), source=ONE)) == 200


def test_a_burst_may_be_smaller_than_the_rate(gate: Gateway) -> None:
    """Of 60 an hour, two may come at once."""
    answers = [get(gate, "/burst/") for _ in range(3)]
    assert list(map(status, answers)) == [200, 200, 429]
    assert int(fields_by_name(answers[2])["Retry-After"]) <= 60


def test_a_refusal_by_one_limit_takes_nothing_of_others(gate: Gateway) -> None:
    """A session that may send nothing more leaves its address what it has."""
    key = log_in(gate.port, "ann")
    first = get(gate, "/both/", bearer(key))
    assert fields_by_name(first)["RateLimit-Policy"] == '"wide";q=5;w=3600, "narrow";q=1;w=3600'
    assert statuses(8, lambda: get(gate, "/both/", bearer(key))) == [429] * 8
    last = get(gate, "/both/", bearer(log_in(gate.port, "bea")))
    assert status(last) == 200
    assert fields_by_name(last)["RateLimit"].startswith('"wide";r=3;')


def test_a_limit_in_place_is_one_routes_own(gate: Gateway) -> None:
    """It is named by its rate."""
    answers = [get(gate, "/in/place/") for _ in range(3)]
    assert list(map(status, answers)) == [200, 200, 429]
    assert fields_by_name(answers[0])["RateLimit-Policy"] == '"2/h";q=2;w=3600'


def test_members_of_the_upstream_stay(gate: Gateway, shop: Upstream) -> None:
    """Both fields are lists: the upstream's members pass, and the gateway's stand beside them."""
    shop.clear(
        always(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRateLimit: "own";r=7;t=1\r\n\r\nok')
    )
    answer = get(gate, "/few/", source="127.0.0.6")
    assert answer.count(b"RateLimit: ") == 2
    assert b'RateLimit: "own";r=7;t=1\r\n' in answer


def test_an_upstream_limits_all_its_routes(gate: Gateway) -> None:
    """Its limits stand behind those of the route."""
    paths = ("/backend/1/", "/backend/2/", "/backend/1/")
    assert [status(get(gate, path)) for path in paths] == [200, 200, 429]


def test_answers_of_the_gateway_tell_it_too(gate: Gateway) -> None:
    """Those in place of an upstream's, and those of a route that needs none."""
    failed = get(gate, "/nowhere/")
    assert status(failed) == 502
    assert fields_by_name(failed)["RateLimit"].startswith('"3/h";r=2;t=')
    answers = [get(gate, "/static/") for _ in range(3)]
    assert list(map(status, answers)) == [200, 200, 429]
    assert fields_by_name(answers[0])["RateLimit"].startswith('"2/h";r=1;t=')


def test_endpoints_have_limits_by_their_paths(gate: Gateway) -> None:
    """They cover what stands below the path as well, and count beside the throttling of logins."""
    key = log_in(gate.port, "eva")
    paths = ("/sessions", "/sessions/x", "/sessions")
    found = [status(get(gate, path, bearer(key), source=OTHER)) for path in paths]
    assert found[2] == 429
    assert 429 not in found[:2]


@pytest.mark.parametrize("path", ["/loose/x", "/LOOSE/x", "/loose//x", "/loose/x/", "/%6coose/x"])
def test_another_spelling_is_no_way_around(gate: Gateway, path: str) -> None:
    """A path that may be meant as that of a limited route counts there, or is refused."""
    source = f"127.0.1.{len(path)}"
    statuses(2, lambda: get(gate, "/loose/x", source=source))
    assert status(get(gate, path, source=source)) in (400, 429)


def question(gate: Gateway, uri: str, client: str, source: str) -> int:
    fields = (*BY_TRAEFIK, f"X-Forwarded-Uri: {uri}", f"X-Forwarded-For: {client}")
    return status(get(gate, VERIFY, *fields, source=source))


def test_a_proxy_that_asks_is_told_of_its_clients_limits(gate: Gateway) -> None:
    """The described client counts, if the proxy is trusted; else the proxy itself does."""
    trusted = "127.0.0.9"
    for client in ("192.0.2.1", "192.0.2.2"):
        asked = [question(gate, "/asked/", client, trusted) for _ in range(3)]
        assert asked == [200, 200, 429]
    made_up = [question(gate, "/asked/", f"192.0.2.{n}", "127.0.0.8") for n in range(10, 13)]
    assert made_up == [200, 200, 429]


def test_an_ipv6_home_is_one_client(gate: Gateway) -> None:
    """All addresses of a /64 count together; what an untrusted peer says of its client does not."""
    trusted = "127.0.0.9"
    homes = [f"X-Forwarded-For: 2001:db8:0:1::{n}" for n in range(1, 4)]
    limited = "/in/place/"
    assert [status(get(gate, limited, home, source=trusted)) for home in homes] == [200, 200, 429]
    assert status(get(gate, limited, "X-Forwarded-For: 2001:db8:0:2::1", source=trusted)) == 200
    claimed = [f"X-Forwarded-For: 192.0.2.{n}" for n in range(3)]
    found = [status(get(gate, limited, field, source="127.0.0.7")) for field in claimed]
    assert found == [200, 200, 429]

"""The decision by itself: its phases in their order, over sessions in a real Redis."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.core.http import refusals
from gateway.core.http.forwarding import Trusted
from gateway.core.http.path_patterns import parse
from gateway.core.http.paths import BackendPaths
from gateway.core.http.refusals import Refusal
from gateway.core.http.routing import Rule
from gateway.core.http.shares import Shares
from gateway.core.sessions.conditions import OneOf
from gateway.core.sessions.keys import new_key
from gateway.relay.access.admission import Load
from gateway.relay.access.decision import Decider, Forward
from gateway.relay.access.forward_auth import VerifyEndpoint
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.peer import Peer
from gateway.relay.access.requirements import Requirements
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.access.route_table import RouteTable
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Answered, Refused
from gateway.relay.upstream.connection import UpstreamConnection
from gateway.relay.upstream.pool import Pool
from gateway.relay.upstream.queues import Queues
from gateway.relay.upstream.streams import StreamPlaces
from gateway.store.issuer import Issued
from gateway.store.sessions import Sessions
from tests.support.redis_server import RedisServer
from tests.support.store import issue, open_store, presented_key, resolved

INSTANCE = "0" * 16
READER = RequestReader(instance=INSTANCE, identity=["X-User-Id"], max_fields=20)
PEER = Peer(("192.0.2.1", 1), instance=INSTANCE, proxies=Trusted(()), describing=Trusted(()))
ID = b"1" * 32

UNKNOWN = new_key(bytes(range(32))).reveal()


def unused(_server: object) -> UpstreamConnection:
    raise AssertionError("the decision opens no connection")


def rule(
    path: str, auth: str = "required", *methods: str, body_limit: int = 2**63, **access: Any
) -> tuple[str, tuple[str, ...] | None, Route]:
    """A route, its methods and its path, as the table takes them."""
    pool = Pool(
        "shop",
        (),
        host=b"shop",
        places=1,
        connect_timeout=1,
        new_connection=unused,
        queues=Queues(timeout=1, share=100, late=refusals.BUSY),
        streams=StreamPlaces(1, 100, refusals.BUSY),
    )
    action = Action(body_limit=body_limit)
    return path, methods or None, Route(path, Access(Auth(auth), **access), action, pool)


RULES = [
    rule("/api/*"),
    rule("/api/admin/*", requires=Requirements(OneOf(("role",), ("admin",)))),
    rule("/api/items", "required", "GET", "POST"),
    rule("/small/*", "public", body_limit=10),
    rule("/maybe/*", "optional"),
    rule("/guest/*", "optional", bad_key_is_anonymous=True),
    rule("/public/*", "public"),
    rule("/*", "public"),
]


@dataclass
class Gate:
    """A decision over these rules, and its store."""

    decider: Decider
    sessions: Sessions
    load: Load

    async def decide(self, line: str, *fields: str) -> Forward:
        """What becomes of a request; raises what it is refused with."""
        text = "".join(f"{field}\r\n" for field in ("Host: shop.example", *fields))
        data = f"{line} HTTP/1.1\r\n{text}\r\n".encode()
        return await self.decider.decide(READER.read(data, len(data) - 4), PEER, ID)

    async def refusal(self, line: str, *fields: str) -> Refusal:
        with pytest.raises(Refused) as caught:
            await self.decide(line, *fields)
        return caught.value.refusal


@pytest.fixture
async def gate(redis: RedisServer) -> AsyncIterator[Gate]:
    sessions = open_store(redis.url, prefix=f"{uuid.uuid4().hex}:")
    await sessions.start()
    load = Load(100, Shares(100, 100, lambda: ()))
    table = RouteTable(
        [], [Rule(parse(path), methods, route) for path, methods, route in RULES], BackendPaths(())
    )
    described = VerifyEndpoint(READER, identity=["X-User-Id"])
    cookies = TrustedCookies("session", (), secure="auto")
    yield Gate(Decider(table, described, sessions, load, None, cookies), sessions, load)
    await sessions.close()


@pytest.fixture
async def issued(gate: Gate) -> Issued:
    return await issue(gate.sessions)


def bearer(issued: Issued) -> str:
    return f"Authorization: Bearer {issued.key.reveal()}"


async def test_a_request_with_a_good_key_goes_on_with_its_token(gate: Gate, issued: Issued) -> None:
    """The head for the upstream has the session's token and subject in the place of the key."""
    forward = await gate.decide("GET /api/x", bearer(issued))
    assert forward.route.name == "/api/*"
    assert forward.resolved is not None
    token = forward.resolved.session.token.reveal()
    assert f"\r\nAuthorization: Bearer {token}\r\n".encode() in forward.head
    assert b"\r\nX-User-Id: alice\r\n" in forward.head
    assert issued.key.reveal().encode() not in forward.head


async def test_a_known_key_is_decided_on_without_waiting(gate: Gate, issued: Issued) -> None:
    """When the near cache knows the key, the coroutine ends before it is suspended once."""
    await resolved(gate.sessions, issued)
    assert gate.sessions.near.get(presented_key(issued), 0.0) is not None
    with pytest.raises(StopIteration) as ended:
        gate.decide("GET /api/x", bearer(issued)).send(None)
    assert isinstance(ended.value.value, Forward)


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("GET /api/%2e%2e/x", refusals.AMBIGUOUS_PATH),
        ("TRACE /public/x", refusals.METHOD),
        ("CONNECT /public/x", refusals.METHOD),
        ("DELETE /api/items", refusals.METHOD),
    ],
)
async def test_match_comes_first(gate: Gate, line: str, refusal: Refusal) -> None:
    """A request without a route is refused for that, whatever key it carries."""
    assert await gate.refusal(line, f"Authorization: Bearer {UNKNOWN}") is refusal


async def test_a_method_that_no_rule_has_is_told_which_there_are(gate: Gate) -> None:
    """RFC 9110 §15.5.6."""
    with pytest.raises(Refused) as caught:
        await gate.decide("DELETE /api/items")
    assert caught.value.fields["Allow"] == "GET, HEAD, POST"


async def test_options_star_is_answered(gate: Gate) -> None:
    """wire-rules.md#A8: it is about the gateway as a whole."""
    with pytest.raises(Answered) as caught:
        await gate.decide("OPTIONS *")
    assert caught.value.status == 204


async def test_admission_comes_before_the_key(gate: Gate) -> None:
    """wire-rules.md#D2, #D4: what is too large, or too much, costs no look-up."""
    key = f"Authorization: Bearer {UNKNOWN}"
    assert await gate.refusal("POST /small/x", key, "Content-Length: 11") is refusals.BODY_TOO_LARGE
    gate.load.requests = gate.load.limit + 1
    assert await gate.refusal("GET /api/x", key) is refusals.BUSY


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ((), refusals.NO_KEY),
        ((f"Authorization: Bearer {UNKNOWN}",), refusals.BAD_KEY),
        (("Authorization: Bearer nonsense",), refusals.NOT_A_KEY),
        (("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.aaaa",), refusals.TOKEN_NOT_KEY),
        (
            (f"Authorization: Bearer {UNKNOWN}", f"Authorization: Bearer {UNKNOWN}"),
            refusals.AMBIGUOUS_KEY,
        ),
    ],
)
async def test_a_required_route_refuses_what_opens_no_session(
    gate: Gate, fields: tuple[str, ...], refusal: Refusal
) -> None:
    """wire-rules.md#C1, #C2: each with its own reason."""
    assert await gate.refusal("GET /api/x", *fields) is refusal


async def test_where_a_key_is_not_asked_for(gate: Gate, issued: Issued) -> None:
    """wire-rules.md#C5: an optional route takes a good key and refuses a bad one, unless its rule
    says otherwise; a public one looks at none.
    """
    bad = f"Authorization: Bearer {UNKNOWN}"
    assert (await gate.decide("GET /maybe/x")).resolved is None
    assert (await gate.decide("GET /maybe/x", bearer(issued))).resolved is not None
    assert await gate.refusal("GET /maybe/x", bad) is refusals.BAD_KEY
    assert (await gate.decide("GET /guest/x", bad)).resolved is None
    forward = await gate.decide("GET /public/x", bearer(issued))
    assert forward.resolved is None
    assert b"X-User-Id" not in forward.head


async def test_claims_come_after_the_key(gate: Gate, issued: Issued) -> None:
    """wire-rules.md#C5: without a session 401, without the claim 403."""
    assert await gate.refusal("GET /api/admin/x") is refusals.NO_KEY
    assert await gate.refusal("GET /api/admin/x", bearer(issued)) is refusals.FORBIDDEN


async def test_a_cookie_acts_for_the_sites_own_pages_alone(gate: Gate, issued: Issued) -> None:
    """wire-rules.md#C9: another site's page may look, and change nothing."""
    cookie = f"Cookie: session={issued.key.reveal()}"
    foreign = "Sec-Fetch-Site: cross-site"
    assert await gate.refusal("POST /api/x", cookie, foreign) is refusals.CROSS_SITE
    assert (await gate.decide("GET /api/x", cookie, foreign)).resolved is not None
    assert (await gate.decide("POST /api/x", cookie, "Sec-Fetch-Site: same-origin")).resolved


async def test_a_session_that_has_ended_opens_nothing(gate: Gate, issued: Issued) -> None:
    """wire-rules.md#E4."""
    await gate.decide("GET /api/x", bearer(issued))
    await gate.sessions.revoke(issued.session.id)
    assert await gate.refusal("GET /api/x", bearer(issued)) is refusals.BAD_KEY

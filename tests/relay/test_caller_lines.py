"""What the relay tells the gateway's own endpoints of a caller."""

import pytest

from gateway.core.http import caller_fields
from gateway.core.sessions.keys import new_key, parse_key, session_id
from gateway.core.sessions.session import Session, Token
from gateway.relay.access import caller_lines
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.request_reader import RequestReader
from gateway.store.resolved_session import ResolvedSession

KEY, OTHER_KEY = (new_key(bytes([number]) * 32).reveal() for number in (1, 2))
READER = RequestReader(instance="0" * 16, identity=(), max_fields=20)
REFRESH_KEY = "lk_refresh_" + "A" * 129
BEARER = f"Authorization: Bearer {KEY}"


def id_of(key: str) -> str:
    parsed = parse_key(key.encode())
    assert parsed is not None
    return session_id(parsed)


def told(*lines: str, cookie: str | None = None, captures: int | None = None) -> dict[str, str]:
    """The fields that an endpoint gets; `cookie` is the session's, None without a session."""
    data = "\r\n".join(["GET /logout HTTP/1.1", "Host: a", *lines]).encode() + HEAD_END
    head = READER.read(data, len(data) - len(HEAD_END))
    route = Route("/logout", Access(Auth.OFFERED), Action(whole=captures), is_endpoint=True)
    resolved = None
    if cookie is not None:
        token = Token(b"the.jwt.token")
        session = Session(id_of(KEY), "alice", token, "/login", ends_at=1e12, cookie=cookie)
        resolved = ResolvedSession(session, b"", b"the.jwt.token", 1e12)
    written = caller_lines.lines(head, route, resolved).decode().split("\r\n")[:-1]
    return {name: value for name, _, value in (line.partition(": ") for line in written)}


def test_a_key_with_a_session_is_told() -> None:
    """It opens the session: for a captured token, or for the refresh token of a logout."""
    assert told(BEARER, cookie="") == {
        caller_fields.SESSION: id_of(KEY),
        caller_fields.KEY: KEY,
        caller_fields.CARRIER: caller_fields.BY_HEADER,
    }
    assert caller_fields.KEY not in told(BEARER)
    captured = told(BEARER, cookie="", captures=3)
    assert (captured[caller_fields.KEY], captured[caller_fields.CAPTURE]) == (KEY, "3")


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {REFRESH_KEY}",
        f"Authorization: Token {REFRESH_KEY}",
        f"Authorization: {REFRESH_KEY}",
        f"X-Refresh-Token: {REFRESH_KEY}",
    ],
)
def test_a_refresh_key_in_a_field_is_told(line: str) -> None:
    """Of whatever scheme; the line itself is not passed on."""
    seen = told(line)
    assert seen[caller_fields.REFRESH_KEY] == REFRESH_KEY
    assert "Authorization" not in seen


def test_a_refresh_key_in_a_cookie_is_told() -> None:
    """With the cookie's name, beside a key."""
    seen = told(f"Cookie: a=1; rt={REFRESH_KEY}; sid={KEY}", cookie="sid; Path=/x")
    assert seen[caller_fields.REFRESH_COOKIE] == f"rt {REFRESH_KEY}"
    assert seen[caller_fields.SESSION] == id_of(KEY)
    assert caller_fields.REFRESH_KEY not in seen


def test_an_anonymous_caller_of_a_route_that_captures() -> None:
    """A login may begin there: with the client's own Authorization, and without a dead key."""
    basic = "Authorization: Basic YTpi"
    assert told(basic, captures=3) == {
        caller_fields.CAPTURE: "3",
        "Authorization": "Basic YTpi",
    }
    assert caller_fields.KEY not in told(BEARER, captures=3)


def test_a_logout_by_cookie_is_told_the_key_and_the_cookie() -> None:
    """With what the session keeps of it, and with the other cookies that go with it."""
    fields = told(f"Cookie: sid={KEY}; old={OTHER_KEY}", cookie="sid; path=/app")
    assert fields == {
        caller_fields.SESSION: id_of(KEY),
        caller_fields.KEY: KEY,
        caller_fields.CARRIER: caller_fields.BY_COOKIE,
        caller_fields.COOKIE: "sid; path=/app",
        caller_fields.OTHER_COOKIES: "old",
        caller_fields.OTHER_SESSIONS: id_of(OTHER_KEY),
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Authorization: Bearer lk_short", "not_a_key"),
        ("Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln", "token_not_key"),
        (f"X-Key: {KEY}", "key_not_read"),
        (BEARER, None),
        ("A: 1", None),
    ],
)
def test_why_a_key_opens_nothing(line: str, reason: str | None) -> None:
    """Nothing is said of a key whose session has ended: a second logout is answered alike."""
    assert told(line).get(caller_fields.UNREAD) == reason


def test_a_login_keeps_its_own_authorization() -> None:
    """Basic, say; but never a key in it."""
    assert told("Authorization: Basic YTpi") == {"Authorization": "Basic YTpi"}
    assert "Authorization" not in told(f"Authorization: Basic {KEY}")


def test_an_endpoint_passes_on_none_of_them() -> None:
    """In no spelling, and all other fields as they came."""
    fields = [("X-Latchkey-Key", "k"), ("x_latchkey.session", "s"), ("X-A", "1"), ("x-a", "2")]
    assert list(caller_fields.removed(fields)) == [("X-A", "1"), ("x-a", "2")]

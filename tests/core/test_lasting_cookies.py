"""Cookies that last: their attributes, their end, and when they are set anew."""

import math

import pytest

from gateway.core.logins import cookie_deletions
from gateway.core.logins.lasting_cookies import ending_in, lasts, prolonged
from gateway.core.logins.replies import Reply
from gateway.core.sessions.session import (
    Session,
    Token,
    cookie_end,
    cookie_seconds,
    is_cookie_due,
)

IDLE = 800.0


def session(*, cookie_until: int, ends_at: float = 1e9) -> Session:
    return Session("id", "alice", Token(b"e.e.e"), "/login", ends_at, cookie_until=cookie_until)


def test_a_cookie_ends_a_little_later_than_its_session() -> None:
    """By an eighth of the idle timeout; and never after the session's last end."""
    assert cookie_end(1000.2, IDLE, 1e9) == math.ceil(1900.2)
    assert cookie_end(1000.2, IDLE, 1850.5) == 1851
    assert cookie_seconds(session(cookie_until=1901), 1000.2) == 901
    assert cookie_seconds(session(cookie_until=1000), 1000.2) == 1
    assert cookie_seconds(session(cookie_until=0), 1000.2) is None


@pytest.mark.parametrize(
    ("now", "due"), [(1000, False), (1050, False), (1052, True), (1900, True), (3000, True)]
)
def test_a_cookie_is_due_before_its_session_outlives_it(now: float, due: bool) -> None:
    """Once half of what it outlives the session by is over, if the session is used then."""
    known = session(cookie_until=cookie_end(1000, IDLE, 1e9))
    assert is_cookie_due(known, now, IDLE) == due
    assert due or known.cookie_until >= now + IDLE


def test_a_cookie_that_ends_with_its_session_is_never_due() -> None:
    known = session(cookie_until=cookie_end(1000, IDLE, 1500.5), ends_at=1500.5)
    assert not any(is_cookie_due(known, now, IDLE) for now in range(1000, 1501, 50))
    assert not is_cookie_due(session(cookie_until=0), 1000, IDLE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a=b", "a=b; Max-Age=60"),
        ("a=b; Max-Age=5", "a=b; Max-Age=60"),
        (
            "a=b;path=/; EXPIRES=Wed, 01 Jan 2098 00:00:00 GMT ; HttpOnly",
            "a=b; Max-Age=60;path=/; HttpOnly",
        ),
        ("a=Max-Age=5; max-age = 7; Max-Age=-1; Secure", "a=Max-Age=5; Max-Age=60; Secure"),
    ],
)
def test_one_end_takes_the_place_of_all_others(value: str, expected: str) -> None:
    """All else keeps its bytes."""
    assert ending_in(value, 60) == expected
    assert lasts(expected)


@pytest.mark.parametrize(
    "value", ["a=b", "a=Max-Age=5; Path=/", "a=b; Max-Ages=5", "", "a=expires=1"]
)
def test_a_cookie_without_an_end(value: str) -> None:
    assert not lasts(value)


def test_the_cookie_with_the_key_is_prolonged_and_no_other() -> None:
    fields = (
        ("Set-Cookie", "theme=dark; Max-Age=5"),
        ("set-cookie", "jwt=lk_1; Max-Age=5; Path=/"),
        ("X-Copy", "jwt=lk_1; Max-Age=5"),
    )
    reply = prolonged(Reply(200, fields, b""), "lk_1", 60)
    assert reply.fields == (
        fields[0],
        ("set-cookie", "jwt=lk_1; Max-Age=60; Path=/"),
        fields[2],
    )


def test_a_cookie_that_lasts_is_set_again_with_its_attributes() -> None:
    """Also with those that a deletion would know by itself."""
    setting = "jwt=x; Path=/; Max-Age=900; HttpOnly; SameSite=Strict; Secure; Priority=High"
    assert cookie_deletions.kept_place(setting, "/login") == ""
    kept = cookie_deletions.kept_place(setting, "/login", lasts=True)
    again = cookie_deletions.setting_from(kept, "jwt", "lk_1", 60)
    assert again == "jwt=lk_1; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert cookie_deletions.setting_from(kept, "jwt", "lk_1").startswith("jwt=lk_1; Path=/")

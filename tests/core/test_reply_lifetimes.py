"""Lifetimes in replies: they become the session's, in the same unit and notation."""

import json
from typing import Any

import pytest

from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_lifetimes import RemainingLife, told

NOW = 1_800_000_000.5
HOUR, DAY = 3600, 86400
LIFE = RemainingLife(now=NOW, ends_at=NOW + DAY, token_expires_at=NOW + HOUR)
END = int(NOW + DAY)  # 2027-01-16T08:00:00Z


def body(document: Any) -> Any:
    reply = Reply(200, (), json.dumps(document).encode())
    return json.loads(told(reply, {"TOKEN", "REFRESH"}, LIFE).body)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("expires_in", HOUR, DAY),
        ("expires_in", "3600", str(DAY)),
        ("expiresIn", HOUR * 1000, DAY * 1000),
        ("expires_in", 60, 1440),  # minutes, as the token's life tells
        ("expires_in_ms", 5, DAY * 1000),
        ("refresh_expires_in", 1800, DAY),  # Keycloak
        ("expires_at", int(NOW) + HOUR, END),
        ("expiresAt", (int(NOW) + HOUR) * 1000, int((NOW + DAY) * 1000)),
        ("exp", NOW + HOUR, END),
        ("expiry", "2027-01-15T09:00:00.123456Z", "2027-01-16T08:00:00.500000Z"),  # knox
        ("access_expiration", "2027-01-15T09:00:00Z", "2027-01-16T08:00:00Z"),  # dj-rest-auth
        ("expires", "2027-01-15T09:00:00.000Z", "2027-01-16T08:00:00.500Z"),
        ("expires", "2027-01-15 09:00:00", "2027-01-16 08:00:00"),
        ("expires", "2027-01-15T10:00:00+01:00", "2027-01-16T09:00:00+01:00"),
        ("token_ttl", HOUR, DAY),
        # What is no lifetime stays.
        ("expires_in", 0, 0),
        ("expires_in", -1, -1),
        ("expires_in", None, None),
        ("expires_in", "soon", "soon"),
        ("expires", True, True),
        ("expires", "2027-01-15", "2027-01-15"),
        ("subscription_expires_at", int(NOW) + HOUR, int(NOW) + HOUR),
        ("password_expires_in", HOUR, HOUR),
        ("experience", HOUR, HOUR),
    ],
)
def test_values(name: str, value: object, expected: object) -> None:
    assert body({"access": "TOKEN", name: value}) == {"access": "TOKEN", name: expected}


def test_where_they_stand() -> None:
    """Beside the tokens and around them; what belongs to others stays."""
    assert body(
        {
            "expires_in": HOUR,
            "tokens": {
                "access": {"token": "TOKEN", "expires": "2027-01-15T09:00:00Z"},
                "refresh": {"token": "REFRESH", "expires": "2027-02-15T09:00:00Z"},
                "device": {"token": "x", "expires": "2027-03-15T09:00:00Z"},
            },
            "user": {"name": "expires_in", "ttl": 1, "expires_at": 1_900_000_000},
        }
    ) == {
        "expires_in": DAY,
        "tokens": {
            "access": {"token": "TOKEN", "expires": "2027-01-16T08:00:00Z"},
            "refresh": {"token": "REFRESH", "expires": "2027-01-16T08:00:00Z"},
            "device": {"token": "x", "expires": "2027-03-15T09:00:00Z"},
        },
        "user": {"name": "expires_in", "ttl": 1, "expires_at": 1_900_000_000},
    }


def test_the_rest_of_a_body_keeps_its_bytes() -> None:
    text = '{ "access" : "TOKEN",\r\n "expires_in" :  3600 , "n": 1.50, "e": "\\u00e9" }'
    reply = Reply(200, (), text.encode())
    assert told(reply, {"TOKEN"}, LIFE).body.decode() == text.replace("3600", "86400")


def test_cookies_last_as_long_as_the_session() -> None:
    """Those of the tokens; and one that ends with the browser still does."""
    reply = Reply(
        200,
        (
            ("Set-Cookie", "a=TOKEN; Max-Age=3600; Path=/; expires=Fri, 15 Jan 2027 09:00:00 GMT"),
            ("set-cookie", "r=REFRESH; HttpOnly"),
            ("Set-Cookie", "theme=dark; Max-Age=3600"),
            ("X-Token", "TOKEN; Max-Age=3600"),
        ),
        b"no json",
    )
    assert told(reply, {"TOKEN", "REFRESH"}, LIFE).fields == (
        ("Set-Cookie", "a=TOKEN; Max-Age=86400; Path=/; Expires=Sat, 16 Jan 2027 08:00:00 GMT"),
        ("set-cookie", "r=REFRESH; HttpOnly"),
        ("Set-Cookie", "theme=dark; Max-Age=3600"),
        ("X-Token", "TOKEN; Max-Age=3600"),
    )

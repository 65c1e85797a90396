"""When an opaque token expires, as backends write it."""

from typing import Any

import pytest

from gateway.core.logins.lifetimes import expiry, expiry_at, expiry_beside
from gateway.core.tokens.claims import BadToken

NOW = 1_900_000_000.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3600, NOW + 3600),
        (3600.5, NOW + 3600.5),
        ("3600", NOW + 3600),
        (1_900_000_060, NOW + 60),
        ("1900000060", NOW + 60),
        (1_900_000_060_000, NOW + 60),
        ("2030-03-17T17:47:40Z", NOW + 60),
        ("2030-03-17T17:47:40", NOW + 60),
        ("2030-03-17T17:47:40.000000+00:00", NOW + 60),
        ("2030-03-17T19:47:40+02:00", NOW + 60),
        ("2030-03-17 17:47:40", NOW + 60),
        (0, NOW),
        (-1, NOW - 1),
        (True, None),
        ("soon", None),
        ("", None),
        ("1" * 5000, None),
        (float("inf"), None),
        ([3600], None),
    ],
)
def test_a_value_is_a_time(value: Any, expected: float | None) -> None:
    """Seconds, UNIX time, milliseconds of it, or a date of ISO 8601."""
    found = expiry(value, NOW)
    assert found == expected or (found is not None and abs(found - (expected or 0)) < 0.01)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"token": "t", "expires_in": 60}, NOW + 60),
        ({"token": "t", "expiresIn": 60}, NOW + 60),
        ({"token": "t", "Expires-At": NOW + 60}, NOW + 60),
        ({"token": "t", "expires": "soon", "expiry": 60}, NOW + 60),
        ({"token": "t", "refresh_expires_in": 60}, None),
        ({"token": "t"}, None),
        ({"token": "t", "expiry": None}, None),
        ([], None),
    ],
)
def test_a_member_beside_the_token(document: Any, expected: float | None) -> None:
    """By its name; what says no time says nothing."""
    assert expiry_beside(document, ("token",), NOW) == expected


def test_the_nearest_member_counts() -> None:
    """Around the token first, and then around that."""
    document = {"expires_in": 60, "auth": {"token": "t", "expires_in": 30}, "other": {"token": "t"}}
    assert expiry_beside(document, ("auth", "token"), NOW) == NOW + 30
    assert expiry_beside(document, ("other", "token"), NOW) == NOW + 60


def test_a_configured_place_says_a_time() -> None:
    """Or null for never; anything else refuses the login."""
    document = {"a": {"ttl": 60, "never": None, "text": "soon", "past": -60}}
    assert expiry_at(document, ("a", "ttl"), NOW) == NOW + 60
    assert expiry_at(document, ("a", "never"), NOW) is None
    assert expiry_at(document, ("b",), NOW) is None
    for name in ("text", "past"):
        with pytest.raises(BadToken):
            expiry_at(document, ("a", name), NOW)

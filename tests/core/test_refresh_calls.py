"""Refresh calls: which requests are some, and how their frontends send what they hold."""

import pytest

from gateway.core.logins import refresh_calls
from gateway.core.logins.refresh_tokens import Sending
from gateway.core.sessions import refresh_keys
from gateway.core.sessions.keys import new_key
from gateway.core.sessions.sealing import Sealer

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
REFRESH_KEY = refresh_keys.new(
    new_key(bytes(32)), 0, Sealer(["a secret"]), bytes(refresh_keys.RANDOM_BYTES)
).raw


@pytest.mark.parametrize(
    ("query", "content_type", "body", "is_one"),
    [
        ("", FORM, b"grant_type=refresh_token&refresh_token=x", True),
        ("grant_type=refresh_token", JSON, b'{"refresh_token": "x"}', True),
        ("?grant_type=refresh_token", JSON, b"", True),
        ("", JSON, b'{"grant_type": "refresh_token"}', True),
        ("", f"{FORM}; charset=utf-8", b"grant_type=refresh_token", True),
        ("", FORM, b"grant_type=password&username=a&password=b", False),
        ("grant_type=password", JSON, b'{"email": "a", "password": "b"}', False),
        # What a backend could read as a password's grant is counted as a login.
        ("grant_type=refresh_token", FORM, b"grant_type=password&password=b", False),
        ("", FORM, b"grant_type=refresh_token&grant_type=password", False),
        ("", JSON, b'{"grant_type": "refresh_token", "grant_type": "password"}', False),
        ("", JSON, b'{"grant_type": ["refresh_token"]}', False),
        ("", JSON, b"[]", False),
        ("", "", b"", False),
        ("", FORM, b"grant_type=password&refresh_token=" + REFRESH_KEY, True),
    ],
)
def test_grant_types(query: str, content_type: str, body: bytes, is_one: bool) -> None:
    assert refresh_calls.is_refresh_grant(query, content_type, body) is is_one


@pytest.mark.parametrize(
    ("content_type", "body", "cookie", "sending"),
    [
        (JSON, b'{"refresh": "x"}', "", Sending("json", "refresh")),
        (JSON, b'{"device": "d", "refreshToken": "x"}', "", Sending("json", "refreshToken")),
        (FORM, b"grant_type=refresh_token&refresh_token=x", "", Sending("form", "refresh_token")),
        (JSON, b"", "rt", Sending("cookie", "rt")),
        ("", b"", "", Sending("json", "refresh_token")),
    ],
)
def test_how_it_was_sent(content_type: str, body: bytes, cookie: str, sending: Sending) -> None:
    assert refresh_calls.sending(content_type, body, cookie) == sending


def test_a_refresh_key_is_found_anywhere_in_a_body() -> None:
    assert refresh_calls.refresh_key_in(b'{"a": {"b": "%b"}}' % REFRESH_KEY) == REFRESH_KEY
    assert refresh_calls.refresh_key_in(b"refresh=" + REFRESH_KEY) == REFRESH_KEY
    assert refresh_calls.refresh_key_in(b'{"refresh": "x"}') is None

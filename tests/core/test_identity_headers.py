"""The fields that tell an upstream who asks."""

import base64
import json
import math
from typing import Any

import pytest

from gateway.core.sessions.identity_headers import lines
from gateway.core.sessions.session import Session, Token


def of(claims: dict[str, Any]) -> Session:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    token = Token(b"eyJ." + payload + b".x")
    return Session("id", "staff:1", token, "/login", math.inf, math.inf, math.inf, "")


def test_a_claim_is_a_field() -> None:
    """`sub` is the subject with its realm, and not the claim of the token."""
    session = of({"sub": "1", "role": "admin", "level": 3})
    names = {"X-User-Id": "sub", "X-Role": "role", "X-Level": "level"}
    assert lines(session, names) == b"X-User-Id: staff:1\r\nX-Role: admin\r\nX-Level: 3\r\n"


@pytest.mark.parametrize(
    "value", [None, True, ["admin"], {"a": 1}, 1.5, "", " a", "a\r\nX-Admin: 1", "관리자"]
)
def test_a_claim_that_no_field_can_hold_is_left_out(value: object) -> None:
    """RFC 9110 §5.5: a half-right identity would be worse than none."""
    assert lines(of({"role": value}), {"X-Role": "role"}) == b""

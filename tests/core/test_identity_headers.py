"""The fields that tell an upstream who asks."""

import base64
import json
import math
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.config.session_sections import IdentityField
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.core.sessions.session import Session, Token


def of(claims: dict[str, Any]) -> Session:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    token = Token(b"eyJ." + payload + b".x")
    return Session("id", "staff:1", token, "/login", math.inf, math.inf, math.inf, "")


def shown(value: object, **options: Any) -> tuple[str, list[str]]:
    """The value of a field that shows this claim, and why it is left out."""
    unsent: list[str] = []
    field = IdentityField.model_validate({"claim": "role", **options})
    headers = IdentityHeaders({"X-Role": field}, lambda _, why: unsent.append(why))
    line = headers(of({"role": value})).decode()
    assert line == "" or (line.startswith("X-Role: ") and line.endswith("\r\n"))
    return line.removeprefix("X-Role: ").removesuffix("\r\n"), unsent


def test_a_claim_is_a_field() -> None:
    """`sub` is the subject with its realm, and not the claim of the token."""
    session = of({"sub": "1", "role": "admin", "level": 3, "org": {"id": 4}})
    names = {"X-User-Id": "sub", "X-Role": "role", "X-Level": "level", "X-Org": "/org/id"}
    fields = {name: IdentityField(claim=claim) for name, claim in names.items()}
    fields["X-Session-Handle"] = IdentityField(session="handle")
    assert IdentityHeaders(fields, unexpected)(session) == (
        b"X-User-Id: staff:1\r\nX-Role: admin\r\nX-Level: 3\r\nX-Org: 4\r\nX-Session-Handle: id\r\n"
    )


def unexpected(field: str, why: str) -> None:
    raise AssertionError((field, why))


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (True, {}, "true"),
        (1.5, {}, "1.5"),
        (["admin"], {}, "admin"),
        (["admin", "staff", 3], {}, "admin,staff,3"),
        (["admin", "staff"], {"join": ", "}, "admin, staff"),
        (["admin", "staff"], {"join": "json"}, '["admin","staff"]'),
        ("admin", {"join": "json"}, '"admin"'),
        ({"a": [1]}, {"join": "json"}, '{"a":[1]}'),
        (["\uad00\ub9ac, a"], {"join": "json"}, '["\\uad00\\ub9ac, a"]'),
        ("\uad00\ub9ac", {"encode": "percent"}, "%EA%B4%80%EB%A6%AC"),
        ("a b,c/%41", {"encode": "percent"}, "a%20b%2Cc%2F%2541"),
        (["a,b", "\uad00"], {"encode": "percent"}, "a%2Cb,%EA%B4%80"),
        ("\uad00\ub9ac", {"encode": "base64"}, "6rSA66as"),
        ("a\r\nX-Admin: 1", {"encode": "percent"}, "a%0D%0AX-Admin%3A%201"),
        ("\uad00\ub9ac", {"encode": "utf8"}, "\uad00\ub9ac"),
        ("Kim, Min", {}, "Kim, Min"),
    ],
)
def test_a_value_is_spelled(value: object, options: dict[str, Any], expected: str) -> None:
    """Lists are joined; other alphabets are encoded as config.yaml says."""
    assert shown(value, **options) == (expected, [])


@pytest.mark.parametrize(
    ("value", "options", "why"),
    [
        ({"a": 1}, {}, "join: json"),
        ([["admin"]], {}, "join: json"),
        ([None], {}, "join: json"),
        (" a", {}, "encode"),
        ("a\r\nX-Admin: 1", {}, "encode"),
        ("\uad00\ub9ac", {}, "encode"),
        ("a\r\nX-Admin: 1", {"encode": "utf8"}, "percent"),
        ("a\x85b", {"encode": "utf8"}, "percent"),
        ("\ud800", {"encode": "utf8"}, "Unicode"),
        ("\ud800", {"encode": "percent"}, "Unicode"),
        (["a,b", "c"], {}, "join"),
        (["a,b"], {"join": ", "}, "join"),
        (["a b"], {"join": " "}, "join"),
    ],
)
def test_a_claim_that_no_field_can_hold_is_left_out(
    value: object, options: dict[str, Any], why: str
) -> None:
    """RFC 9110 §5.5: a half-right identity would be worse than none. The setting is named."""
    text, [reason] = shown(value, **options)
    assert text == ""
    assert why in reason


@pytest.mark.parametrize("value", [None, "", []])
def test_a_claim_that_says_nothing_is_no_field(value: object) -> None:
    """There is nothing to warn of."""
    assert shown(value) == ("", [])


def test_an_encoding_can_be_undone() -> None:
    """Whatever the values are, an upstream reads the same list."""
    values = ["a,b", "c%2Cd", "\u00e9 ", "+"]
    text, _ = shown(values, encode="percent")
    assert [unquote(part) for part in text.split(",")] == values

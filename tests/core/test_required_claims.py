"""Claims that routes ask for: compared by JSON's types, and not by Python's."""

import json

import pytest

from gateway.core.sessions.required_claims import clauses, is_met


@pytest.mark.parametrize(
    ("claim", "allowed", "expected"),
    [
        ("true", True, True),
        ("1", True, False),
        ("1.0", True, False),
        ('"true"', True, False),
        ("null", True, False),
        ("false", False, True),
        ("0", False, False),
        ('""', False, False),
        ("[]", False, False),
        ("null", False, False),
        ("1", 1, True),
        ("1.0", 1, True),
        ("1e0", 1, True),
        ("true", 1, False),
        ('"1"', 1, False),
        ("0", 0, True),
        ("-0.0", 0, True),
        ("false", 0, False),
        ("1.5", 1.5, True),
        ('"1.5"', 1.5, False),
        ('"admin"', "admin", True),
        ('"Admin"', "admin", False),
        ("1", "1", False),
        ("true", "true", False),
        ('["user", "admin"]', "admin", True),
        ("[1, true]", True, True),
        ("[1, 0]", True, False),
        ('[["admin"]]', "admin", False),
        ("[[true]]", True, False),
        ('{"admin": true}', "admin", False),
        ('[{"admin": true}]', "admin", False),
    ],
)
def test_a_claim_meets_a_value_of_its_own_type(
    claim: str, allowed: str | float | bool, expected: bool
) -> None:
    """true is not 1 and "1" is not 1; 1.0 is 1; a list is met by what it holds itself."""
    assert is_met("a", json.loads(claim), clauses("a", [allowed])) is expected


def test_one_of_several_values_is_enough() -> None:
    """Whatever their types."""
    required = clauses("a", [True, 2, "owner"])
    assert [is_met("a", claim, required) for claim in (True, 2, "owner", 1, "2", None)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_subject_is_a_text() -> None:
    """So a rule may ask for a number, which a session's subject never is."""
    required = clauses("sub", [1, "staff:2", True])
    assert [
        is_met("sub", subject, required) for subject in ("1", "staff:2", "2", "True", "true")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_all_values_may_be_required() -> None:
    """And one of others beside them."""
    required = clauses("roles", ["admin", "owner"], ["staff", True])
    held = (["owner", "staff", True], ["owner", "staff", 1], ["staff", True], ["admin"], "admin")
    assert [is_met("roles", claim, required) for claim in held] == [
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("name", ["scope", "scp", "/token/scope", "token.scp"])
@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("orders:read orders:write", True),
        ("orders:write  orders:read ", True),
        ("orders:read", True),
        (["orders:read", "orders:write"], True),
        ("orders:read-only", False),
        ("orders:read,orders:write", False),
        ("", False),
        (None, False),
    ],
)
def test_scopes_are_words(name: str, claim: object, expected: bool) -> None:
    """RFC 6749 §3.3: they are separated by spaces, in any order."""
    assert is_met(name, claim, clauses(name, ["orders:read"])) is expected


def test_other_texts_are_no_words() -> None:
    """A text of a person's choice must not hold a role."""
    assert not is_met("name", "not an admin", clauses("name", ["admin"]))
    assert is_met("scope", "a b", clauses("scope", ["a b"]))
    assert is_met("scope", "a b", clauses("scope", [], ["a", "b"]))
    assert not is_met("scope", "a c", clauses("scope", [], ["a", "b"]))

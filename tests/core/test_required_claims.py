"""Claims that routes ask for: compared by JSON's types, and not by Python's."""

import json

import pytest

from gateway.core.sessions.required_claims import allowed_values, is_met


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
    claim: str, allowed: str | int | bool, expected: bool
) -> None:
    """true is not 1 and "1" is not 1; 1.0 is 1; a list is met by what it holds itself."""
    assert is_met(json.loads(claim), allowed_values("a", [allowed])) is expected


def test_one_of_several_values_is_enough() -> None:
    """Whatever their types."""
    allowed = allowed_values("a", [True, 2, "owner"])
    assert [is_met(claim, allowed) for claim in (True, 2, "owner", 1, "2", None)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_subject_is_a_text() -> None:
    """So a rule may ask for a number, which a session's subject never is."""
    allowed = allowed_values("sub", [1, "staff:2", True])
    assert [is_met(subject, allowed) for subject in ("1", "staff:2", "2", "True", "true")] == [
        True,
        True,
        False,
        False,
        False,
    ]

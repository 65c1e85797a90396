"""Subjects: what can be a name, and what stands for none."""

import json

import pytest

from gateway.core.sessions import subjects
from gateway.core.tokens.claims import Claims


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("1", "1"),
        ('"1"', "1"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("-7", "-7"),
        ('"alice"', "alice"),
        ('" alice"', " alice"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", None),
        ("1.5", None),
        ("1e999", None),
        ("true", None),
        ("false", None),
        ("null", None),
        ('""', None),
        ("[1]", None),
        ("{}", None),
        (json.dumps("a\nb"), None),
        (json.dumps("\ud800"), None),
        (json.dumps("x" * 1024), "x" * 1024),
        (json.dumps("x" * 1025), None),
    ],
)
def test_what_is_a_name(claim: str, name: str | None) -> None:
    """A text or a whole number, however a backend writes it; nothing that could be two people."""
    assert subjects.name_of(json.loads(claim)) == name


def test_the_first_claim_that_holds_a_name() -> None:
    """A claim that holds none is passed over."""
    claims = Claims({"sub": True, "user_id": 7.0, "email": "a@example.com"}, None)
    assert claims.subject(("sub", "user_id", "email")) == "7"
    assert claims.subject(("sub",)) is None


def test_no_name_is_spelled_like_the_subject_of_a_token_without_one() -> None:
    """So no claim makes a session pass for one whose owner is unknown, nor finds another's."""
    stand_in = subjects.unnamed("a.b.c")
    assert subjects.is_unnamed(stand_in)
    assert subjects.name_of(stand_in) is None
    assert stand_in != subjects.unnamed("a.b.d")
    for name in ("token:", "token:alice", stand_in + "0", stand_in.upper(), f"x{stand_in}"):
        assert not subjects.is_unnamed(name)
        assert subjects.name_of(name) == name

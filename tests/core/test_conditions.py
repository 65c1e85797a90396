"""Conditions of claims: which sessions meet them, and which of two is the stricter one."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sessions import claim_names, required_claims
from gateway.core.sessions.conditions import (
    NOTHING,
    AllOf,
    AnyOf,
    Condition,
    OneOf,
    all_of,
    any_of,
    holds,
    implies,
)

ROLES = ("roles", "realm_access.roles")
SCOPES = ("scope", "permissions")
ADMIN, OWNER = OneOf(("role",), ("admin",)), OneOf(("role",), ("owner",))


class Claims:
    """A session with these claims."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._claims = claims

    def claim(self, name: str) -> Any:
        return claim_names.find(self._claims, name)


def scopes(*words: str) -> Condition:
    return holds(SCOPES, required_claims.clauses("", (), words), of_words=True)


def roles(*names: str) -> Condition:
    return holds(ROLES, required_claims.clauses("", names))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "read write"}, True),
        ({"permissions": "write read"}, True),
        ({"permissions": ["read", "write"]}, True),
        ({"scope": "read", "permissions": ["write"]}, True),
        ({"scope": "read"}, False),
        ({"scope": "read-write"}, False),
        ({"scp": "read write"}, False),
        ({}, False),
    ],
)
def test_scopes_are_words_in_each_of_their_places(
    claims: dict[str, Any], *, expected: bool
) -> None:
    assert scopes("read", "write").is_met(Claims(claims)) is expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"roles": ["staff", "admin"]}, True),
        ({"roles": "admin"}, True),
        ({"realm_access": {"roles": ["owner"]}}, True),
        ({"roles": ["staff"], "realm_access": {"roles": ["owner"]}}, True),
        ({"roles": "no admin"}, False),
        ({"roles": [["admin"]]}, False),
        ({"roles": {"admin": True}}, False),
        ({"name": "admin"}, False),
    ],
)
def test_roles_are_whole_texts(claims: dict[str, Any], *, expected: bool) -> None:
    """A name that a person chose, and that has spaces, holds no role."""
    assert roles("admin", "owner").is_met(Claims(claims)) is expected


def test_groups() -> None:
    """Any of these, or all of those."""
    either = any_of([all_of([ADMIN, scopes("write")]), OneOf(("staff",), ((True,),))])
    assert either.is_met(Claims({"role": "admin", "scope": "write"}))
    assert either.is_met(Claims({"staff": True}))
    assert not either.is_met(Claims({"role": "admin", "staff": 1}))
    assert NOTHING.is_met(Claims({}))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (([1],), ([1, 2],), True),
        (([1, 2],), ([1],), False),
        (([], [1, 2]), ([1, 3],), True),
        (([], [1, 2]), ([], [1]), True),
        (([], [1]), ([], [1, 2]), False),
        (([1, True],), ([1],), False),
    ],
)
def test_which_values_imply_others(
    one: tuple[Any, ...], other: tuple[Any, ...], *, expected: bool
) -> None:
    first, second = (holds(("a",), required_claims.clauses("a", *asked)) for asked in (one, other))
    assert implies(first, second) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ADMIN, NOTHING, True),
        (NOTHING, ADMIN, False),
        (ADMIN, any_of([OWNER, ADMIN]), True),
        (any_of([OWNER, ADMIN]), ADMIN, False),
        (any_of([OWNER, ADMIN]), any_of([ADMIN, OWNER, scopes("a")]), True),
        (all_of([ADMIN, scopes("a")]), ADMIN, True),
        (all_of([ADMIN, scopes("a")]), any_of([OWNER, scopes("a")]), True),
        (ADMIN, all_of([ADMIN, scopes("a")]), False),
        (OneOf(("a",), ("x",)), OneOf(("a", "b"), ("x",)), True),
        (OneOf(("a", "b"), ("x",)), OneOf(("a",), ("x",)), False),
        (OneOf(("a",), ("x",), of_words=True), OneOf(("a",), ("x",)), False),
        (OneOf(("a",), ("x",)), OneOf(("a",), ("x",), of_words=True), True),
    ],
)
def test_which_groups_imply_others(one: Condition, other: Condition, *, expected: bool) -> None:
    assert implies(one, other) is expected


values = st.sampled_from(["x", "y", "x y", 1])
leaves = st.builds(
    OneOf,
    st.sampled_from([("a",), ("b",), ("a", "b")]),
    st.lists(values, min_size=1, max_size=2).map(tuple),
    st.booleans(),
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([AllOf(tuple(parts)), AnyOf(tuple(parts))])
    ),
    max_leaves=5,
)


@given(trees, trees, st.dictionaries(st.sampled_from("ab"), st.one_of(values, st.lists(values))))
def test_what_is_implied_is_met(one: Condition, other: Condition, claims: dict[str, Any]) -> None:
    """Whatever the session: a stricter route lets nothing pass that the other one refuses."""
    session = Claims(claims)
    if implies(one, other) and one.is_met(session):
        assert other.is_met(session)

"""Names of claims: a member, or a place inside of one."""

from typing import Any

import pytest

from gateway.core.sessions import claim_names

CLAIMS: dict[str, Any] = {
    "role": "admin",
    "realm_access": {"roles": ["staff", "owner"]},
    "user": {"id": 7, "a/b": "slash", "m~n": "tilde"},
    "https://shop.example/roles": ["buyer"],
    "com.example.tenant": "blue",
    "user.name": "literal",
    "nothing": None,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("role", "admin"),
        ("/role", "admin"),
        ("/realm_access/roles", ["staff", "owner"]),
        ("realm_access.roles", ["staff", "owner"]),
        ("/realm_access/roles/1", "owner"),
        ("/user/id", 7),
        ("user.id", 7),
        ("/user/a~1b", "slash"),
        ("/user/m~0n", "tilde"),
        ("https://shop.example/roles", ["buyer"]),
        ("com.example.tenant", "blue"),
        ("user.name", "literal"),
        ("nothing", None),
        ("missing", None),
        ("/missing/id", None),
        ("/role/id", None),
        ("role.id", None),
        ("/realm_access/roles/2", None),
    ],
)
def test_a_claim_is_found(name: str, expected: object) -> None:
    """RFC 6901; a member of exactly this name comes first."""
    assert claim_names.find(CLAIMS, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("/sub", "sub"), ("sub", "sub"), ("/a~1b", "a/b"), ("/a/b", "/a/b"), ("a.b", "a.b")],
)
def test_a_name_has_one_spelling(name: str, expected: str) -> None:
    """So `/sub` is the subject with its realm, too."""
    assert claim_names.plain(name) == expected


def test_chosen_claims_keep_their_places() -> None:
    """What is missing is left out, and a name inside of a chosen text is none."""
    names = ("role", "/user/id", "realm_access.roles", "missing", "user.name", "/role/x", "/user/x")
    assert claim_names.chosen(CLAIMS, names) == {
        "role": "admin",
        "user": {"id": 7},
        "realm_access": {"roles": ["staff", "owner"]},
        "user.name": "literal",
    }
    assert claim_names.chosen(CLAIMS, ("user", "/user/id")) == {"user": CLAIMS["user"]}

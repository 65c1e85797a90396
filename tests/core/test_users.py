"""Users of a file: what describes one, and what is said when nothing does."""

import unicodedata
from datetime import date
from typing import Any

import pytest

from gateway.core.logins.users import BadUsers, check_name, read_users
from tests.support.users import cheap_hash

HASH = cheap_hash()


def test_users() -> None:
    """A hash is enough; claims are whatever JSON can hold. A repr shows no hash."""
    claims = {"role": "admin", "teams": [1, {"a": None}]}
    users = read_users({"alice": {"hash": HASH, "claims": claims}, "밥": {"hash": HASH}})
    assert (users["alice"].name, users["alice"].hash, users["alice"].claims) == (
        "alice",
        HASH,
        claims,
    )
    assert users["밥"].claims == {}
    assert HASH not in repr(users)
    assert read_users(None) == {}
    assert read_users({"a": {"hash": HASH, "claims": None}})["a"].claims == {}


@pytest.mark.parametrize("name", ["a", "alice@example.com", "x" * 128, "홍길동", "a.b-c_d+e"])
def test_names(name: str) -> None:
    """Whatever can be typed, without spaces."""
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a\tb", "a\nb", "a\u200bb", "a\u00a0b", "\ud800", "x" * 129),
        *(1, None, True, unicodedata.normalize("NFD", "홍길동")),
    ],
)
def test_no_names(name: Any) -> None:
    """Invisible characters, and texts with two spellings, are no names."""
    with pytest.raises(BadUsers):
        check_name(name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "must be a mapping of names to users"),
        ("alice", "must be a mapping of names to users"),
        ({False: {"hash": HASH}}, "a name is no text: put it in quotes"),
        ({"alice": HASH}, "alice: must have a hash, may have claims, and nothing else"),
        ({"alice": {"hash": HASH, "role": 1}}, "alice: must have a hash, may have claims, and"),
        ({"alice": {}}, "alice: hash is no argon2id hash"),
        ({"alice": {"hash": 5}}, "alice: hash is no argon2id hash"),
        ({"alice": {"hash": "wonderland"}}, "alice: hash is no argon2id hash"),
        ({"alice": {"hash": HASH.replace("2id", "2i")}}, "alice: hash is no argon2id hash"),
        ({"alice": {"hash": HASH + "\n"}}, "alice: hash is no argon2id hash"),
        ({"alice": {"hash": HASH[:45]}}, "alice: hash is no argon2id hash"),
        (
            {"alice": {"hash": HASH.replace("m=8", "m=9999999")}},
            "alice: hash takes too much memory",
        ),
        ({"alice": {"hash": HASH, "claims": []}}, "alice: claims must be a mapping"),
        ({"alice": {"hash": HASH, "claims": {1: 2}}}, "alice: claims must be a mapping"),
        (
            {"alice": {"hash": HASH, "claims": {"sub": "root"}}},
            "alice: claims cannot hold sub, which the gateway itself makes",
        ),
        (
            {"alice": {"hash": HASH, "claims": {"born": date(2000, 1, 1)}}},
            "alice: claims: born is no value that JSON can hold",
        ),
        (
            {"alice": {"hash": HASH, "claims": {"pad": "x" * 5000}}},
            "alice: claims: they are too large: at most 4096 bytes in all",
        ),
    ],
)
def test_what_describes_no_users(data: Any, message: str) -> None:
    """Whom it is about, and nothing of a hash."""
    with pytest.raises(BadUsers) as caught:
        read_users(data)
    assert str(caught.value).startswith(message)
    assert "$" not in str(caught.value)

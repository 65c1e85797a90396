"""When a session's user has logged in."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from gateway.core.sessions.session import NAMED, OpaqueToken, Session, dump_session, load_session


def session(auth_time: str = "", claims: Mapping[str, Any] = MappingProxyType({})) -> Session:
    token = OpaqueToken(b"opaque", json.dumps(dict(claims)).encode())
    return Session("id", "alice", token, "/login", 2e9, issued_at=1000, auth_time=auth_time)


@pytest.mark.parametrize(
    ("auth_time", "claims", "expected"),
    [
        ("", {}, 1000),
        ("900", {}, 900),
        ("0", {}, 0),
        ("", {"auth_time": 800}, 800),
        ("", {"auth_time": 800.5}, 800.5),
        ("", {"auth_time": 10**400}, 1000),
        ("900", {"auth_time": 950}, 900),
        ("", {"auth_time": "800"}, 1000),
        ("", {"auth_time": True}, 1000),
        ("", {"auth_time": None}, 1000),
    ],
)
def test_the_earliest_counts(auth_time: str, claims: dict[str, Any], expected: float) -> None:
    """A token may tell of an earlier login than that of the session, and of no later one."""
    assert session(auth_time, claims).logged_in_at == expected


def test_nothing_is_known_of_a_named_key() -> None:
    assert replace(session("900"), login=NAMED).logged_in_at == 0


def test_the_time_is_sealed() -> None:
    """With the session, so that it takes a key to change it; most sessions need no room for it."""
    kept = load_session("id", "alice", dump_session(session("900")))
    assert (kept.auth_time, kept.parent) == ("900", "")
    assert b"900" not in dump_session(session())

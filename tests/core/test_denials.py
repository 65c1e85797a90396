"""denials: which replies deny a login although their status is a success."""

from typing import Any

import pytest

from gateway.core.json_text import document
from gateway.core.logins import denials
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import JsonPointer
from tests.support.replies import ACCESS, reply

ERRORS = JsonPointer("/errors")


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ('{"ok": false}', True),
        ('{"isSuccess": "No"}', True),
        ('{"success": 0}', True),
        ('{"error": "wrong password"}', True),
        ('{"errors": []}', False),
        ('{"error": "none"}', False),
        ('{"status": 401}', True),
        ('{"status": 200}', False),
        ('{"status": "login_failed"}', True),
        ('{"result": "ok"}', False),
        ('{"user": {"ok": false}}', False),
        ('["failed"]', False),
    ],
)
def test_an_object_denies_by_its_own_members(text: str, denies: bool) -> None:
    """By usual names and values; objects inside of it speak for themselves."""
    assert denials.is_denial(document(text)) is denies


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"errors": [{"message": "no"}]}, True),
        ({"errors": []}, False),
        ({"errors": None, "data": {}}, False),
        ([{"data": {}}, {"errors": [{}]}], True),
        ([{"data": {}}], False),
        (b"<html>", False),
    ],
)
def test_a_reply_says_no_at_a_place(body: Any, says: bool) -> None:
    """In a batch, one answer that does is enough."""
    assert denials.says_no(reply(body), ERRORS) is says


@pytest.mark.parametrize(
    ("body", "may"),
    [
        ({"errors": [{"message": "no"}], "data": {"token": "opaque"}}, True),
        ({"errors": [{"message": "no"}], "data": {"token": ACCESS}}, False),
        ({"errors": [{"token": "in what it says was wrong"}]}, False),
        ({"errors": "no", "token": "opaque"}, False),
        ([{"errors": ["no"]}], True),
    ],
)
def test_a_no_beside_an_opaque_token(body: Any, may: bool) -> None:
    """A part of the request may have succeeded; JWTs are erased in any case."""
    assert denials.may_hand_out(reply(body), ERRORS) is may


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"mfa_required": True, "token": "opaque"}, True),
        ({"ok": False, "username": "alice"}, True),
        ({"ok": False, "token": "opaque"}, False),
        ({"welcome": "alice"}, False),
        (b"welcome", False),
    ],
)
def test_a_reply_that_logs_nobody_in(body: Any, expected: bool) -> None:
    """It asks for a second step, or denies the login and hands out no opaque token."""
    assert denials.denies_login(reply(body)) is expected


def test_what_cannot_be_read_says_no_other_step() -> None:
    """Neither a reply that is too complex, nor a place without a name."""
    assert not denials.says_another_step(reply(b"[" * 10_000), JsonPointer("/mfa"))
    assert not denials.says_another_step(Reply(200, (), b"{}"), JsonPointer(""))

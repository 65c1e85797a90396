"""mfa/words: names and values that speak of a second factor."""

from typing import Any

import pytest

from gateway.core.json_text import Members
from gateway.core.logins.mfa import words


@pytest.mark.parametrize(
    ("name", "value", "asks"),
    [
        ("mfa_required", True, True),
        ("requires2FA", 1, True),
        ("mfaRequired", False, False),
        ("ChallengeName", "SMS_MFA", True),
        ("challenge", "none", False),
        ("mfa", Members([("required", True)]), True),
        ("mfa", Members([("enabled", True)]), False),
        ("mfa_verified", False, True),
        ("mfa_verified", True, False),
        ("is_partial_session", True, True),
        ("partial", "yes", False),
        ("status", "MFA_REQUIRED", True),
        ("status", "mfa_passed", False),
        ("status", "active", False),
        ("token_type", "mfa", True),
        ("token_type", "bearer", False),
        ("message", "OTP sent", True),
        ("message", "Your OTP settings", False),
        ("message", "Enter the OTP. " * 9, False),
        ("user", "alice", False),
    ],
)
def test_members_that_ask_for_a_step(name: str, value: Any, asks: bool) -> None:
    """By usual names; a value that settles the step, or only mentions it, asks for nothing."""
    assert words.asks(name, value) is asks


@pytest.mark.parametrize(
    ("name", "value", "is_token"),
    [
        ("mfatoken", "t-alice", True),
        ("session", "3f2504e0-4f89-41d3", True),
        ("session", "short1", False),
        ("mfatoken", "123456", False),
        ("mfatoken", "two words", False),
        ("mfacode", "a1b2c3", False),
    ],
)
def test_temporary_tokens(name: str, value: str, is_token: bool) -> None:
    """By their names, or by their looks; digits alone are a code."""
    assert words.is_token(name, value) is is_token


@pytest.mark.parametrize(
    ("name", "value", "is_code"),
    [
        ("otp", "x1y2", True),
        ("second", "123456", True),
        ("otp", "", False),
        ("token", "a" * 17, False),
        ("username", "alice", False),
    ],
)
def test_codes(name: str, value: str, is_code: bool) -> None:
    """By their names, or since they have four to eight digits."""
    assert words.is_code(name, value) is is_code


@pytest.mark.parametrize(
    ("name", "speaks"), [("mfarequired", True), ("needsverification", True), ("errors", False)]
)
def test_names_of_a_step(name: str, speaks: bool) -> None:
    """A place of this name says that another step follows."""
    assert words.names_step(name) is speaks

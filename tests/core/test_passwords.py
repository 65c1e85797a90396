"""Passwords at rest: what is kept of them, and when it is as good as today's."""

import unicodedata

import pytest
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from gateway.core.logins import passwords
from gateway.core.logins.passwords import BadPassword
from tests.support.users import cheap_hash

KEPT = passwords.hashed("wonderland", b"0123456789abcdef")


def test_what_is_kept() -> None:
    """argon2id by RFC 9106's second recommendation, for machines with little memory."""
    assert KEPT.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert extract_parameters(KEPT) == RFC_9106_LOW_MEMORY
    assert passwords.is_current(KEPT)
    assert not passwords.is_current(cheap_hash())


def test_only_the_password_is_right() -> None:
    """Not a part of it, not another case, not nothing."""
    assert passwords.is_right("wonderland", KEPT)
    for wrong in ("", "wonderlan", "wonderland ", "Wonderland", "x" * 16_000):
        assert not passwords.is_right(wrong, KEPT)


def test_each_hash_has_its_salt() -> None:
    """Hashes do not show that two users have the same password."""
    assert passwords.hashed("wonderland", b"another salt, 16") != KEPT


def test_a_password_is_the_same_on_each_keyboard() -> None:
    """A Mac may spell Hangul and accents in parts (NIST SP 800-63B §5.1.1.2)."""
    kept = passwords.hashed(unicodedata.normalize("NFC", "비밀번호 café"), bytes(16))
    assert passwords.is_right(unicodedata.normalize("NFD", "비밀번호 café"), kept)


@pytest.mark.parametrize("kept", ["", "x", KEPT[:-1], KEPT[:40], "$argon2id$v=19$m=1,t=1,p=1$a$b"])
def test_a_broken_hash_is_nobodys(kept: str) -> None:
    """No password is right for it."""
    assert not passwords.is_right("wonderland", kept)


def test_nobodys_hash_costs_what_the_others_do() -> None:
    """So a name that is not known takes as long."""
    assert passwords.is_current(passwords.UNUSED_HASH)
    assert not passwords.is_right("", passwords.UNUSED_HASH)


@pytest.mark.parametrize(
    ("password", "message"),
    [("", "is too short"), ("seven77", "is too short"), ("a lone \ud800 half", "is no text")],
)
def test_passwords_that_nobody_should_have(password: str, message: str) -> None:
    """They are refused when they are set, and not when they are used."""
    with pytest.raises(BadPassword, match=message):
        passwords.check_new(password)
    passwords.check_new("여덟 글자보다 길다")

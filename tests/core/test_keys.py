"""Keys, seals and sessions: pure rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sessions import keys, sealing
from gateway.core.sessions.keys import KEY_PATTERN, Key, holds_key, new_key, parse_key, session_id
from gateway.core.sessions.sealing import Sealer, Unsealable
from gateway.core.sessions.session import (
    Session,
    Token,
    UnreadableSession,
    dump_session,
    load_session,
    renewal_time,
    session_times,
)

RANDOM = st.binary(min_size=32, max_size=32)
NONCE = bytes(12)


@given(RANDOM)
def test_a_key_is_recognised(random: bytes) -> None:
    """Prefix, length and checksum; a scanner's pattern finds it anywhere."""
    key = new_key(random)
    text = key.reveal().encode()
    assert len(text) == 52
    assert text.startswith(b"lk_")
    assert parse_key(text) == key
    found = KEY_PATTERN.search(b"x=" + text + b";")
    assert found is not None
    assert found[0] == text


@given(RANDOM, st.sets(st.integers(0, 51)), st.integers(0, 3))
def test_a_key_is_found_behind_escapes(random: bytes, escaped: set[int], again: int) -> None:
    """Any of its characters may be percent-encoded, and the percent signs three times more."""
    text = _escaped(new_key(random).reveal().encode(), escaped)
    for _ in range(again):
        text = text.replace(b"%", b"%25")
    assert holds_key(b"/x?a=" + text + b"&b")
    assert not holds_key(b"/x?a=" + text[:-1] + b"&b")


def _escaped(text: bytes, at: set[int]) -> bytes:
    return b"".join(
        b"%%%02x" % byte if place in at else bytes((byte,)) for place, byte in enumerate(text)
    )


@given(RANDOM, st.integers(3, 51), st.sampled_from(b"AZaz09-_"))
def test_a_mistyped_key_is_refused_without_the_store(random: bytes, at: int, other: int) -> None:
    """One wrong character never passes the checksum."""
    text = bytearray(new_key(random).reveal().encode())
    if text[at] == other:
        return
    text[at] = other
    assert parse_key(bytes(text)) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"lk_", b"lk_" + b"A" * 49, b"LK_" + b"A" * 49, b"lk_" + b"A" * 48 + b"\n", b"\xff"],
)
def test_what_is_no_key(text: bytes) -> None:
    """Wrong length, alphabet, prefix or checksum."""
    assert parse_key(text) is None


def test_a_key_is_never_shown_by_accident() -> None:
    """Neither its repr nor its str, nor those of a token, hold the secret."""
    key, token = new_key(bytes(32)), Token(b"eyJ.a.b")
    for secret, shown in ((key.reveal(), f"{key} {key!r}"), ("eyJ", f"{token} {token!r}")):
        assert secret not in shown


def test_the_session_id_is_the_keys_digest() -> None:
    """SHA-256 in base64url: it names the session and opens nothing."""
    key = new_key(bytes(32))
    assert session_id(key) == keys.session_id(Key(key.raw))
    assert len(session_id(key)) == keys.ID_CHARACTERS == 43


KEY, OTHER = new_key(bytes(32)), new_key(bytes(31) + b"\x01")


@given(st.binary(max_size=400))
def test_a_seal_opens_with_the_key_and_the_secret(plain: bytes) -> None:
    """And with nothing else: not with another key, id or secret."""
    sealer = Sealer(["a secret"])
    sealed = sealer.seal(KEY, b"id", plain, NONCE)
    assert sealer.open(KEY, b"id", sealed) == plain
    for opener, key, name in (
        (sealer, OTHER, b"id"),
        (sealer, KEY, b"other"),
        (Sealer(["another secret"]), KEY, b"id"),
    ):
        with pytest.raises(Unsealable):
            opener.open(key, name, sealed)


def test_secrets_are_rotated_without_loss() -> None:
    """[new, old] opens what old sealed, and seals with new."""
    old, both, new = Sealer(["old"]), Sealer(["new", "old"]), Sealer(["new"])
    assert both.open(KEY, b"id", old.seal(KEY, b"id", b"x", NONCE)) == b"x"
    assert new.open(KEY, b"id", both.seal(KEY, b"id", b"x", NONCE)) == b"x"


@given(st.binary(max_size=60))
def test_foreign_values_do_not_open(value: bytes) -> None:
    """wire-rules.md#E13: whatever stands in Redis, opening it is refused and never a crash."""
    with pytest.raises(Unsealable):
        Sealer(["a secret"]).open(KEY, b"id", value)


@given(st.integers(0, 200), st.integers(1, 255))
def test_tampered_values_do_not_open(at: int, change: int) -> None:
    """wire-rules.md#E13: one changed bit is enough."""
    sealed = bytearray(Sealer(["a secret"]).seal(KEY, b"id", bytes(100), NONCE))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(Unsealable):
        Sealer(["a secret"]).open(KEY, b"id", bytes(sealed))


def test_sealing_needs_a_secret() -> None:
    """No secret, no gateway."""
    with pytest.raises(ValueError, match="needs a secret"):
        sealing.Sealer([])


def test_a_session_is_written_down_and_read() -> None:
    """All but the id, which the key tells."""
    session = Session("id", "alicé", Token(b"eyJ.e30.x"), "backend", 99, 98, math.inf, "r")
    again = load_session("id", "alicé", dump_session(session))
    assert (again.subject, again.token.reveal(), again.login) == ("alicé", "eyJ.e30.x", "backend")
    assert again == session
    assert "eyJ" not in repr(again)


@given(st.one_of(st.binary(max_size=40), st.sampled_from([b"[]", b"{}", b"[1,2,3,4,5]", b'["a"]'])))
def test_what_is_no_session(data: bytes) -> None:
    """Unreadable, never a crash."""
    try:
        session = load_session("id", "alice", data)
    except UnreadableSession:
        return
    assert session.id == "id"


def times(expiry: float | None, renew_before: float | None = None) -> tuple[float, float, float]:
    return session_times(100.0, max_age=50.0, expiry=expiry, skew=2.0, renew_before=renew_before)


def test_the_earliest_end_counts() -> None:
    """The absolute timeout or the token's expiry, by a clock that may be ahead of ours."""
    assert times(None) == (150.0, math.inf, math.inf)
    assert times(120.0) == (122.0, 120.0, math.inf)
    assert times(999.0) == (150.0, 999.0, math.inf)


def test_a_session_outlives_a_token_that_is_renewed() -> None:
    """It is renewed before its expiry, but not in the first three quarters of its life."""
    assert times(140.0, 5.0) == (150.0, 140.0, 135.0)
    assert times(120.0, 60.0) == (150.0, 120.0, 115.0)
    assert times(None, 60.0) == (150.0, math.inf, math.inf)
    assert renewal_time(100.0, math.inf, 60.0) == math.inf

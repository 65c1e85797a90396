"""Tokens as the bytes that they spell: smaller, and the same again to the letter."""

import struct
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sessions import token_packing
from tests.conftest import token_of

WORDS = st.text("abcXYZ019-_=.+/ ", max_size=60).map(str.encode)


def test_a_token_takes_three_quarters() -> None:
    """Of its size, and a few bytes."""
    token = token_of("alice", scope="orders:read orders:write").encode()
    packed = token_packing.pack(token)
    assert len(packed) <= len(token) * 3 // 4 + 8
    assert token_packing.unpack(packed)[0] == token


@given(WORDS)
def test_whatever_it_is_comes_back(token: bytes) -> None:
    """Other spellings of base64, other numbers of parts, and no base64 at all."""
    assert token_packing.unpack(token_packing.pack(token))[0] == token


@given(st.lists(st.binary(max_size=80), min_size=3, max_size=3))
def test_every_jws_comes_back(parts: list[bytes]) -> None:
    """Whatever its parts hold; empty ones too."""
    token = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    assert token_packing.unpack(token_packing.pack(token))[0] == token


def test_a_part_that_is_too_long_for_its_size() -> None:
    """It is kept as it is."""
    token = b"e30." + b"A" * 100_000 + b".e30"
    assert token_packing.unpack(token_packing.pack(token))[0] == token


@given(st.binary(max_size=3))
def test_what_is_too_short(packed: bytes) -> None:
    """It is told, and never a token."""
    with pytest.raises(struct.error):
        token_packing.unpack(packed)

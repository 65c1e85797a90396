"""Encoders of bodies, and how many of them there may be."""

import pytest

from gateway.relay.compression import encoders
from gateway.relay.compression.encoders import MAX_ENCODERS, encoder_of
from tests.wire.test_compression import DECODERS


@pytest.mark.parametrize("coding", DECODERS)
def test_pieces_and_flushes(coding: str) -> None:
    encoder = encoder_of(coding)
    assert encoder is not None
    out = b""
    for piece in (b"a" * 1000, b"", b"b"):
        out += encoder.encode(piece) + encoder.flush()
    assert DECODERS[coding](out + encoder.finish()) == b"a" * 1000 + b"b"


@pytest.mark.parametrize("coding", DECODERS)
def test_nothing_is_a_whole_body(coding: str) -> None:
    encoder = encoder_of(coding)
    assert encoder is not None
    assert DECODERS[coding](encoder.finish()) == b""


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further answer stays as it is, until another one has ended."""
    monkeypatch.setattr(encoders, "MAX_ENCODERS", 2)
    assert MAX_ENCODERS > 2
    first, second = encoder_of("gzip"), encoder_of("gzip")
    assert second is not None
    assert encoder_of("gzip") is None
    del first
    assert encoder_of("gzip") is not None

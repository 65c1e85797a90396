"""Heads in the bytes that an upstream sends (`gateway.relay.upstream.response_heads`)."""

import pytest

from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.response_head import ResponseReader
from gateway.relay.upstream.response_heads import ResponseHeads

HEAD = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n"


def heads(*, lenient: bool = False, max_size: int = 100) -> ResponseHeads:
    return ResponseHeads(ResponseReader(own_cookies=frozenset(), lenient=lenient), max_size)


def test_a_head_in_pieces() -> None:
    """In whatever pieces it comes; the bytes behind it are the body's."""
    reader = heads()
    for at in range(len(HEAD) - 1):
        assert reader.feed(HEAD[at : at + 1]) is None
        assert reader.has_begun
    found = reader.feed(HEAD[-1:] + b"body")
    assert found is not None
    assert (found[0].status, found[0].passed, found[1]) == (200, [b"X-A: 1\r\n"], b"body")
    assert not reader.has_begun


@pytest.mark.parametrize("data", [b"<html>", b"HTTP/2.0 200 OK\r\n", b"\r\n\r\n"])
def test_what_cannot_become_a_head_is_refused_at_once(data: bytes) -> None:
    """So a client does not wait for the end of it."""
    with pytest.raises(Malformed):
        heads().feed(data)


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_has_a_limit(end: bytes) -> None:
    with pytest.raises(Malformed):
        heads(max_size=50).feed(b"HTTP/1.1 200 OK\r\nX-A: " + b"1" * 50 + end)


def test_only_a_lenient_upstream_ends_lines_without_a_return() -> None:
    """wire-rules.md#A21: also where the pieces meet within a line's end."""
    reader = heads(lenient=True)
    assert reader.feed(b"HTTP/1.1 200 OK\r") is None
    found = reader.feed(b"\nX-A: 1\n\nbody")
    assert found is not None
    assert (found[0].passed, found[1]) == ([b"X-A: 1\r\n"], b"body")

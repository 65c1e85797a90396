"""How answers are framed for a client (`gateway.relay.answers.framing`)."""

import pytest

from gateway.relay.answers import framing
from gateway.relay.answers.framing import Framing
from gateway.relay.http1.response_head import ResponseHead


def choose(
    status: int = 200, length: int | None = None, *, with_body: bool = True, old: bool = False
) -> tuple[Framing, bytes]:
    response = ResponseHead(b"1", status, b" ")
    response.length = length
    return framing.choose(response, with_body=with_body, old=old)


def test_a_length_passes() -> None:
    """In the answer to a HEAD as well, where no body follows it."""
    expected = (Framing.LENGTH, b"Content-Length: 5\r\n")
    assert choose(length=5) == choose(length=5, with_body=False) == expected
    assert choose(length=5, old=True) == expected


def test_a_body_without_a_length_is_chunked() -> None:
    """But HTTP/1.0 knows no chunks: there the end of the connection ends the body."""
    assert choose() == (Framing.CHUNKED, b"Transfer-Encoding: chunked\r\n")
    assert choose(old=True) == (Framing.CLOSE, b"")


@pytest.mark.parametrize("status", [200, 304])
def test_without_a_body_nothing_frames_it(status: int) -> None:
    assert choose(status, with_body=False) == (Framing.LENGTH, b"")


def test_a_204_has_no_length() -> None:
    """RFC 9110 §8.6."""
    assert choose(204, 0, with_body=False) == (Framing.LENGTH, b"")


def test_a_205_has_no_body() -> None:
    """RFC 9110 §15.3.6: whatever the upstream sends."""
    assert choose(205, 5) == choose(205) == (Framing.DROPPED, b"Content-Length: 0\r\n")

"""A request's body, framed for the upstream (`gateway.relay.exchange.request_body`)."""

import pytest

from gateway.core.http import refusals
from gateway.relay.exchange.request_body import RequestBody
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused


def body(*, length: int | None = None, limit: int = 100) -> RequestBody:
    """A body of this length in bytes, or one in chunks."""
    head = RequestHead(b"POST", b"/", b"1")
    head.length, head.chunked = length or 0, length is None
    return RequestBody(head, limit=limit, may_trail=lambda name: True, secret=b"the token")


def test_a_sized_body_passes_as_it_comes() -> None:
    """What stands behind it begins another request."""
    upload = body(length=5)
    assert upload.frame(b"he") == [b"he"]
    assert not upload.done
    assert upload.frame(b"lloGET /") == [b"llo"]
    assert (upload.done, upload.rest, upload.size) == (True, b"GET /", 5)


def test_a_chunked_body_is_chunked_anew() -> None:
    """The client's extensions and sizes stay on its side; the last chunk ends the body."""
    upload = body()
    framed = b"".join(upload.frame(b"2;a=b\r\nhe\r\n3\r\nllo\r\n"))
    framed += b"".join(upload.frame(b"0\r\n\r\nGET /"))
    assert framed == b"5\r\nhello\r\n0\r\n\r\n"
    assert (upload.done, upload.rest, upload.size) == (True, b"GET /", 5)


def test_a_trailer_with_the_token_does_not_pass() -> None:
    upload = body()
    framed = b"".join(upload.frame(b"0\r\nX-A: 1\r\nX-B: the token\r\n\r\n"))
    assert framed == b"0\r\nX-A: 1\r\n\r\n"


@pytest.mark.parametrize("length", [6, None])
def test_a_body_over_the_limit_is_refused(length: int | None) -> None:
    """As soon as so much of it has come."""
    upload = body(length=length, limit=5)
    with pytest.raises(Refused) as refused:
        upload.frame(b"secret" if length else b"6\r\nsecret\r\n")
    assert refused.value.refusal is refusals.BODY_TOO_LARGE


def test_a_malformed_chunk_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        body().frame(b"no number\r\n")
    assert refused.value.refusal is refusals.MALFORMED

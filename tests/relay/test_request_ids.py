"""Names of requests, and of their traces (`gateway.relay.http1.request_ids`)."""

from random import Random

import pytest

from gateway.relay.http1 import request_ids
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.request_ids import RequestIds

ID = b"0123456789abcdef" * 2


def head(**fields: object) -> RequestHead:
    found = RequestHead(b"GET", b"/", b"1")
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def test_an_id_is_128_bits() -> None:
    ids = RequestIds(Random(1))
    first, second = ids.new(), ids.new()
    assert len(first) == len(second) == 32
    assert int(first, 16) != int(second, 16)


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        (b"abc-1", True),
        (b"", False),
        (b"a b", False),
        (b'a"', False),
        (b"x" * 1000, False),
        (b"id-lk_" + b"k" * 49, False),
    ],
)
def test_an_id_of_a_trusted_peer_is_a_word(value: bytes, *, is_taken: bool) -> None:
    """It stands in logs and in answers, so it may hold nothing else."""
    given = request_ids.given_id(head(forwarding=((b"x-request-id", value),)))
    assert given == (value if is_taken else None)


def test_a_trace_goes_on_with_a_span_of_the_gateways_own() -> None:
    """W3C Trace Context §3.2: the trace and its flags stay."""
    line = request_ids.traceparent(head(trace=(b"a" * 32, b"00")), ID)
    assert line == b"traceparent: 00-%b-%b-00\r\n" % (b"a" * 32, ID[:16])


def test_a_new_trace_has_the_requests_name() -> None:
    """So one name finds logs and traces."""
    assert request_ids.traceparent(head(), ID) == b"traceparent: 00-%b-%b-01\r\n" % (ID, ID[:16])

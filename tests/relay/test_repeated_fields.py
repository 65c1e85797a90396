"""Fields that a client sends again mean what they would mean if they were read again."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.sessions.keys import new_key
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.key_fields import KeyFields
from gateway.relay.http1.repeated_fields import _MAX_BYTES, RepeatedFields
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Refused

KEY, OTHER_KEY = (new_key(bytes([number]) * 32).reveal().encode() for number in (1, 2))

READER = RequestReader(
    instance="0011223344556677",
    identity=["X-User-Id"],
    max_fields=8,
    key_fields=KeyFields(schemes=("Bearer",), fields=("X-Key",)),
    query_keys=("key",),
)

FIELDS = [
    (),
    (b"Accept: */*", b"X-A: 1"),
    (b"Accept: */*", b"X-A: 2"),
    (b"Authorization: Bearer " + KEY,),
    (b"Authorization: Bearer " + OTHER_KEY,),
    (b"Cookie: a=1; s=" + KEY + b"; t=" + OTHER_KEY, b"X-Key: " + OTHER_KEY),
    (b"X-Forwarded-For: 192.0.2.1", b"X-User-Id: root", b"X-Stray: " + KEY),
    (b"Connection: upgrade, x-a", b"Upgrade: websocket", b"X-A: 1"),
    (b"Sec-WebSocket-Protocol: bearer, " + KEY,),
    (b"Content-Length: 5", b"Expect: 100-continue"),
    (b"Transfer-Encoding: chunked", b"TE: trailers"),
    (b"Max-Forwards: 3", b"Via: 1.1 latchkey (0011223344556677)"),
]
LINES = [b"GET / HTTP/1.1", b"OPTIONS /x HTTP/1.1", b"GET /y?a HTTP/1.0", b"GET http://b/ HTTP/1.1"]
LINES.append(b"GET /?key=" + KEY + b" HTTP/1.1")
HEADS = [
    b"\r\n".join([line, b"Host: a", *fields]) + HEAD_END for line, fields in product(LINES, FIELDS)
]


def read(data: bytes, repeated: RepeatedFields | None = None) -> dict[str, object] | Refused:
    """All that is known of a head."""
    try:
        head = READER.read(data, len(data) - len(HEAD_END), repeated)
    except Refused as refused:
        return refused
    return {name: getattr(head, name) for name in RequestHead.__slots__}


def same(found: object, wanted: object) -> bool:
    if isinstance(found, Refused) and isinstance(wanted, Refused):
        return found.refusal is wanted.refusal
    return found == wanted


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HEADS), st.integers(1, 4)), max_size=12))
def test_they_mean_what_they_say(heads: list[tuple[bytes, int]]) -> None:
    """Whatever came before: other fields, or the same ones with another method or version."""
    repeated = RepeatedFields()
    for data, times in heads:
        for _ in range(times):
            assert same(read(data, repeated), read(data)), data


def test_each_head_has_lines_of_its_own() -> None:
    """What one request's lines become is nothing to the next one."""
    repeated = RepeatedFields()
    data = HEADS[1]
    for _ in range(4):
        head = READER.read(data, len(data) - len(HEAD_END), repeated)
        assert head.passed == [b"Accept: */*\r\n", b"X-A: 1\r\n"]
        head.passed.clear()


@pytest.mark.parametrize(("size", "times"), [(10, 2), (_MAX_BYTES, 5)])
def test_they_are_read_twice_and_no_more(size: int, times: int) -> None:
    """Long ones are read each time: an open connection holds little."""
    reads: list[bytes] = []
    repeated = RepeatedFields()
    for _ in range(5):
        text = b"X: " + b"x" * size + b"\r\n"
        head = RequestHead(b"GET", b"/", b"1")
        repeated.read_into(head, text, lambda _head, text: reads.append(text))
    assert len(reads) == times

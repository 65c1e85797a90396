"""The grammar of heads, with llhttp as an oracle: what we accept, it accepts, and reads alike."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.relay.http1 import grammar
from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.grammar import HEAD_END, Malformed
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Refused

READER = RequestReader(instance="0011223344556677", identity=["X-User-Id"], max_fields=100)


class Oracle:
    """Collects what llhttp reads."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.done = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


# Bytes that matter to a parser come more often than chance would have them.
_spice = st.sampled_from([b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\x00", b",", b";", b"\xff"])
_names = st.sampled_from(
    [b"Host", b"Accept", b"X-A", b"Content-Length", b"Transfer-Encoding", b"X A"]
)
_values = st.one_of(
    st.sampled_from(
        [b"a", b"chunked", b"gzip, chunked", b"5", b"+5", b"0x5", b"a.example:80", b""]
    ),
    st.binary(max_size=8),
)
_lines = st.builds(lambda n, v: n + b": " + v + b"\r\n", _names, _values)


def _spiced(start: bytes, lines: list[bytes], spice: bytes, at: int) -> bytes:
    head = start + b"".join(lines) + b"\r\n"
    return head[: at % len(head)] + spice + head[at % len(head) :]


_heads = st.builds(
    _spiced,
    st.sampled_from([b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"GET  / HTTP/1.1\r\n"]),
    st.lists(_lines, max_size=5),
    st.one_of(st.just(b""), _spice),
    st.integers(0, 200),
)


@settings(max_examples=600)
@given(_heads)
def test_what_the_relay_accepts_llhttp_reads_alike(data: bytes) -> None:
    """No head passes that the most used parser of the field refuses or reads otherwise."""
    end = data.find(HEAD_END)
    if end < 0 or data.startswith(b"\r\n"):
        return
    try:
        head = READER.read(data, end)
    except Refused:
        return
    oracle = Oracle()
    parser = httptools.HttpRequestParser(oracle)
    # Bytes above 127 in a query go on in escapes; llhttp takes no others.
    method, _, version = data[: end + 4].split(b" ", 2)
    parser.feed_data(b" ".join((method, head.target, version)))
    assert parser.get_method() == head.method
    assert oracle.target == head.target
    _, _, _, start = grammar.request_line(data)
    ours = [
        (name, grammar.value(line, name)) for line, name in grammar.fields(data, start, end + 2)
    ]
    assert ours == oracle.fields


@settings(max_examples=300)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(1, 300), max_size=12),
    st.booleans(),
)
def test_a_chunked_body_in_any_pieces(chunks: list[bytes], cuts: list[int], trailer: bool) -> None:
    """RFC 9112 §7.1: the pieces in which it arrives do not matter; what follows is kept apart."""
    encoded = b"".join(b"%020x;ext=1\r\n%b\r\n" % (len(c), c) for c in chunks)
    encoded += b"0\r\n" + (b"X-T: 1\r\n" if trailer else b"") + b"\r\n"
    data, body, got, at = encoded + b"GET /next", ChunkedBody(), b"", 0
    for cut in [*sorted(cut % len(data) for cut in cuts), len(data)]:
        if body.done or cut == at:
            continue
        got += b"".join(body.feed(data[at:cut]))
        at = cut
    assert got == b"".join(chunks)
    assert body.done
    assert body.rest + data[at:] == b"GET /next"
    assert [name for _, name in body.trailers] == ([b"X-T"] if trailer else [])


@pytest.mark.parametrize(
    "data",
    [
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"5 5\r\nhello\r\n",
        b"-5\r\n",
        b"11111111111111111\r\n",
        b"00000" + b"1" * 16 + b"\r\n",
        b"0" * 5000 + b"\r\n",
        b"\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"g\r\n",
        b"5;" + b"x" * 65536 + b"\r\nhello\r\n",
        b"0\r\nX Y: 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"5 ;\x00\r\n",
    ],
)
def test_a_bad_chunk_is_refused_however_it_arrives(data: bytes) -> None:
    """wire-rules.md#A4: in one piece or byte by byte, nothing is guessed."""
    with pytest.raises(Malformed):
        ChunkedBody().feed(data + b"GET / HTTP/1.1\r\n")
    body = ChunkedBody()
    with pytest.raises(Malformed):
        _feed_bytewise(body, data + b"GET / HTTP/1.1\r\n")


def _feed_bytewise(body: ChunkedBody, data: bytes) -> None:
    for byte in data:
        body.feed(bytes((byte,)))


@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"X: y"])), st.lists(st.integers(1, 5)))
def test_line_ends_of_a_lenient_head_in_pieces(parts: list[bytes], sizes: list[int]) -> None:
    """wire-rules.md#A21: the pieces in which a head comes do not matter."""
    head = b"HTTP/1.1 200 OK\n" + b"".join(parts)
    read, rest = b"", head
    for size in (*sizes, len(head)):
        if HEAD_END in read:
            break
        read, rest = grammar.with_crlf(read + rest[:size], len(read)), rest[size:]
    assert read + rest == grammar.with_crlf(head)

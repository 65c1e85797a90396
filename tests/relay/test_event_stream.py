"""The short way of event streams (`gateway.relay.exchange.event_stream`), beside the long one."""

import asyncio
from collections.abc import Iterator
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.exchange.event_stream import EventStream
from gateway.relay.http1.bodies import ChunkedBody, chunk, line_of_lone_chunk
from gateway.relay.http1.grammar import Malformed
from tests.relay.test_delivery import Transport

NOW, IDLE = 100.0, 50.0

# How a chunk's line may be written; the first one is the gateway's own way.
LINES = [b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"%x ;ext=secret\r\n"]


class LongWay:
    """An upstream's connection that reads a chunked answer as any other."""

    def __init__(self) -> None:
        self.transport, self.writer = Transport(), Transport()
        self.deadline = self.quiet = 0.0
        self.body, self.size, self.reads = ChunkedBody(), 0, 0

    def may_be_quiet(self, seconds: float) -> None:
        self.quiet = seconds

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        pieces = self.body.feed(data)
        self.size += sum(map(len, pieces))
        out = b"".join(chunk(pieces))
        if out:
            self.writer.write(out)


def stream_over(way: LongWay) -> EventStream:
    upstream: Any = way
    flushes: Any = SimpleNamespace(flush=lambda: None)
    clock: Any = SimpleNamespace(now=NOW)
    writer: Any = way.writer
    return EventStream(
        way, way.body, upstream, writer, idle_timeout=IDLE, clock=clock, write_batch=flushes
    )


def passed(reader: asyncio.Protocol | LongWay, way: LongWay, reads: list[bytes]) -> list[Any]:
    """What the client gets for each read, and how much of the body has come by then."""
    seen: list[Any] = []
    for data in reads:
        way.writer.written.clear()
        try:
            reader.data_received(data)
        except Malformed:
            return [*seen, Malformed]
        seen.append((list(way.writer.written), way.size))
        if way.body.done:
            break
    return seen


def assert_same(reads: list[bytes]) -> LongWay:
    long, short = LongWay(), LongWay()
    assert passed(stream_over(short), short, reads) == passed(long, long, reads)
    return short


def cut(data: bytes, *places: int) -> Iterator[bytes]:
    """The bytes in reads that end at these places."""
    return (data[a:b] for a, b in pairwise(sorted({0, *places, len(data)})))


# The data of chunks, which may look like chunks.
DATA = st.binary(min_size=1, max_size=300) | st.lists(
    st.sampled_from([b"5\r\nhello\r\n", b"A\r\n0123456789\r\n", b"\r\n", b"0\r\n\r\n"]), min_size=1
).map(b"".join)


@given(
    st.lists(st.tuples(st.sampled_from(LINES), DATA), max_size=8),
    st.lists(st.integers(0, 1000), max_size=4),
    st.sampled_from([b"", b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\nmore", b"5\r\nabc", b"no chunk\r\n"]),
)
def test_both_ways_write_the_same(
    chunks: list[tuple[bytes, bytes]], places: list[int], end: bytes
) -> None:
    """Whatever lines the chunks have, and wherever a read ends."""
    coded = [line % len(data) + data + b"\r\n" for line, data in chunks]
    assert_same([*coded, end])
    whole = b"".join(coded) + end
    assert_same(list(cut(whole, *(place % (len(whole) + 1) for place in places))))


def test_both_ways_write_the_same_for_all_reads() -> None:
    """Of three chunks and the end, cut at any two places."""
    coded = b"5\r\nhe\r\n!\r\n2;a=b\r\n\r\n\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"
    for first, second in combinations(range(len(coded)), 2):
        assert_same(list(cut(coded, first, second)))


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 4095, 4096, 65535, 65536, 2**20])
def test_a_lone_chunk_passes_as_it_came(size: int) -> None:
    """It puts the stream's end off, and counts."""
    data = b"".join(chunk([b"x" * size]))
    short = assert_same([data, data])
    assert (short.reads, short.size, short.writer.written) == (0, 2 * size, [data])
    assert (short.deadline, short.quiet) == (NOW + IDLE, IDLE)


@pytest.mark.parametrize(
    "data",
    [
        b"ff\r\n" + b"x" * 256 + b"\r\n",  # as long as a chunk of three digits
        b"f\r\n" + b"x" * 16 + b"\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"5\r\nhello\r\r",
        b"5\r\nhello",
        b"0\r\n\r\n",
        b"5;\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0a\r\n0123456789\r\n",
        b"\r\n",
    ],
)
def test_anything_else_goes_the_long_way(data: bytes) -> None:
    """What is no lone chunk, or has another form, is read by the rules of all chunks."""
    assert assert_same([data]).reads == 1


def test_a_size_in_capitals_is_written_in_small_letters() -> None:
    """As the long way writes it; so it may pass by the short one."""
    short = assert_same([b"A\r\n0123456789\r\n", b"1A\r\n%b\r\n" % bytes(26)])
    assert (short.reads, short.size) == (0, 36)
    assert short.writer.written == [b"1a\r\n%b\r\n" % bytes(26)]


def test_a_part_of_a_chunk_is_never_a_lone_one() -> None:
    """Its data may look like one."""
    inner = b"a\r\n0123456789\r\n"
    outer = b"".join(chunk([inner + inner.upper()]))
    short = assert_same([outer[:4], inner, inner.upper(), b"\r\n", inner])
    assert short.reads == 4


@given(st.integers(0, 2**21))
def test_the_line_of_a_length_is_exact(length: int) -> None:
    """The chunk of that line has that length."""
    line = line_of_lone_chunk(length)
    if line:
        assert len(line) + int(line, 16) + 2 == length
        assert line == b"%x\r\n" % int(line, 16)

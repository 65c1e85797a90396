"""Batched writes (`gateway.relay.loop.write_batch`)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.relay.loop.write_batch import WriteBatch

LARGE = 256 * 1024


@dataclass
class Line:
    """A transport, and the socket at its other end."""

    transport: asyncio.Transport
    far: socket.socket

    def read(self) -> bytes:
        """What has come."""
        try:
            return self.far.recv(2 * LARGE)
        except BlockingIOError:
            return b""


@pytest.fixture
async def lines() -> AsyncIterator[list[Line]]:
    opened = []
    for _ in range(2):
        near, far = socket.socketpair()
        far.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=near
        )
        opened.append(Line(transport, far))
    yield opened
    for line in opened:
        line.transport.abort()
        line.far.close()
    await asyncio.sleep(0)


@pytest.fixture
async def write_batch() -> WriteBatch:
    return WriteBatch(asyncio.get_running_loop())


async def turn() -> None:
    await asyncio.sleep(0)


async def test_together_at_the_end_of_the_turn(lines: list[Line], write_batch: WriteBatch) -> None:
    """In the order in which they were written, and not before."""
    one, other = lines
    write_batch.write(one.transport, b"a")
    write_batch.write(other.transport, b"b")
    write_batch.write(one.transport, b"c")
    assert one.read() == other.read() == b""
    await turn()
    assert (one.read(), other.read()) == (b"ac", b"b")
    write_batch.write(one.transport, b"d")
    await turn()
    assert one.read() == b"d"


async def test_what_is_large_leaves_at_once(lines: list[Line], write_batch: WriteBatch) -> None:
    """With all that was written before it. So it is known at once that a peer is blocked."""
    one, other = lines
    write_batch.write(one.transport, b"a")
    write_batch.write(other.transport, bytes(LARGE))
    assert one.read() == b"a"
    assert other.transport.get_write_buffer_size() > 0


async def test_what_waits_is_bounded(lines: list[Line], write_batch: WriteBatch) -> None:
    """Hundreds of refusals may be written in one turn."""
    one, _ = lines
    for _ in range(300):
        write_batch.write(one.transport, b"a")
    assert len(one.read()) > 200, "most have left"


async def test_a_close_comes_behind_a_flush(lines: list[Line], write_batch: WriteBatch) -> None:
    one, other = lines
    write_batch.write(one.transport, b"a")
    write_batch.flush()
    one.transport.close()
    await turn()
    assert one.read() == b"a"
    assert other.read() == b""


async def test_what_was_given_up_is_not_written(lines: list[Line], write_batch: WriteBatch) -> None:
    """And takes nothing of the others with it."""
    one, other = lines
    write_batch.write(one.transport, b"a")
    write_batch.write(other.transport, b"b")
    one.transport.abort()
    await turn()
    assert (one.read(), other.read()) == (b"", b"b")

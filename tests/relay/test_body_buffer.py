"""Bodies that are kept as a whole (`gateway.relay.exchange.body_buffer`)."""

import asyncio
import errno
import tempfile
from typing import Any

import pytest

from gateway.relay.exchange.body_buffer import BodyBuffer, BufferRoom

MEMORY = 200_000  # bytes
DISK = 600_000


async def kept(buffer: BodyBuffer, *pieces: bytes) -> bytes:
    """The body, after all these pieces were added."""
    loop = asyncio.get_running_loop()
    for piece in pieces:
        added = loop.create_future()
        buffer.add([piece], lambda done=added: done.set_result(None))  # type: ignore[misc]
        if buffer.is_busy:
            await added
    return await taken(buffer)


async def taken(buffer: BodyBuffer) -> bytes:
    body = b""
    while True:
        ready = asyncio.get_running_loop().create_future()
        piece = buffer.take(lambda: ready.set_result(None))  # noqa: B023
        if piece is None:
            await ready
        elif piece:
            body += piece
        else:
            return body


def made(room: BufferRoom, max_memory: int, failed: Any = None, *, client: str = "") -> BodyBuffer:
    loop = asyncio.get_running_loop()
    return BodyBuffer(room, loop, client=client, max_memory=max_memory, failed=failed)


@pytest.mark.parametrize("max_memory", [0, 10, 70_000, MEMORY])
@pytest.mark.parametrize("memory", [0, 1000, MEMORY])
@pytest.mark.parametrize("sizes", [(), (1,), (11,), (65536,), (5, 65536, 9), (9, 70_000, 80_000)])
async def test_a_body_is_handed_out_as_it_came(
    max_memory: int, memory: int, sizes: tuple[int, ...]
) -> None:
    """From memory, from a file, or from both; and then it holds no memory."""
    room = BufferRoom(memory, DISK, 50)
    buffer = made(room, max_memory)
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert await kept(buffer, *pieces) == b"".join(pieces)
    assert room.left == memory
    buffer.close()


async def test_memory_is_given_back_by_a_body_that_is_forgotten() -> None:
    """Also while its file is being written, which is closed afterwards."""
    room = BufferRoom(MEMORY, DISK, 50)
    for max_memory in (MEMORY, 0):
        buffer = made(room, max_memory)
        buffer.add([bytes(100_000)], lambda: pytest.fail("it was forgotten"))
        assert room.left == MEMORY - 100_000
        buffer.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not buffer.is_busy:
                break
        assert (room.left, buffer._file) == (MEMORY, None)


async def test_without_memory_for_all_bodies_each_goes_into_its_file(tmp_path: Any) -> None:
    """However small it is."""
    room = BufferRoom(10, DISK, 50)
    first, second = made(room, 1000), made(room, 1000)
    assert not first.is_busy
    first.add([b"0123456789"], lambda: None)
    assert not first.is_busy
    second.add([b"a"], lambda: None)
    assert second.is_busy
    while second.is_busy:
        await asyncio.sleep(0.01)
    assert room.left == 0
    assert await taken(second) == b"a"
    first.close()
    second.close()


async def test_no_client_takes_all_of_the_disk() -> None:
    """wire-rules.md#D12: one may hold as much as is left, until its files are closed."""
    room = BufferRoom(0, DISK, 50)
    full: list[OSError] = []

    async def write(client: str, size: int) -> BodyBuffer:
        buffer = made(room, 0, full.append, client=client)
        buffer.add([bytes(size)], lambda: None)
        while buffer.is_busy:
            await asyncio.sleep(0.01)
        return buffer

    first = await write("a", DISK // 2)
    assert not full
    second = await write("a", 1)
    assert (
        str(full[0]) == f"[Errno {errno.EDQUOT}] the client's share of limits.buffered_disk is full"
    )
    second.close()
    third = await write("b", DISK // 4)
    assert len(full) == 1
    assert await taken(first) == bytes(DISK // 2)
    first.close()
    fourth, fifth = await write("b", DISK // 8), await write("", DISK * 5 // 8)
    assert len(full) == 1
    for buffer in (third, fourth, fifth):
        buffer.close()
    (await write("a", DISK // 2)).close()
    assert len(full) == 1


async def test_a_file_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    failures: asyncio.Queue[OSError] = asyncio.Queue()
    buffer = made(BufferRoom(0, DISK, 50), 0, failures.put_nowait)
    buffer.add([b"a"], lambda: pytest.fail("it cannot be"))
    assert isinstance(await failures.get(), FileNotFoundError)
    buffer.close()

"""Bodies of requests that are kept as a whole, in memory or in a file.

The file has no name, so it ends with the request whatever happens. It is written and read in
threads: a disk that is slow holds up its own request alone.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO

from gateway.core.http.shares import is_beyond

# How much is written to a file, or read from it, at a time (bytes).
_PIECE_BYTES = 65536

# How many files are written or read at the same time.
_THREADS = 4


class NoDiskLeft(OSError):
    """The files of a client, or of all clients, are too large."""


class BufferRoom:
    """What the buffers of one worker share: memory, disk, and threads for their files."""

    def __init__(self, memory: int, disk: int, share: int) -> None:
        """The room for all bodies together.

        memory: bytes
        disk: bytes in files
        share: how much of the disk one client may hold (percent; see `shares.py`)
        """
        self.left = memory
        self._disk_left = disk
        self._share = share
        self._on_disk: Counter[str] = Counter()  # bytes by client
        self._threads: ThreadPoolExecutor | None = None

    def take_disk(self, client: str, size: int) -> bool:
        """Count bytes in a file of this client, "" for one without a share. False: too many."""
        self._disk_left -= size
        self._on_disk[client] += size
        held, free = self._on_disk[client], self._disk_left
        return free >= 0 and not (client and is_beyond(held, free, self._share))

    def give_disk_back(self, client: str, size: int) -> None:
        """Count bytes of a file that is closed."""
        self._disk_left += size
        self._on_disk[client] -= size
        if not self._on_disk[client]:
            del self._on_disk[client]

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Made for the first file."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="buffer")
        return self._threads


class BodyBuffer:
    """Takes one body in pieces, and then hands it out in pieces."""

    __slots__ = (
        "_client",
        "_failed",
        "_file",
        "_held",
        "_is_closed",
        "_loop",
        "_max_memory",
        "_on_disk",
        "_read_at",
        "_ready",
        "_room",
        "_spills",
        "_then",
        "_written",
        "is_busy",
    )

    def __init__(
        self,
        room: BufferRoom,
        loop: asyncio.AbstractEventLoop,
        *,
        client: str,
        max_memory: int,
        failed: Callable[[OSError], None],
    ) -> None:
        """Begin an empty body.

        client: whose body it is; "" if that cannot be told
        max_memory: a larger body goes into a file (bytes)
        failed: is called if the file cannot be written or read
        """
        self.is_busy = False  # the file is being written or read
        self._room = room
        self._client = client
        self._loop = loop
        self._max_memory = max_memory
        self._failed: Callable[[OSError], None] | None = failed
        self._held = bytearray()  # the body, or what comes behind the file
        self._file: IO[bytes] | None = None
        self._written = 0  # bytes in the file
        self._on_disk = 0  # those of them that the room counts
        self._read_at = 0  # how many of them have been read
        self._ready = b""  # a piece that has been read
        self._spills = False  # it goes into a file
        self._is_closed = False
        self._then: Callable[[], None] | None = None  # is called when the file is done with

    def add(self, pieces: Sequence[bytes], then: Callable[[], None]) -> None:
        """Take a part of the body.

        It may be busy then, writing to its file, and calls `then` afterwards. It takes more
        meanwhile, but no more should be read for it.
        """
        for piece in pieces:
            self._held += piece
            self._room.left -= len(piece)
        is_full = self._room.left < 0
        self._spills = self._spills or is_full or len(self._held) > self._max_memory
        if self._spills and not self.is_busy and (is_full or len(self._held) >= _PIECE_BYTES):
            self._run(partial(self._write, bytes(self._held)), then)

    def finish(self, then: Callable[[], None]) -> None:
        """Call `then` when pieces can be taken: the whole body has come."""
        if self.is_busy:
            self._then = then
        else:
            then()

    def take(self, then: Callable[[], None]) -> bytes | None:
        """Hand out the next piece; an empty one at the end of the body.

        None if it has to be read from the file first. Then `then` is called when it is there.
        """
        if self.is_busy:
            return None
        if not self._ready and self._read_at < self._written:
            self._run(self._read, then)
            return None
        if self._ready:
            piece, self._ready = self._ready, b""
            return piece
        piece = bytes(self._held[:_PIECE_BYTES])
        self._drop(len(piece))
        return piece

    def close(self) -> None:
        """Forget the body."""
        self._is_closed = True
        self._failed = self._then = None  # a cycle with the request would wait for the collector
        self._ready = b""
        self._drop(len(self._held))
        if self._file is not None and not self.is_busy:
            self._room.threads.submit(self._file.close)  # to free a large file takes time
            self._file = None
            self._room.give_disk_back(self._client, self._on_disk)

    def _drop(self, size: int) -> None:
        """Forget bytes that have been written, or handed out."""
        del self._held[:size]
        self._room.left += size

    # In threads, one call at a time.

    def _write(self, data: bytes) -> int:
        """Write behind what is in the file. Returns how much has been written."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (see `close`)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self._written += len(data)
        return len(data)

    def _read(self) -> int:
        """Read the next piece from the file. Nothing has been written then."""
        assert self._file is not None
        self._ready = os.pread(self._file.fileno(), _PIECE_BYTES, self._read_at)
        if not self._ready:
            raise OSError(errno.EIO, "the file of a body is shorter than it was")
        self._read_at += len(self._ready)
        return 0

    def _run(self, work: Callable[[], int], then: Callable[[], None]) -> None:
        """Work on the file, and call `then`, or what has taken its place."""
        self.is_busy, self._then = True, then
        self._loop.run_in_executor(self._room.threads, work).add_done_callback(self._done)

    def _done(self, work: asyncio.Future[int]) -> None:
        self.is_busy = False
        if self._is_closed:
            self.close()
            return
        try:
            self._count(work.result())
        except OSError as error:
            assert self._failed is not None
            self._failed(error)
        else:
            assert self._then is not None
            self._then()

    def _count(self, written: int) -> None:
        """Count bytes that are in the file now. Raises `NoDiskLeft` if they are too many."""
        self._drop(written)
        self._on_disk += written
        if written and not self._room.take_disk(self._client, written):
            raise NoDiskLeft(errno.EDQUOT, "the client's share of limits.buffered_disk is full")

"""Reading the files that config.yaml names, with a limit on their size."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

# Far more than a key, a users file or a configuration needs; a device may never end.
MAX_FILE_BYTES = 16 * 2**20


# An answer is written as a whole, and waits in memory for each client that reads slowly.
MAX_ANSWER_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file with a fixed answer, and what it holds once that has been read."""

    path: str
    content: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return self.path


# A file as it was read: device, inode, time of its last change (ns, also of its mode and owner, and
# when a copy has set the time of its contents) and size (bytes).
Mark = tuple[int, int, int, int]

_NO_FILE: Mark = (0, 0, 0, 0)

# The regular files that this process has read for its configuration. Each configuration is read in
# a process of its own (`load_isolated.py`).
seen: dict[str, Mark] = {}


def mark(path: str | Path) -> Mark:
    """A file as it is now, also behind symbolic links; zeros if there is none."""
    try:
        return _mark(os.stat(path))
    except OSError:
        return _NO_FILE


def _mark(status: os.stat_result) -> Mark:
    return (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size)


def note(path: Path) -> None:
    """Note that the configuration depends on a file that is read elsewhere."""
    seen[str(path.absolute())] = mark(path)


def read_file(path: Path) -> bytes:
    """Read a regular file. Raises `OSError`, also for a pipe or a device."""
    seen[str(path.absolute())] = _NO_FILE
    with open(path, "rb", opener=_open_without_blocking) as file:
        seen[str(path.absolute())] = _mark(os.fstat(file.fileno()))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_stream(path: Path) -> bytes:
    """Read a file, or a pipe until its end, which may block. Raises `OSError`."""
    seen[str(path.absolute())] = _NO_FILE
    with path.open("rb") as file:
        seen[str(path.absolute())] = _mark(os.fstat(file.fileno()))
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def bounded(data: bytes, path: Path) -> bytes:
    """Return `data` if it is at most `MAX_FILE_BYTES` long. Raises `OSError`."""
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES} bytes", str(path))
    return data

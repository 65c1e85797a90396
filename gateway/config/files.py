"""Reading the files that config.yaml names, with a limit on their size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# Far more than a key, a users file or a configuration needs; a device may never end.
MAX_FILE_BYTES = 16 * 2**20


def read_file(path: Path) -> bytes:
    """Read a regular file. Raises `OSError`, also for a pipe or a device."""
    with open(path, "rb", opener=_open_without_blocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_stream(path: Path) -> bytes:
    """Read a file, or a pipe until its end, which may block. Raises `OSError`."""
    with path.open("rb") as file:
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def bounded(data: bytes, path: Path) -> bytes:
    """Return `data` if it is at most `MAX_FILE_BYTES` long. Raises `OSError`."""
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES} bytes", str(path))
    return data

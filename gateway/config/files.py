"""Reading the files that config.yaml names: whole, of a bounded size, and nothing that blocks."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# Far more than any key, secret, list of users or configuration; a device may never end.
MAX_FILE_BYTES = 16 * 2**20


def read_file(path: Path) -> bytes:
    """The content of a regular file. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def read_stream(path: Path) -> bytes:
    """The content of a file or of a pipe, which may be waited for. Raises `OSError`."""
    with path.open("rb") as file:
        return bounded(file.read(MAX_FILE_BYTES + 1), path)


def bounded(data: bytes, path: Path) -> bytes:
    """The data, if they are no more than a file may hold. Raises `OSError`."""
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES} bytes", str(path))
    return data

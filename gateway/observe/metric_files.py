"""The files of one worker's metrics, with their room on the disk.

The metrics library maps files with holes, and a process that writes into a hole on a full disk is
killed (SIGBUS). So room is taken before the library needs it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

# The files of a worker, by the kinds of metrics in them, and their first size (bytes), of which the
# metrics without routes take a fourth. The library doubles the size of a file that is full.
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemin", "gauge_livemax", "gauge_max")
_FIRST_BYTES = 2**16

# A file begins with the number of its bytes in use. An entry is the length of its key, the key with
# spaces up to a multiple of 8 bytes, the value, and a time (`prometheus_client.mmap_dict`).
_USED = _LENGTH = struct.Struct("i")
_HEADER_BYTES = 8
_VALUE = struct.Struct("d")
_VALUE_AND_TIME_BYTES = 16


class MetricFiles:
    """The files in one slot of the folder that the workers share."""

    def __init__(self, folder: str, slot: int) -> None:
        """Make the files. Without room on the disk, `folder` is empty afterwards."""
        self.folder = folder
        self._slot = slot
        try:
            for kind in _KINDS if folder else ():
                _make_file(self._path(kind))
        except OSError:
            self.folder = ""

    def have_room(self, kind: str, size: int) -> bool:
        """Whether `size` more bytes fit into a file, which grows if need be."""
        if not self.folder:
            return True
        try:
            return _grow(self._path(kind), size)
        except OSError:
            return False

    def labels(self, kind: str, metric: str, label: str) -> set[str]:
        """The values that a label of a metric has in the files of all slots.

        Raises `OSError`.
        """
        files = Path(self.folder).glob(f"{kind}_*.db") if self.folder else ()
        found = (key for file in files for key, _ in entries(file.read_bytes()))
        keys = (json.loads(key) for key in found if key.startswith(f'["{metric}"'))
        return {labels[label] for _, _, labels, _ in keys}

    def _path(self, kind: str) -> Path:
        return Path(self.folder, f"{kind}_{self._slot}.db")


def entries(data: bytes) -> Iterator[tuple[str, float]]:
    """The keys and values of a file."""
    [used] = _USED.unpack_from(data)
    start = _HEADER_BYTES
    while start < used:
        [length] = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        key = data[start : start + length]
        start += length + 8 - (length + _LENGTH.size) % 8
        yield key.decode(), _VALUE.unpack_from(data, start)[0]
        start += _VALUE_AND_TIME_BYTES


def _make_file(path: Path) -> None:
    """Make a file with its room, unless it exists. Raises `OSError`.

    Another worker may be reading the folder, so the file appears complete.
    """
    if path.exists():
        return
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _FIRST_BYTES)
    finally:
        os.close(descriptor)
    new.rename(path)


def _grow(path: Path, size: int) -> bool:
    """Double a file until `size` more bytes fit. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        [used] = _USED.unpack(os.pread(descriptor, _USED.size, 0))
        room = before = os.fstat(descriptor).st_size
        while used + size > room:
            room *= 2
        if room > before:
            os.posix_fallocate(descriptor, before, room - before)
    finally:
        os.close(descriptor)
    return True

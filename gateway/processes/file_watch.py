"""Noticing that config.yaml, or a file that it names, has changed.

The supervisor looks once a second, and ten files take 20 µs. ARCHITECTURE.md says why it is not
notified.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.config import files
from gateway.config.files import Mark

_LOOK_SECONDS = 1.0


class FileWatch:
    """The files of the last configuration that was read, as they were then.

    A change counts once it has stood still for a look, since a file may be written in parts.
    Symbolic links are followed: a ConfigMap of Kubernetes changes by a new link.
    """

    def __init__(self, read: Mapping[str, Mark]) -> None:
        self._read = dict(read)
        self._seen = self._read
        self._next_look = 0.0  # monotonic seconds

    def follow(self, read: Mapping[str, Mark]) -> None:
        """Compare with these from now on; none were read if reading has failed altogether."""
        self._read = dict(read or self._seen)
        self._seen = self._read

    def have_changed(self) -> bool:
        """Whether the files differ from those that were read, and are written as a whole."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK_SECONDS
        before, self._seen = self._seen, {path: files.mark(path) for path in self._read}
        return before == self._seen != self._read

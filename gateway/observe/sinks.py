"""Where logs go: what config.yaml says, as a file descriptor."""

from __future__ import annotations

import os

_STDOUT = 1


def open_sink(where: str) -> int | None:
    """For "stdout", or a file that is appended to; None for "off"."""
    if where == "off":
        return None
    if where == "stdout":
        return _STDOUT
    return os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

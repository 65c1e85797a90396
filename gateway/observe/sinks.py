"""Sinks: streams and files that take the lines of logs, and never block.

A pipe that is not read fills up, and would block its writer. So lines that a stream does not take
at once wait here, up to a bound. Further lines are dropped and counted, and the log says so later.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from collections import deque

STDOUT, STDERR = 1, 2

# One write(2) of at most this size to a pipe is not interleaved with another worker's (POSIX
# PIPE_BUF, on Linux); one that appends to a file never is.
PIPE_BYTES = 4096
_FILE_BYTES = 65536

# How many bytes may wait for a reader: some seconds of a busy worker's lines.
_MAX_WAITING_BYTES = 2**20

_log = logging.getLogger("gateway.logs")


class Sink:
    """Takes lines for a file descriptor; without one, takes nothing."""

    def __init__(self, descriptor: int | None, where: str = "") -> None:
        """`where` is config.yaml's word for the stream, or the file's path.

        It is for messages, and to open the file anew.
        """
        self.where = where
        self._dropped = 0  # lines, in all; the next two are how many were counted and logged
        self._counted = self._logged = 0
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._torn = False  # the last line has no end
        kind = 0 if descriptor is None else stat.S_IFMT(os.fstat(descriptor).st_mode)
        self._is_file = kind == stat.S_IFREG
        self.max_bytes = PIPE_BYTES if kind == stat.S_IFIFO else _FILE_BYTES
        if descriptor is not None and not self._is_file:
            self._descriptor = _unblocked(descriptor, kind)

    def write(self, lines: bytes) -> None:
        """Write whole lines, if possible in one write(2), or let them wait."""
        if self._descriptor is None:
            return
        if self.flush():
            lines = self._written(lines)
        if not lines:
            return
        if self._waiting_bytes + len(lines) > _MAX_WAITING_BYTES:
            self._dropped += lines.count(b"\n")
            return
        self._waiting.append(lines)
        self._waiting_bytes += len(lines)

    def flush(self) -> bool:
        """Write waiting lines as far as the stream takes them. True if none waits."""
        while self._waiting:
            lines = self._waiting.popleft()
            rest = self._written(lines)
            self._waiting_bytes -= len(lines) - len(rest)
            if rest:
                self._waiting.appendleft(rest)
                return False
        return True

    def count_dropped(self) -> int:
        """How many lines were dropped since the last call.

        The gateway's log says so as well, once there is room again.
        """
        if self._logged != self._dropped and self.flush():
            _log.warning("%s did not take %d lines", self.where, self._dropped - self._logged)
            self._logged = self._dropped
        new, self._counted = self._dropped - self._counted, self._dropped
        return new

    def reopen(self) -> None:
        """Open the file anew after it was moved. If that fails, the old one stays."""
        if not self._is_file or self._descriptor in (None, STDOUT, STDERR):
            return
        try:
            new = _open(self.where)
        except OSError as error:
            _log.error("%s cannot be opened anew: %s", self.where, error.strerror)
            return
        os.dup2(new, self._descriptor, inheritable=False)
        os.close(new)

    def _written(self, lines: bytes) -> bytes:
        """Write lines. Returns those that were not taken and may be taken later."""
        assert self._descriptor is not None
        data = b"\n" * self._torn + lines
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            return lines
        except OSError:  # a full disk, a reader that has gone
            self._dropped += lines.count(b"\n")
            return b""
        rest = data[written:]
        self._torn = self._is_file and bool(rest)
        if self._torn:  # the disk is full, and what is left would not fit either
            self._dropped += rest.count(b"\n")
            return b""
        return rest


class SinkHandler(logging.Handler):
    """Logging to a sink, as `logging.StreamHandler` does to a stream."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.write(f"{self.format(record)}\n".encode(errors="replace"))
        except Exception:
            self.handleError(record)


def open_sink(where: str) -> int | None:
    """A descriptor for "stdout" or a file to append to; None for "off".

    Raises `OSError`.
    """
    if where == "off":
        return None
    return STDOUT if where == "stdout" else _open(where)


def _open(path: str) -> int:
    return os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640
    )


def _unblocked(descriptor: int, kind: int) -> int:
    """A descriptor of the same stream that does not block.

    Not to block is a property of the open file, which other processes may share (a shell shares its
    terminal). So the stream is opened anew. Where that is not allowed (a container's user, a
    socket), a pipe or a socket is changed itself, since it serves as a log alone.
    """
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    if kind in (stat.S_IFIFO, stat.S_IFSOCK):
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    return descriptor

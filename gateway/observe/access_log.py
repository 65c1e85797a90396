"""The access log: one JSON line a request, formatted and written in batches.

A record is a plain tuple until it is written. It never holds a key, a token, a cookie, a query or
anything of a request that could not be read; a key or a token in a path is blotted out.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import NamedTuple

from gateway.core.keys import KEY_PATTERN
from gateway.core.refusals import Refusal

# How many characters of a session id are logged: enough to tell sessions apart (2^48).
_SESSION_CHARACTERS = 12

# Batches are cut at this size, so that what one write(2) gives a pipe is not interleaved with
# another worker's (POSIX PIPE_BUF on Linux).
_ATOMIC = 4096

# A batch is written when it has this many records, or at the next tick of the clock.
_BATCH = 64

# The three base64url parts of a JWT (RFC 7519 §3); its header always begins with `{"`.
_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class Record(NamedTuple):
    """What is known of one request when it has ended."""

    time: float  # UNIX seconds
    client: str
    method: bytes
    route: str
    path: bytes
    status: int
    bytes_in: int  # of the request's body
    bytes_out: int  # of the answer's body
    duration: float  # s
    upstream: str
    session: str
    request_id: bytes
    reason: str


def refused_record(refusal: Refusal, client: str, request_id: bytes) -> Record:
    """The record of something that could not be read as a request."""
    return Record(
        time.time(),
        client,
        b"-",
        "",
        b"-",
        refusal.status,
        0,
        0,
        0.0,
        "",
        "",
        request_id,
        refusal.reason,
    )


class AccessLog:
    """Collects records and writes them as JSON lines to a file descriptor."""

    def __init__(self, descriptor: int | None) -> None:
        """`descriptor` is open for writing, or None to log nothing."""
        self._descriptor = descriptor
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        if self._descriptor is not None:
            self._records.append(record)
            if len(self._records) >= _BATCH:
                self.flush()

    def flush(self) -> None:
        """Writes what has been collected. A log that is full loses lines, not requests."""
        records, self._records = self._records, []
        batch = b""
        second, stamp = 0, ""
        for record in records:
            if int(record.time) != second:
                second = int(record.time)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            line = render(record, stamp)
            if batch and len(batch) + len(line) > _ATOMIC:
                self._write(batch)
                batch = b""
            batch += line
        if batch:
            self._write(batch)

    def _write(self, batch: bytes) -> None:
        assert self._descriptor is not None
        with contextlib.suppress(OSError):
            os.write(self._descriptor, batch)


def open_log(where: str) -> AccessLog:
    """The log for config.yaml's `access_log`: "stdout", "off" or a file that is appended to."""
    if where == "off":
        return AccessLog(None)
    if where == "stdout":
        return AccessLog(1)
    return AccessLog(os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640))


def render(record: Record, stamp: str) -> bytes:
    """One JSON line. `stamp` is the record's second as UTC, made once for many records.

    Written by hand: nothing but the path and the route can need escaping, and of those only the
    quotation mark and the backslash, since the grammar lets no control byte this far.
    """
    path = record.path
    if b"lk_" in path:
        path = KEY_PATTERN.sub(b"[key]", path)
    if b"eyJ" in path:
        path = _TOKEN.sub(b"[token]", path)
    reason = f', "reason": "{record.reason}"' if record.reason else ""
    return (
        f'{{"time": "{stamp}.{int(record.time % 1 * 1000):03d}Z", "client": "{record.client}", '
        f'"method": "{record.method.decode()}", "route": "{_escaped(record.route)}", '
        f'"path": "{_escaped(path.decode())}", "status": {record.status}, '
        f'"bytes_in": {record.bytes_in}, "bytes_out": {record.bytes_out}, '
        f'"duration_ms": {record.duration * 1000:.3f}, "upstream": "{record.upstream}", '
        f'"session": "{record.session[:_SESSION_CHARACTERS]}", '
        f'"request_id": "{record.request_id.decode()}"{reason}}}\n'
    ).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

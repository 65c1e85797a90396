"""The access log: one JSON line a request, formatted and written in batches.

A record is a plain tuple until it is written. It never holds a key, a token, a cookie, a query or
anything of a request that could not be read; a token in a path is blotted out.
"""

from __future__ import annotations

import json
import re
import time

from gateway.core.http.refusals import Refusal
from gateway.observe.sinks import Sink, open_sink

# How many characters of a session id are logged: enough to tell sessions apart (2^72).
SESSION_CHARACTERS = 12

# A batch is written when it has this many records, or at the next tick of the clock.
_BATCH = 256

# The three base64url parts of a JWT (RFC 7519 §3), the first of which may stand behind something
# else; it always begins with `{"`. It is looked for once in each run of such characters.
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_-])((?:(?!eyJ)[A-Za-z0-9_-])*+)"
    rb"eyJ[A-Za-z0-9_-]{4,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+"
)


# What is known of a request when it has ended, in this order and ready to be written: UNIX seconds,
# client, method, route, path, status, bytes of the request's body, bytes of the answer's body,
# seconds taken, server, session id, request id, why it ended otherwise than by an answer, and what
# the server did wrong if that is why.
Record = tuple[
    float, bytes, bytes, bytes, bytes, int, int, int, float, bytes, bytes, bytes, str, str
]


def refused_record(refusal: Refusal, client: bytes, request_id: bytes) -> Record:
    """The record of something that could not be read as a request."""
    now, code, why = time.time(), refusal.status, refusal.reason
    return now, client, b"-", b"", b"-", code, 0, 0, 0.0, b"", b"", request_id, why, ""


class AccessLog:
    """Collects records and writes them as JSON lines to a sink."""

    def __init__(self, descriptor: int | None, where: str = "") -> None:
        """`descriptor` is open for writing, or None to log nothing."""
        self.sink = Sink(descriptor, where)
        self._is_open = descriptor is not None
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        if self._is_open:
            self._records.append(record)
            if len(self._records) >= _BATCH:
                self.flush()

    def flush(self) -> None:
        """Writes what has been collected. A log that is full loses lines, not requests."""
        records, self._records = self._records, []
        batch: list[bytes] = []
        size = second = 0
        stamp = b""
        for record in records:
            if int(record[0]) != second:
                second = int(record[0])
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
            line = render(record, stamp)
            size += len(line)
            if size > self.sink.most_bytes and batch:
                self.sink.write(b"".join(batch))
                batch, size = [], len(line)
            batch.append(line)
        if batch:
            self.sink.write(b"".join(batch))
        else:
            self.sink.flush()


def open_log(where: str) -> AccessLog:
    """The log for config.yaml's `access_log`: "stdout", "off" or a file that is appended to."""
    return AccessLog(open_sink(where), where)


def render(record: Record, stamp: bytes) -> bytes:
    """One JSON line. `stamp` is the record's second as UTC, made once for many records.

    Written by hand and in bytes, since this is done for every request (measured: a third of what
    the same as text costs). Only the path can need escaping, and only for the quotation mark and
    the backslash: the grammar lets no control byte this far, and config.yaml no such route.
    """
    at, client, method, route, path, code, into, out, took, server, session, name, why, cause = (
        record
    )
    if b"eyJ" in path:
        path = _TOKEN.sub(rb"\1[token]", path)
    if b'"' in path or b"\\" in path:
        path = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return (
        b'{"time": "%b.%03dZ", "client": "%b", "method": "%b", "route": "%b", "path": "%b", '
        b'"status": %d, "bytes_in": %d, "bytes_out": %d, "duration_us": %d, "upstream": "%b", '
        b'"session": "%b", "request_id": "%b"%b}\n'
    ) % (
        stamp,
        at % 1 * 1000,
        client,
        method,
        route,
        path,
        code,
        into,
        out,
        took * 1_000_000,
        server,
        session[:SESSION_CHARACTERS],
        name,
        _end(why, cause) if why else b"",
    )


def _end(why: str, cause: str) -> bytes:
    text = f', "reason": "{why}"'
    return (text + f', "cause": {json.dumps(cause)}' if cause else text).encode()

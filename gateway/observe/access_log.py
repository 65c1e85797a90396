"""The access log: one JSON line for each request, written in batches.

A token in a path is blotted out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Sequence

from gateway.observe.access_record import AccessRecord
from gateway.observe.sinks import Sink, open_sink

# How many characters of a session id are logged: enough to tell sessions apart (2^72).
SESSION_CHARACTERS = 12

# The three base64url parts of a JWT (RFC 7519 §3), the first of which may stand behind something
# else; it always begins with `{"`. It is looked for once in each run of such characters.
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_-])((?:(?!eyJ)[A-Za-z0-9_-])*+)"
    rb"eyJ[A-Za-z0-9_-]{4,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+"
)


class AccessLog:
    """Writes records as JSON lines to a sink. For the relay it is a `RecordSink`."""

    def __init__(
        self, descriptor: int | None, where: str = "", hidden: Collection[bytes] = ()
    ) -> None:
        """Take what is logged.

        descriptor: is open for writing, or None to log nothing
        where: config.yaml's `access_log`
        hidden: routes that stand in the place of their paths
        """
        self._hidden = hidden
        self.sink = Sink(descriptor, where)
        self._is_open = descriptor is not None

    def take(self, records: Sequence[AccessRecord]) -> None:
        """Write a line for each record. A full log loses lines and delays nothing."""
        if not self._is_open:
            return
        batch: list[bytes] = []
        size = second = 0
        stamp = b""
        for record in records:
            if (ended := int(record.ended)) != second:
                second = ended
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
            line = render(record, stamp, self._hidden)
            size += len(line)
            if size > self.sink.max_bytes and batch:
                self.sink.write(b"".join(batch))
                batch, size = [], len(line)
            batch.append(line)
        if batch:
            self.sink.write(b"".join(batch))

    def flush(self) -> None:
        """Write lines that have to wait, as far as the log takes them."""
        self.sink.flush()


def open_log(where: str, hidden: Collection[bytes] = ()) -> AccessLog:
    """Open config.yaml's `access_log`: "stdout", "off" or a file.

    Files are appended to. `hidden` are routes whose paths may hold secrets.
    """
    return AccessLog(open_sink(where), where, hidden)


def render(record: AccessRecord, stamp: bytes, hidden: Collection[bytes] = ()) -> bytes:
    """Render one JSON line.

    A route that is `hidden` stands in the place of its path.
    `stamp` is the record's second as UTC, made once for many records. The line is written by hand,
    in bytes, since every request has one (measured: a third of the cost as text). Only the path can
    need escaping, and only of quotation marks and backslashes: the grammar admits no control byte,
    and labels of routes and servers are escaped already.
    """
    # Unpacked, since each look-up of a field by its name costs 30 ns.
    (
        ended,
        client,
        method,
        route,
        path,
        status,
        bytes_in,
        bytes_out,
        duration,
        upstream_duration,
        server,
        session_id,
        request_id,
        reason,
        cause,
    ) = record
    if hidden and route in hidden:
        path = route
    # `find` and not `in`, which first takes the bytes for a number, raises and drops a TypeError
    # (CPython 3.11: 245 ns, against 31).
    if path.find(b"eyJ") >= 0:
        path = _TOKEN.sub(rb"\1[token]", path)
    if path.find(b'"') >= 0 or path.find(b"\\") >= 0:
        path = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return (
        b'{"time": "%b.%03dZ", "client": "%b", "method": "%b", "route": "%b", "path": "%b", '
        b'"status": %d, "bytes_in": %d, "bytes_out": %d, "duration_us": %d, "upstream": "%b", '
        b'"upstream_us": %d, "session": "%b", "request_id": "%b"%b}\n'
    ) % (
        stamp,
        ended % 1 * 1000,
        client,
        method,
        route,
        path,
        status,
        bytes_in,
        bytes_out,
        duration * 1_000_000,
        server,
        upstream_duration * 1_000_000,
        session_id[:SESSION_CHARACTERS],
        request_id,
        _reason(reason, cause) if reason else b"",
    )


def _reason(reason: str, cause: str) -> bytes:
    text = f', "reason": "{reason}"'
    return (text + f', "cause": {json.dumps(cause)}' if cause else text).encode()

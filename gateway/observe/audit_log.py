"""The audit log: one JSON line for each thing that happens to a session, written at once.

A line names a session by the beginning of its id, as the access log does. It never holds a key, a
token, a cookie, or anything else that a client typed. What one client causes over and over is
summed up in a line (see `repeats`), so that it neither fills the disk nor hides what others do.
"""

from __future__ import annotations

import json
import math
import time

from gateway.observe.access_log import SESSION_CHARACTERS
from gateway.observe.events import Event
from gateway.observe.repeats import Repeats
from gateway.observe.sinks import Sink, open_sink

# Subjects are the backend's to choose. So short, and at most 12 bytes a character when they are
# escaped, two texts fit into what one write(2) gives a pipe in one piece (4096, see `access_log`).
_MAX_TEXT_CHARACTERS = 128


class AuditLog:
    """Writes events to a sink. What that does not take is lost, and no request is."""

    def __init__(self, descriptor: int | None, where: str = "") -> None:
        """`descriptor` is open for writing, or None to log nothing."""
        self.sink = Sink(descriptor, where)
        self._repeats = Repeats()

    def write(self, event: Event) -> None:
        """Writes the event's line, or counts it for a sum."""
        self.sum_up()
        if self._repeats.has_line(event, time.monotonic()):
            self._write(render(event, time.time()))

    def sum_up(self) -> None:
        """Writes the sums of a window that has ended."""
        self._write_sums(time.monotonic())

    def close(self) -> None:
        """Writes the sums of the window that has not ended."""
        self._write_sums(math.inf)

    def _write_sums(self, now: float) -> None:
        for event, repeated in self._repeats.sums(now):
            self._write(render(event, time.time(), repeated))

    def _write(self, line: bytes) -> None:
        self.sink.write(line)


def open_audit_log(where: str) -> AuditLog:
    """The log for config.yaml's `audit_log`: "stdout", "off" or a file that is appended to."""
    return AuditLog(open_sink(where), where)


def render(event: Event, now: float, repeated: int = 0) -> bytes:
    """One JSON line in ASCII; `now` is UNIX seconds. What is not known is left out.

    `repeated` is how many events a sum stands for.
    """
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    fields = {
        "time": f"{second}.{int(now % 1 * 1000):03d}Z",
        "event": event.kind,
        "subject": event.subject[:_MAX_TEXT_CHARACTERS],
        "session": event.session_id[:SESSION_CHARACTERS],
        "address": event.address,
        "device": event.device[:_MAX_TEXT_CHARACTERS],
        "reason": event.reason,
        "request_id": event.request_id,
        "by": event.by,
        "repeated": repeated,
    }
    return json.dumps({name: value for name, value in fields.items() if value}).encode() + b"\n"

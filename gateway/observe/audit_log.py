"""The audit log: one JSON line for each session event, written at once.

A line names a session by the beginning of its id, as the access log does. It holds no key, token or
cookie, and nothing else that a client typed. Events that one client repeats are summed up in a line
(see `repeats`): they neither fill the disk nor hide the events of other clients.
"""

from __future__ import annotations

import json
import math
import time

from gateway.observe.access_log import SESSION_CHARACTERS
from gateway.observe.events import Event
from gateway.observe.repeats import Repeats
from gateway.observe.sinks import Sink, open_sink

# Backends choose subjects, of any length. Two texts of this length, at most 12 bytes a character
# when escaped, fit into what one write(2) gives a pipe in one piece (4096 bytes, see `sinks`).
_MAX_TEXT_CHARACTERS = 128


class AuditLog:
    """Writes events to a sink. Only lines are lost that the sink refuses."""

    def __init__(self, descriptor: int | None, where: str = "") -> None:
        """`descriptor` is open for writing, or None to log nothing."""
        self.sink = Sink(descriptor, where)
        self._repeats = Repeats()

    def write(self, event: Event) -> None:
        """Write the event's line, or count it for a sum."""
        self.sum_up()
        if self._repeats.has_line(event, time.monotonic()):
            self._write(render(event, time.time()))

    def sum_up(self) -> None:
        """Write the sums of a window that has ended."""
        self._write_sums(time.monotonic())

    def close(self) -> None:
        """Write the sums of the window that has not ended."""
        self._write_sums(math.inf)

    def _write_sums(self, now: float) -> None:
        for event, repeated in self._repeats.sums(now):
            self._write(render(event, time.time(), repeated))

    def _write(self, line: bytes) -> None:
        self.sink.write(line)


def open_audit_log(where: str) -> AuditLog:
    """Open config.yaml's `audit_log`: "stdout", "off" or a file.

    Files are appended to.
    """
    return AuditLog(open_sink(where), where)


def render(event: Event, now: float, repeated: int = 0) -> bytes:
    """One JSON line in ASCII, without unknown fields.

    now: UNIX seconds
    repeated: how many events the line sums up; 0 for a single event
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

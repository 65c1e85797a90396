"""The record of a request that has ended, and the sinks that take it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.core.http.refusals import Refusal

# Sinks take so many records at a time, or what there is at a tick of the relay's clock.
_BATCH = 256


def label_of(name: str) -> bytes:
    """The name of a route or server as records hold it: as in a JSON string (RFC 8259 §7).

    A path_regex has backslashes, say. It is made once, so no request has to escape it.
    """
    return json.dumps(name)[1:-1].encode()


def name_of(label: bytes) -> str:
    """The name that a label stands for."""
    name: str = json.loads(b'"%b"' % label)
    return name


class AccessRecord(NamedTuple):
    """One request, without its key, token, cookies and query.

    Texts are bytes that can be written as they are, but for the path (see `access_log`). What is
    unknown is empty, and all of a request that could not be read. The relay makes it with
    `tuple.__new__`: calling a class with so many fields, this one or a dataclass, would cost 0.5 µs
    more a request.
    """

    ended: float  # UNIX seconds
    client: bytes  # the address
    method: bytes
    route: bytes  # its label
    path: bytes
    status: int
    bytes_in: int  # of the request's body
    bytes_out: int  # of the answer's body
    duration: float  # seconds
    upstream_duration: float  # seconds from the head sent to the answer's head; 0 without one
    server: bytes  # its label
    session_id: bytes
    request_id: bytes
    reason: str  # why it ended otherwise than by an answer
    cause: str  # what the server did wrong, or the setting that has refused; else ""


class RecordSink(Protocol):
    """Takes the records of all ended requests. Never fails and never waits."""

    def take(self, records: Sequence[AccessRecord]) -> None:
        """Take some records, in their order."""

    def flush(self) -> None:
        """Write what has been collected; called at each tick of the relay's clock."""


class Records:
    """Collects records for the sinks, which take many at a time.

    A call of each sink for each record would cost four times as much.
    """

    def __init__(self, sinks: Sequence[RecordSink]) -> None:
        self._sinks = sinks
        self._records: list[AccessRecord] = []

    def add(self, record: AccessRecord) -> None:
        self._records.append(record)
        if len(self._records) >= _BATCH:
            self._hand_over()

    def flush(self) -> None:
        """Hand over what has been collected, and have the sinks write it."""
        self._hand_over()
        for sink in self._sinks:
            sink.flush()

    def _hand_over(self) -> None:
        records, self._records = self._records, []
        for sink in self._sinks:
            sink.take(records)


def refused_record(refusal: Refusal, client: bytes, request_id: bytes) -> AccessRecord:
    """The record of bytes that could not be read as a request."""
    return AccessRecord(
        ended=time.time(),
        client=client,
        method=b"-",
        route=b"",
        path=b"-",
        status=refusal.status,
        bytes_in=0,
        bytes_out=0,
        duration=0.0,
        upstream_duration=0.0,
        server=b"",
        session_id=b"",
        request_id=request_id,
        reason=refusal.reason,
        cause="",
    )

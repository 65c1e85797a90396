"""The messages between the supervisor and one worker, over a socket pair.

The worker reports once that it is ready, or why it cannot serve, and once a second that its event
loop goes on. The supervisor orders it to listen and to end. If one of them is gone, the other reads
an end of file, on every system.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

_MAX_REASON_BYTES = 2000
_MAX_READ_BYTES = 4096
_MAX_ORDER_BYTES = 2**17  # a bit for each of a million routes


class Report(bytes, enum.Enum):
    """What a worker reports."""

    READY = b"r"  # it can serve
    SERVES = b"s"  # it accepts connections
    CLOSED = b"c"  # it accepts none any more
    BEAT = b"."  # its event loop goes on
    FAILED = b"f"  # it cannot serve; the reason follows


class Order(bytes, enum.Enum):
    """An order to a worker."""

    LISTEN = b"a"  # accept connections
    STOP = b"s"  # the gateway stops: drain for `timeouts.drain`
    RETIRE = b"r"  # other workers have taken over: end when no request is in flight
    END_RETIRED = b"e"  # too many old generations: end tunnels, and drain the rest
    END = b"q"  # end now
    REOPEN_LOGS = b"l"
    END_ROUTES = b"g"  # end the tunnels and streams of these rules, which are gone


@dataclass
class SupervisorEnd:
    """The supervisor's end of the link to one worker."""

    sock: socket.socket
    last_beat: float = 0.0  # when the worker was ready, or its last beat was read (monotonic s)
    _heard: set[Report] = field(default_factory=set)
    _reason: str = ""
    _is_closed: bool = False

    def order(self, order: Order) -> None:
        """Send an order; without effect if the worker has ended."""
        self._send(order.value)

    def end_routes(self, numbers: Collection[int]) -> None:
        """Order the end of the tunnels and streams of these rules."""
        if numbers:
            self._send(Order.END_ROUTES.value + _as_bits(numbers))

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.send(message)

    @property
    def is_ready(self) -> bool:
        """Whether the worker has reported that it can serve."""
        return self.has_heard(Report.READY)

    def has_heard(self, report: Report) -> bool:
        """Whether the worker has ever reported that."""
        self._listen()
        return report in self._heard

    @property
    def reason(self) -> str:
        """Why the worker cannot serve; empty if it has not reported a failure."""
        self._listen()
        return self._reason

    def close(self) -> None:
        """Close the link, after what the worker has reported last."""
        self._listen()
        self.sock.close()

    def forget(self) -> None:
        """Close it in a process that has inherited it: the supervisor goes on to read."""
        self.sock.close()

    def _listen(self) -> None:
        while not self._is_closed:
            try:
                data = self.sock.recv(_MAX_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._is_closed = True
                return
            self.last_beat = time.monotonic()
            report = Report(data[:1])
            self._heard.add(report)
            if report is Report.FAILED:
                self._reason = data[1:].decode(errors="replace").strip()


@dataclass
class WorkerEnd:
    """The worker's end of the link, and the orders that have come."""

    sock: socket.socket
    listening: asyncio.Event = field(default_factory=asyncio.Event)  # also set by an end before
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    ending_tunnels: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)  # at once
    ended_routes: frozenset[int] = frozenset()  # rules whose tunnels and streams end
    is_retired: bool = False  # other workers have taken over
    is_orphan: bool = False  # the supervisor is gone
    has_served: bool = False
    _drain_seconds: float = 0.0

    def say_ready(self) -> None:
        self.report(Report.READY)

    def say_serves(self) -> None:
        self.has_served = True
        self.report(Report.SERVES)

    def say_failed(self, reason: str) -> None:
        self.report(Report.FAILED, reason.encode(errors="replace")[:_MAX_REASON_BYTES])

    def report(self, report: Report, more: bytes = b"") -> None:
        """Send a report; lost if the supervisor reads no more of them."""
        with contextlib.suppress(OSError):
            self.sock.send(report.value + more)

    def follow(self, *, drain_seconds: float, reopen_logs: Callable[[], None]) -> None:
        """Obey orders from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._drain_seconds = drain_seconds

        def read() -> None:
            try:
                message = self.sock.recv(_MAX_ORDER_BYTES)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if message:
                self._obey(Order(message[:1]), message[1:], reopen_logs)
                return
            loop.remove_reader(self.sock)
            self.is_orphan = True
            self.drain()

        loop.add_reader(self.sock, read)

    def drain(self) -> None:
        """Stop accepting; requests in flight may take `timeouts.drain`."""
        self.is_retired = False
        self._begin_to_drain()
        self._end_after_drain()

    def end(self) -> None:
        self._begin_to_drain()
        self.ending.set()

    def _begin_to_drain(self) -> None:
        self.draining.set()
        self.listening.set()

    def _end_after_drain(self) -> None:
        asyncio.get_running_loop().call_later(self._drain_seconds, self.ending.set)

    def _obey(self, order: Order, more: bytes, reopen_logs: Callable[[], None]) -> None:
        match order:
            case Order.LISTEN:
                self.listening.set()
            case Order.STOP:
                self.drain()
            case Order.RETIRE:
                self.is_retired = True
                self._begin_to_drain()
            case Order.END_RETIRED:
                self.ending_tunnels.set()
                self._end_after_drain()
            case Order.END:
                self.end()
            case Order.REOPEN_LOGS:
                reopen_logs()
            case Order.END_ROUTES:
                self.ended_routes = _from_bits(more)


def _as_bits(numbers: Collection[int]) -> bytes:
    """A bit for each number, since an order has to fit into one message."""
    bits = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return bytes(bits)


def _from_bits(bits: bytes) -> frozenset[int]:
    return frozenset(
        number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1
    )


def link() -> tuple[SupervisorEnd, WorkerEnd]:
    """Create a link. Raises `OSError`.

    Each process closes the end of the other.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a message is an order
    ours.setblocking(False)  # noqa: FBT003 (the socket API's own)
    theirs.setblocking(False)  # noqa: FBT003 (the socket API's own)
    return SupervisorEnd(ours), WorkerEnd(theirs)

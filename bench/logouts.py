"""Times a logout on one gateway until its key is refused on another.

Both have other work to do.
"""

from __future__ import annotations

import re
import select
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from bench.gateways import LATCHKEY, Running, log_in, serving
from bench.ground import Ground
from bench.load import Load, beside
from bench.machine import BenchError, say
from bench.walk import issue

_HERE, _THERE = (replace(LATCHKEY, name=f"latchkey-{where}") for where in ("here", "there"))
_OTHERS = 2000  # sessions of the load; a near cache has room for all of them
_CONNECTIONS = 4  # of the load, through each gateway
_MAX_LOAD_SECONDS = 3600  # of the load; it ends with the last logout
_WARM_UP = 1  # s of load before the first logout
_REMEMBERED = 2  # calls: the first one is looked up
_READ_BYTES = 65_536
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_PATIENCE = 60  # s until a gateway that still lets a call pass, or says nothing, is given up


@dataclass(frozen=True)
class Logout:
    """How long one logout took to be felt on the other gateway."""

    from_sent_ms: float  # until the first refusal
    from_answer_ms: float  # until the first refusal; 0 if that came first
    passed: int  # calls that were sent after the logout's answer, and passed


@dataclass(frozen=True)
class Logouts:
    """All logouts, and the load beside them."""

    timed: list[Logout]
    rate: float  # requests per second, through both gateways


def time_logouts(ground: Ground, number: int) -> Logouts:
    """Log out sessions that the other gateway's near cache remembers."""
    say(f"timing {number} logouts")
    load = Load("/api/small", _CONNECTIONS, _MAX_LOAD_SECONDS, issue(ground, _OTHERS))
    with ExitStack() as stack:
        here, there = [stack.enter_context(serving(gateway, ground)) for gateway in (_HERE, _THERE)]
        with beside(ground, here, load) as one, beside(ground, there, load) as other:
            time.sleep(_WARM_UP)
            timed = [_log_out(here, there) for _ in range(number)]
    return Logouts(timed, one.rate + other.rate)


def _log_out(here: Running, there: Running) -> Logout:
    """Log in and out here, while the device makes calls there."""
    key = log_in(here.port)
    with _Line(here.port, key) as to_here, _Line(there.port, key) as to_there:
        for _ in range(_REMEMBERED):
            to_there.send("GET", "/api/small")
            if to_there.answer() != 200:
                raise BenchError("a session is refused before its logout")
        return _race(to_here, to_there)


def _race(to_here: _Line, to_there: _Line) -> Logout:
    """Log out, and call until the answer and the first refusal have come."""
    sent = called = time.perf_counter()
    to_here.send("POST", "/logout")
    to_there.send("GET", "/api/small")
    done = refused = None
    passed = 0
    while done is None or refused is None:
        ready, _, _ = select.select([to_here, to_there], [], [], _PATIENCE)
        now = time.perf_counter()
        if not ready or now - sent > _PATIENCE:
            raise BenchError("a logout is not done, or never felt")
        if to_here in ready:
            if to_here.answer() != 204:
                raise BenchError("a logout is refused")
            done = now
        if to_there in ready:
            if to_there.answer() == 401:
                refused = now
            else:
                passed += done is not None and called > done
                called = time.perf_counter()
                to_there.send("GET", "/api/small")
    return Logout((refused - sent) * 1e3, max(0.0, refused - done) * 1e3, passed)


class _Line:
    """One device's kept connection; a small client, so its times are exact."""

    def __init__(self, port: int, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fields = f"Host: bench\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, method: str, path: str) -> None:
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._fields}".encode())

    def answer(self) -> int:
        """Read an answer to its end. Return its status."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = int(length[1]) - len(body) if length else 0
        while missing > 0:
            missing -= len(self._more())
        return int(head.split(b" ", 2)[1])

    def _more(self) -> bytes:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise BenchError("a gateway closes in the middle of an answer")
        return data

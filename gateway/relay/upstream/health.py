"""Active health checks: servers are asked from time to time whether they can serve.

The first check of a server decides by itself: a new worker sends nothing to a server that the one
before found unhealthy. One that has not answered yet counts as healthy. Each worker asks for
itself: a server gets as many checks in an interval as there are workers of all gateways.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, cast

from gateway.observe import causes

if TYPE_CHECKING:
    from gateway.relay.upstream.policy import HealthCheck
    from gateway.relay.upstream.server import Server

# Checks of many workers and servers do not come at the same moment: an interval is up to so much
# shorter.
_JITTER = 0.2

# The status line of the final answer, behind interim ones (RFC 9110 §15.2).
_STATUS_LINE = re.compile(
    rb"(?:HTTP/1\.1 1[0-9]{2}[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n)*+"
    rb"HTTP/1\.[01] ([2-9][0-9]{2})[ \r\n]"
)

# A server that has not been well so far may be starting: it is asked again after so many seconds,
# then after twice as many, and so on up to the interval.
_FIRST_PAUSE = 1.0

# A status line, with interim answers before it, is shorter.
_MAX_BYTES = 4096


@dataclass(slots=True)
class _State:
    """The state of one server's checks."""

    due: float  # the next check (monotonic seconds)
    in_a_row: int = 0  # checks against the present verdict
    is_known: bool = False  # a check has ended
    pause: float = _FIRST_PAUSE  # the longest one before the next check (seconds)
    task: asyncio.Task[None] | None = None  # the check that is under way


class HealthChecks:
    """Asks the servers of one upstream, and marks those that are unhealthy."""

    def __init__(self, upstream: str, check: HealthCheck, changed: Callable[[], None]) -> None:
        """Begin with no verdict.

        upstream: its name, for the log
        changed: is called when a server has become healthy or unhealthy
        """
        self.checks = 0  # that have ended
        self.failures = 0  # those of them without an expected answer
        self._upstream = upstream
        self._check = check
        self._changed = changed
        self._states: dict[Server, _State] = {}
        self._random = Random()  # noqa: S311 (no secret)
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    async def begin(self, servers: Sequence[Server]) -> None:
        """Ask all servers, and wait for the answers."""
        self.sweep(servers, time.monotonic())
        await asyncio.wait([state.task for state in self._states.values() if state.task])

    def sweep(self, servers: Sequence[Server], now: float) -> None:
        """Ask the servers whose time it is, beside the caller (`now`: monotonic seconds)."""
        if self._states.keys() != set(servers):
            self._follow(servers, now)
        for server, state in self._states.items():
            if now >= state.due and state.task is None:
                state.due = now + self._pause(state)
                state.task = asyncio.get_running_loop().create_task(self._ask(server, state))

    def close(self) -> None:
        """Ask no more."""
        for state in self._states.values():
            if state.task is not None:
                state.task.cancel()
        self._states.clear()

    def _follow(self, servers: Sequence[Server], now: float) -> None:
        """Have a state for each of these servers alone."""
        for server in set(self._states).difference(servers):
            gone = self._states.pop(server)
            if gone.task is not None:
                gone.task.cancel()
        for server in servers:
            if server not in self._states:
                self._states[server] = _State(now)

    def _pause(self, state: _State) -> float:
        """How long it is until the next check of a server (seconds)."""
        seconds = min(state.pause, self._check.interval)
        state.pause *= 2
        return seconds * (1 - _JITTER * self._random.random())

    async def _ask(self, server: Server, state: _State) -> None:
        why = ""
        try:
            async with asyncio.timeout(self._check.timeout):
                status = await _status(server, self._check)
            if status not in self._check.statuses:
                why = f"its health check is answered with {status}"
        except (OSError, TimeoutError) as error:
            why = f"its health check: {causes.cause(error)}"
        finally:
            state.task = None
        self.checks += 1
        self.failures += bool(why)
        self._judge(server, state, why)

    def _judge(self, server: Server, state: _State, why: str) -> None:
        """Change the verdict if enough checks in a row say so.

        why: what is wrong with the server; nothing if it is healthy
        """
        load = server.load
        is_first, state.is_known = not state.is_known, True
        if not why:
            state.pause = math.inf
        if bool(why) == load.is_unhealthy:
            state.in_a_row = 0
            return
        state.in_a_row += 1
        limit = self._check.unhealthy_after if why else self._check.healthy_after
        if state.in_a_row < limit and not is_first:
            return
        state.in_a_row = 0
        load.is_unhealthy = bool(why)
        name = server.name
        if why:
            server.discard_idle()
            self._log.warning("upstream %s: %s is unhealthy: %s", self._upstream, name, why)
        else:
            load.reinstate(time.monotonic())
            self._log.info("upstream %s: %s is healthy", self._upstream, name)
        self._changed()


class _Question(asyncio.Protocol):
    """Sends one request, and reads the status of its answer."""

    def __init__(self, request: bytes) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has no base class
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        found = _STATUS_LINE.match(self._received)
        if self.status.done():
            return
        if found is not None:
            self.status.set_result(int(found[1]))
        elif len(self._received) > _MAX_BYTES:
            self.status.set_exception(ConnectionError("the answer is not HTTP/1.1"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(error or ConnectionError("closed without an answer"))


async def _status(server: Server, check: HealthCheck) -> int:
    """The status with which the server answers.

    Raises `OSError` if there is none.
    """
    question = _Question(
        b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: latchkey-health-check\r\n"
        b"Connection: close\r\n\r\n" % (check.path.encode(), check.host)
    )
    connect: Any = server.connect  # it opens connections of any protocol
    try:
        await connect(lambda: question)
        return await question.status
    finally:
        question.status.cancel()
        if question.transport is not None:
            question.transport.abort()

"""Active health checks of servers: when they are asked, and which answers count."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from gateway.relay.upstream.health import HealthChecks
from gateway.relay.upstream.policy import HealthCheck
from gateway.relay.upstream.server import Server
from tests.support.processes import HANG

_CHECK = HealthCheck(
    path="/healthz",
    host=b"shop",
    interval=60.0,
    timeout=HANG,
    healthy_after=1,
    unhealthy_after=2,
    statuses=frozenset({200}),
)


@dataclass
class Site:
    """A server that gives one answer, and its health checks."""

    server: Server
    checks: HealthChecks
    answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n"
    asked: int = 0
    _now: float = field(default_factory=time.monotonic)

    async def look(self) -> bool:
        """Ask the server once more. Whether it counts as healthy then."""
        self._now += _CHECK.interval
        before = self.checks.checks
        self.checks.sweep([self.server], self._now)
        async with asyncio.timeout(HANG):
            while self.checks.checks == before:
                await asyncio.sleep(0.001)
        return not self.server.load.is_unhealthy

    def pauses(self, count: int) -> list[int]:
        """The whole seconds after which a server that hangs is due again, each time."""
        found = []
        for _ in range(count):
            [state] = self.checks._states.values()
            state.task = None
            self.checks.sweep([self.server], self._now)
            found.append(round(state.due - self._now))
            self._now = state.due
        return found


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(made.answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    async def connect(protocol: Callable[[], asyncio.Protocol]) -> object:
        return await asyncio.get_running_loop().create_connection(protocol, "127.0.0.1", port)

    server = Server(
        "shop",
        connect,
        upstream="shop",
        places=1,
        share=100,
        idle_timeout=HANG,
    )
    made = Site(server, HealthChecks("shop", _CHECK, lambda: None))
    yield made
    made.checks.close()
    listening.close()
    await listening.wait_closed()


async def test_the_first_check_decides(site: Site) -> None:
    """Later ones decide if there are `unhealthy_after` in a row."""
    site.answer = b"HTTP/1.1 500 No\r\n\r\n"
    assert not await site.look()
    site.answer = b"HTTP/1.1 200 OK\r\n\r\n"
    assert await site.look()
    site.answer = b"HTTP/1.1 500 No\r\n\r\n"
    assert [await site.look() for _ in range(2)] == [True, False]


async def test_before_the_first_request_all_are_asked(site: Site) -> None:
    site.answer = b"HTTP/1.1 500 No\r\n\r\n"
    await site.checks.begin([site.server])
    assert (site.asked, site.server.load.is_unhealthy) == (1, True)


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\n\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\nHTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 1000, False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"HTTP/1.1 20", False),
        (b"", False),
    ],
)
async def test_the_final_status_counts(site: Site, answer: bytes, *, healthy: bool) -> None:
    """Interim answers come before it (RFC 9110 §15.2)."""
    site.answer = answer
    assert await site.look() is healthy


async def test_a_server_that_may_be_starting_is_asked_sooner(site: Site) -> None:
    """After 1, 2, 4 … seconds, each up to a fifth shorter, until it has been well once."""
    site.checks.sweep([site.server], site._now - _CHECK.interval)
    first, second, third, *_, last = site.pauses(9)
    assert first <= 2 < second <= 4 < third <= 8
    assert 48 <= last <= 60

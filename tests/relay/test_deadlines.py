"""Deadlines and slow readers (`gateway.relay.loop.deadlines`)."""

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from gateway.relay.loop.deadlines import Clock, untaken
from tests.support.tls import self_signed, trusting_all

WRITE_TIMEOUT = 10.0  # seconds
SECONDS_PER_BYTE = 0.001
PAST = -1.0

Run = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(eq=False)
class Connection:
    """What the clock watches."""

    transport: asyncio.Transport | None = None
    deadline: float = math.inf
    blocked: bool = False
    stall: tuple[int, float] | None = None
    expired: int = 0

    def expire(self) -> None:
        self.expired += 1


class Accepted(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self, accepted: asyncio.Queue[asyncio.Transport]) -> None:
        self._accepted = accepted
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._accepted.put_nowait(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def sweep(clock: Clock, now: float) -> None:
    """A tick at this time."""
    clock._sweep(list(clock._clients), now, SECONDS_PER_BYTE)
    clock._sweep(list(clock.upstreams), now, math.inf)


def clock_of(*clients: Connection) -> Clock:
    return Clock(clients, WRITE_TIMEOUT, SECONDS_PER_BYTE)


@pytest.fixture
async def blocked() -> AsyncIterator[tuple[Connection, socket.socket]]:
    """A connection with unsent bytes, and the socket that does not read them."""
    near, far = socket.socketpair()
    far.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    transport.write(bytes(1_000_000))
    yield Connection(transport, blocked=True), far
    transport.abort()
    far.close()
    await asyncio.sleep(0)


def test_a_connection_expires_once_after_its_deadline() -> None:
    """Not before its deadline, and not again before it gets another one."""
    connection = Connection(deadline=100.0)
    clock = clock_of(connection)
    sweep(clock, 100.0)
    assert connection.expired == 0
    sweep(clock, 100.5)
    sweep(clock, 101.0)
    assert (connection.expired, connection.deadline) == (1, math.inf)


def test_connections_to_upstreams_expire_as_well() -> None:
    clock, connection = clock_of(), Connection(deadline=PAST)
    clock.upstreams.add(connection)
    sweep(clock, 0.0)
    assert connection.expired == 1


def test_a_connection_that_ends_another_one_is_allowed() -> None:
    """An end may take other connections away in the same tick."""
    clock = clock_of()

    class Last(Connection):
        def expire(self) -> None:
            clock.upstreams.clear()
            super().expire()

    both = [Last(deadline=PAST), Last(deadline=PAST)]
    clock.upstreams.update(both)
    sweep(clock, 0.0)
    assert [connection.expired for connection in both] == [1, 1]


async def test_a_client_that_takes_nothing_expires(
    blocked: tuple[Connection, socket.socket],
) -> None:
    """It may take nothing for as long as the write timeout."""
    connection, _ = blocked
    clock = clock_of(connection)
    sweep(clock, 0.0)
    sweep(clock, WRITE_TIMEOUT)
    assert connection.expired == 0
    sweep(clock, WRITE_TIMEOUT + 0.5)
    assert connection.expired == 1


async def test_what_a_client_takes_puts_its_end_off(
    blocked: tuple[Connection, socket.socket],
) -> None:
    """By the time that the bytes may take, and by no more than a whole timeout from now."""
    connection, far = blocked
    clock = clock_of(connection)
    sweep(clock, 0.0)
    taken = len(far.recv(65536))
    while taken < 2 / SECONDS_PER_BYTE:
        await asyncio.sleep(0.01)
        taken += len(far.recv(65536))
    sweep(clock, WRITE_TIMEOUT)
    assert connection.stall is not None
    assert WRITE_TIMEOUT + 1 < connection.stall[1] <= 2 * WRITE_TIMEOUT
    sweep(clock, WRITE_TIMEOUT + 1)
    assert connection.expired == 0


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_tls_whose_socket_has_just_gone(run: Run, tmp_path: Path) -> None:
    """A tick may come before the loop has told the end of the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    async def end_and_tick() -> None:
        loop, accepted = asyncio.get_running_loop(), asyncio.Queue[asyncio.Transport]()
        made = Accepted(accepted)
        server = await loop.create_server(lambda: made, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting_all())
        transport = await accepted.get()
        transport.abort()
        try:
            while not made.lost and transport.get_extra_info("socket") is not None:
                await asyncio.sleep(0)
            assert not made.lost
            assert untaken(transport) == 0
        finally:
            writer.close()
            server.close()

    run(end_and_tick())


async def test_the_clock_ticks_until_it_is_stopped() -> None:
    """Each tick calls the sweeps with the time that `now` has."""
    clock, seen = clock_of(), list[float]()
    clock.sweeps.append(seen.append)
    clock.start()
    clock.stop()
    assert seen == [clock.now]

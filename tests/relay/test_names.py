"""The servers behind a name, as its addresses change."""

import asyncio
import logging
import socket
from dataclasses import dataclass, field

import pytest

from gateway.relay.upstream.names import NamedServers
from gateway.relay.upstream.server import Server
from tests.relay.test_pool import server_at
from tests.support.processes import HANG


@dataclass
class Name:
    """A name whose addresses the test sets, and what was made of them."""

    addresses: tuple[str, ...] = ()
    looked_up: int = 0
    changes: int = 0
    now: float = 100.0
    by_name: Server = field(default_factory=lambda: server_at(1))

    def __post_init__(self) -> None:
        self.servers = NamedServers(
            "shop.test",
            self.by_name,
            upstream="shop",
            interval=5,
            look_up=self._look_up,
            new_server=lambda _address: server_at(1),
            changed=self._changed,
        )

    async def _look_up(self, _name: str) -> tuple[str, ...]:
        self.looked_up += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.addresses

    def _changed(self) -> None:
        self.changes += 1

    async def resolve(self, *addresses: str) -> tuple[Server, ...]:
        """The servers after a look-up with these addresses."""
        self.addresses, self.now = addresses, self.now + 5
        before = self.servers.resolves
        self.servers.sweep(self.now)
        async with asyncio.timeout(HANG):
            while self.servers.resolves == before:
                await asyncio.sleep(0)
        return self.servers.servers


async def test_until_the_first_answer_the_name_itself_is_a_server() -> None:
    """So a start waits for no name server."""
    name = Name()
    assert name.servers.servers == (name.by_name,)
    assert await name.resolve() == (name.by_name,)
    first, second = await name.resolve("192.0.2.1", "2001:db8::1")
    assert name.by_name not in (first, second)
    assert name.changes == 1


async def test_an_address_that_comes_back_is_the_same_server() -> None:
    """What is known of it counts on, in whatever order the addresses come."""
    name = Name()
    first, second = await name.resolve("192.0.2.1", "192.0.2.2")
    assert await name.resolve("192.0.2.2", "192.0.2.1") == (first, second)
    assert await name.resolve("192.0.2.2") == (second,)
    assert await name.resolve("192.0.2.3", "192.0.2.1") != (first, second)
    assert set(await name.resolve("192.0.2.1", "192.0.2.2")) == {first, second}
    assert name.changes == 4


async def test_a_failure_keeps_the_servers_and_warns_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The counts tell of each one."""
    name = Name()
    servers = await name.resolve("192.0.2.1")
    with caplog.at_level(logging.WARNING):
        for _ in range(13):  # of 5 s each
            assert await name.resolve() == servers
    assert len(caplog.records) == 2
    assert (name.servers.resolves, name.servers.failures) == (14, 13)


async def test_a_name_is_looked_up_at_intervals_and_once_at_a_time() -> None:
    """An interval is at most a tenth shorter."""
    name = Name()
    await name.resolve("192.0.2.1")
    name.servers.sweep(name.now + 4.4)
    await asyncio.sleep(0)
    assert name.looked_up == 1
    for _ in range(3):
        name.servers.sweep(name.now + 5)
    await asyncio.sleep(0)
    assert name.looked_up == 2

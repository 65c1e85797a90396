"""When a write counts as done (`gateway.store.writes`)."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from gateway.store.errors import StoreUnavailable
from gateway.store.servers.connect import connect
from gateway.store.writes import Writes
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer, eventually, redis_server

TIMEOUT = 2.0


@asynccontextmanager
async def writing(server: RedisServer, replicas: int, timeout: float) -> AsyncIterator[Writes]:
    topology = connect(server.url, timeout)
    async with aclosing(topology.client):
        yield Writes(topology, replicas, timeout)


async def test_the_answers_come_in_order(server: RedisServer) -> None:
    """There is one for each command."""
    async with writing(server, 0, TIMEOUT) as writes:
        answers = await writes.do(("SET", "a", b"1"), ("GETDEL", "a"), ("GETDEL", "a"))
    assert answers == [True, b"1", None]


async def test_a_write_that_too_few_replicas_have(server: RedisServer) -> None:
    """It is not called done, although the primary has it."""
    async with writing(server, 1, TIMEOUT) as writes:
        with pytest.raises(StoreUnavailable):
            await writes.do(("SET", "a", b"1"))
    with server.client() as client:
        assert client.get("a") == b"1"


async def test_a_write_that_the_replicas_have(tmp_path: Path) -> None:
    """The answers are the commands' own, without that of WAIT."""
    with (
        redis_server(tmp_path, "--repl-diskless-sync-delay", "0") as server,
        redis_server(tmp_path, "--replicaof", f"127.0.0.1 {server.port}") as replica,
        server.client() as primary,
        replica.client() as client,
    ):
        # WAIT counts a replica from its first acknowledgement on.
        eventually(lambda: "online" in str(primary.info("replication").get("slave0")), "a replica")
        async with writing(server, 1, HANG) as writes:
            assert await writes.do(("INCR", "a"), ("INCR", "a")) == [1, 2]
        assert client.get("a") == b"2"

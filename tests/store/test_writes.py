"""When a write counts as done (`gateway.store.writes`)."""

import time
from pathlib import Path

import pytest

from gateway.store.errors import StoreUnavailable
from gateway.store.servers.connect import connect
from gateway.store.writes import Writes
from tests.support.redis_server import RedisServer, eventually, redis_server

TIMEOUT = 2.0


async def test_the_answers_come_in_order(server: RedisServer) -> None:
    """One for each command, without replicas and with them."""
    topology = connect(server.url, TIMEOUT)
    writes = Writes(topology, 0, TIMEOUT)
    assert await writes.do(("SET", "a", b"1"), ("GETDEL", "a"), ("GETDEL", "a")) == [
        True,
        b"1",
        None,
    ]
    await topology.client.aclose()


async def test_a_write_that_too_few_replicas_have(server: RedisServer) -> None:
    """It is not called done, within the timeout, although the primary has it."""
    topology = connect(server.url, TIMEOUT)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await Writes(topology, 1, TIMEOUT).do(("SET", "a", b"1"))
    assert time.monotonic() - began < TIMEOUT
    assert await topology.client.get("a") == b"1"
    await topology.client.aclose()


async def test_a_write_that_the_replicas_have(tmp_path: Path) -> None:
    """The answers are the commands' own, without that of WAIT."""
    with (
        redis_server(tmp_path, "--repl-diskless-sync-delay", "0") as server,
        redis_server(tmp_path, "--replicaof", f"127.0.0.1 {server.port}") as replica,
        replica.client() as client,
    ):
        eventually(lambda: client.info("replication")["master_link_status"] == "up", "a link")
        topology = connect(server.url, TIMEOUT)
        assert await Writes(topology, 1, TIMEOUT).do(("INCR", "a"), ("INCR", "a")) == [1, 2]
        eventually(lambda: client.get("a") == b"2", "the write")
        await topology.client.aclose()

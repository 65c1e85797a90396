"""A session that ends closes what it holds open, on every gateway."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import redis as redis_client

from gateway.core.sessions.keys import Key, session_id
from tests.sessions.conftest import all_calls, log_in, log_out, sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, eventually
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

Pair = tuple[Gateway, Gateway]
Ending = Callable[[str], object]


@contextlib.asynccontextmanager
async def opened(relay: Gateway, key: str, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer whose first bytes have come."""
    timeout = aiohttp.ClientTimeout(total=2 * HANG)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.get(
            f"http://127.0.0.1:{relay.port}{path}", headers={"Authorization": f"Bearer {key}"}
        ) as answer,
    ):
        assert await answer.content.readany()
        yield answer


@contextlib.asynccontextmanager
async def chatting(relay: Gateway, key: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket over which something has been said."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.ws_connect(f"http://127.0.0.1:{relay.port}/api/chat") as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=HANG) == "echo hello"
        yield socket


async def status_of(relay: Gateway, key: str) -> int:
    """Of a plain call."""
    [(status, _, _)] = await all_calls([relay], key, 1)
    return status


async def off_loop(work: Callable[[], object]) -> object:
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def is_cut(answer: aiohttp.ClientResponse) -> bool:
    """Whether the rest breaks off, rather than ends."""
    try:
        async with asyncio.timeout(HANG):
            while await answer.content.readany():
                pass
    except aiohttp.ClientPayloadError:
        return True
    return False


async def still_open(answer: aiohttp.ClientResponse, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not await answer.content.readany():
            return False
    return True


@pytest.mark.parametrize("path", ["/api/events", "/api/download"])
async def test_streams_end_with_their_session(pair: Pair, backend: Renewing, path: str) -> None:
    """A logout on the other gateway cuts them, and the upstream is let go."""
    backend.life = 60
    key = log_in(pair[0].port)
    async with opened(pair[0], key, path) as answer:
        assert await off_loop(lambda: log_out(pair[1], key)) == 204
        assert await is_cut(answer)
    await off_loop(lambda: eventually(lambda: backend.streams == 0))
    [record] = pair[0].records(path=path, reason="invalid_key", session=record_id(pair[0], path))
    assert record["status"] == 200


def record_id(relay: Gateway, path: str) -> str:
    return str(relay.records(path=path)[-1]["session"])


async def test_a_websocket_is_told(pair: Pair, backend: Renewing) -> None:
    """Close code 1008 (RFC 6455 §7.4.1), between two frames."""
    backend.life = 60
    key = log_in(pair[0].port)
    async with chatting(pair[0], key) as socket:
        assert await off_loop(lambda: log_out(pair[1], key)) == 204
        message = await socket.receive(timeout=HANG)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra) == (1008, "The session has ended.")
    await off_loop(lambda: eventually(lambda: backend.streams == 0))


async def test_other_sessions_stay_open(pair: Pair, backend: Renewing) -> None:
    """Of the same subject, and of others."""
    backend.life = 60
    mine, other, bobs = (log_in(pair[0].port, name) for name in ("alice", "alice", "bob"))
    async with (
        opened(pair[0], other, "/api/events") as first,
        opened(pair[0], bobs, "/api/events") as second,
        chatting(pair[0], other) as socket,
    ):
        await off_loop(lambda: log_out(pair[0], mine))
        assert await still_open(first, 1.5)
        assert await still_open(second, 0.2)
        await socket.send_str("still")
        assert await socket.receive_str(timeout=HANG) == "echo still"


def deleted(redis: RedisServer) -> Ending:
    def end(_key: str) -> object:
        with redis_client.from_url(redis.url) as client:
            return [client.delete(name) for name in client.scan_iter("latchkey:s:*")]

    return end


def flushed(redis: RedisServer) -> Ending:
    def end(_key: str) -> object:
        with redis_client.from_url(redis.url) as client:
            return client.flushall()

    return end


@pytest.mark.parametrize("way", [deleted, flushed])
async def test_whoever_ends_the_session(
    pair: Pair, redis: RedisServer, backend: Renewing, way: Callable[[RedisServer], Ending]
) -> None:
    """By redis-cli, for instance."""
    backend.life = 60
    key = log_in(pair[0].port)
    async with opened(pair[0], key, "/api/events") as answer:
        await off_loop(lambda: way(redis)(key))
        assert await is_cut(answer)


async def test_a_request_that_waits_for_its_answer_gets_401(pair: Pair, backend: Renewing) -> None:
    """A long poll, for instance: its answer would be for a user who has gone."""
    backend.life = 60
    key = log_in(pair[0].port)
    backend.hold = HANG

    waiting = asyncio.ensure_future(status_of(pair[0], key))
    await off_loop(lambda: eventually(lambda: backend.seen))
    await off_loop(lambda: log_out(pair[1], key))
    assert await waiting == 401


async def test_time_ends_what_is_open(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """The absolute timeout, whatever moves."""
    backend.life = 60
    with gateway(tmp_path, redis.url, **sections(backend, max_age="3s")) as only:
        key = log_in(only.port)
        async with opened(only, key, "/api/download") as answer:
            assert await is_cut(answer)
        assert await status_of(only, key) == 401


async def test_a_route_may_let_what_is_open_finish(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """`close_on_logout: false`."""
    backend.life = 60
    changed = sections(backend)
    changed["routes"] = [{"path": "/api/*", "upstream": "api", "close_on_logout": False}]
    with gateway(tmp_path, redis.url, **changed) as only:
        key = log_in(only.port)
        async with opened(only, key, "/api/events") as answer:
            await off_loop(lambda: log_out(only, key))
            assert await still_open(answer, 2.0)
        assert await status_of(only, key) == 401


async def test_a_store_that_is_down_ends_nothing(
    tmp_path: Path, own_redis: RedisServer, backend: Renewing
) -> None:
    """No user is logged out by an outage; a session that ended meanwhile is closed after it."""
    backend.life = 60
    with gateway(tmp_path, own_redis.url, **sections(backend)) as only:
        stays, goes = log_in(only.port), log_in(only.port)
        async with (
            opened(only, stays, "/api/events") as first,
            opened(only, goes, "/api/events") as second,
        ):
            os.kill(own_redis.pid, signal.SIGSTOP)
            assert await still_open(first, 2.5)
            os.kill(own_redis.pid, signal.SIGCONT)
            with redis_client.from_url(own_redis.url) as client:
                client.delete(f"latchkey:s:{{{session_id(Key(goes.encode()))}}}")
            assert await is_cut(second)
            assert await still_open(first, 1.0)


async def test_what_moves_keeps_a_session_from_being_idle(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """Words of the client do, and a download does; what a server sends by itself does not."""
    backend.life = 60
    with gateway(tmp_path, redis.url, **sections(backend, idle_timeout="3s")) as only:
        talks, loads, listens = (log_in(only.port) for _ in range(3))
        async with (
            chatting(only, talks) as socket,
            opened(only, loads, "/api/download") as download,
            opened(only, listens, "/api/events") as events,
        ):
            cut = asyncio.ensure_future(is_cut(events))
            for _ in range(12):
                await socket.send_str("there")
                assert await socket.receive_str(timeout=HANG) == "echo there"
                assert await still_open(download, 0.5)
            assert await cut

"""A subject's devices over two gateways: what one ends, the other refuses and closes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import log_in
from tests.sessions.conftest import all_calls, sections
from tests.sessions.test_live import is_cut, opened, still_open
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

Pair = tuple[Gateway, Gateway]


@pytest.fixture(autouse=True)
def _lasting_tokens(backend: Renewing) -> None:
    """Nothing here is about renewal."""
    backend.life = 60


async def ask(relay: Gateway, method: str, path: str, key: str) -> tuple[int, Any]:
    """One request to the gateway itself: status, JSON if there is a body."""
    timeout = aiohttp.ClientTimeout(total=HANG)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.request(
            method,
            f"http://127.0.0.1:{relay.port}{path}",
            headers={"Authorization": f"Bearer {key}"},
        ) as answer,
    ):
        body = await answer.read()
        return answer.status, json.loads(body) if body else None


async def handles(relay: Gateway, key: str) -> dict[str, bool]:
    """The subject's sessions: whether each is the caller's own."""
    status, data = await ask(relay, "GET", "/sessions", key)
    assert status == 200
    return {session["handle"]: session["current"] for session in data["sessions"]}


async def works(relay: Gateway, key: str) -> bool:
    [(status, _, _)] = await all_calls([relay], key, 1)
    assert status in (200, 401)
    return status == 200


async def until_refused(relay: Gateway, key: str) -> None:
    """What another gateway has ended, Redis tells of within a push."""
    async with asyncio.timeout(HANG):
        while await works(relay, key):
            await asyncio.sleep(0.01)


async def test_each_gateway_lists_and_ends_the_sessions_of_all(pair: Pair) -> None:
    """Logged in on either, seen on both; ended on one, refused on both, and its streams are cut."""
    one, two = pair
    here, there = log_in(one.port, "roamer"), log_in(two.port, "roamer")
    assert await works(one, there)
    seen = await handles(one, here)
    assert len(seen) == 2
    assert set(seen) == set(await handles(two, there))
    [victim] = [handle for handle, current in seen.items() if not current]
    async with opened(two, there, "/api/events") as cut, opened(two, here, "/api/events") as kept:
        assert await ask(one, "DELETE", f"/sessions/{victim}", here) == (204, None)
        assert not await works(one, there)
        await until_refused(two, there)
        assert await is_cut(cut)
        assert await still_open(kept, 0.5)
    assert await handles(two, here) == {handle: True for handle in seen if handle != victim}


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_logouts_with_a_scope_hold_everywhere(pair: Pair, scope: str) -> None:
    """Six devices on two gateways, each remembered by both; then at most this one is left."""
    keys = [log_in(pair[at % 2].port, f"leaver-{scope}") for at in range(6)]
    bystander = log_in(pair[0].port, "bystander")
    for key in (*keys, bystander):
        assert [await works(relay, key) for relay in pair] == [True, True]
    status, _ = await ask(pair[0], "POST", f"/logout?scope={scope}", keys[0])
    assert status == 204
    for key in keys[1:]:
        assert not await works(pair[0], key)
        await until_refused(pair[1], key)
    if scope == "all":
        await until_refused(pair[1], keys[0])
    else:
        assert len(await handles(pair[1], keys[0])) == 1
    assert await works(pair[1], bystander)


@pytest.fixture
def capped(tmp_path: Path, redis: RedisServer, backend: Renewing) -> Iterator[Pair]:
    """Two gateways on which a subject may have five sessions."""
    few = sections(backend, max_per_subject=5)
    with (
        gateway(tmp_path / "one", redis.url, **few) as one,
        gateway(tmp_path / "two", redis.url, **few) as two,
    ):
        yield one, two


async def test_as_many_sessions_as_there_may_be(capped: Pair) -> None:
    """The sixth login ends the first session; of twenty at once on both gateways, five are left."""
    keys = [log_in(capped[at % 2].port, "collector") for at in range(6)]
    await until_refused(capped[0], keys[0])
    await until_refused(capped[1], keys[0])
    assert all([await works(capped[0], key) for key in keys[1:]])
    loop = asyncio.get_running_loop()
    many = await asyncio.gather(
        *(loop.run_in_executor(None, log_in, capped[at % 2].port, "collector") for at in range(20))
    )
    for key in keys:
        await until_refused(capped[1], key)
    alive = [key for key in many if await works(capped[1], key)]
    assert len(alive) == 5
    assert len(await handles(capped[0], alive[0])) == 5

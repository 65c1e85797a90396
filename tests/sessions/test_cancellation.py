"""wire-rules.md#E10: a request that is cancelled at any moment never lets its reply reach another
one.
"""

import asyncio
import contextlib
import json
import random
from pathlib import Path

from tests.sessions.conftest import sections
from tests.support.delaying import delaying
from tests.support.gateway import gateway
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

_USERS = 200
_REQUESTS = 12  # of a user
_CANCELLED = 0.4  # of them
_DELAY = 0.04  # s, at most, of each piece of data to and from Redis


async def test_no_reply_reaches_another_user(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """200 users behind a slow Redis go away in the middle of logins and of calls: each answer is
    for the user who asked, by the token that the backend saw.
    """
    backend.life = 600
    wrong: list[object] = []
    with delaying(redis.port) as proxy, contextlib.ExitStack() as stack:
        # Few are remembered, so that most calls ask the store, whose answers come late.
        store = {"url": proxy.url, "timeout": HANG / 2, "near_cache": {"entries": _USERS // 10}}
        # All users have one address, and a slow machine makes them wait for each other.
        patient = {"limits": {"per_address": "100%"}, "timeouts": {"connect": HANG}}
        only = stack.enter_context(gateway(tmp_path, store, **sections(backend), **patient))
        proxy.delay = _DELAY
        answers = await asyncio.gather(
            *(_user(only.port, f"user{number}", wrong) for number in range(_USERS))
        )
    assert wrong == []
    assert sum(answers) > _USERS * _REQUESTS * (1 - _CANCELLED) / 2


async def _user(port: int, name: str, wrong: list[object]) -> int:
    """Logs in and calls; returns how many answers came."""
    chance = random.Random(name)
    for _ in range(3):
        await _cancelled(_ask(port, "POST", "/login", body={"username": name}), chance)
    login = await _ask(port, "POST", "/login", body={"username": name})
    assert "token" in login, login
    key = login["token"]
    answers = 0
    for _ in range(_REQUESTS):
        call = _ask(port, "GET", "/api/x", f"Authorization: Bearer {key}\r\n")
        if chance.random() < _CANCELLED:
            await _cancelled(call, chance)
            continue
        answer = await call
        answers += 1
        if answer.get("sub") != name:
            wrong.append((name, answer))
    return answers


async def _cancelled(request: object, chance: random.Random) -> None:
    """The connection is cut while the request is somewhere."""
    task = asyncio.ensure_future(request)  # type: ignore[call-overload]
    await asyncio.sleep(chance.random() * 3 * _DELAY)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task


async def _ask(
    port: int, method: str, path: str, fields: str = "", body: object = None
) -> dict[str, str]:
    data = json.dumps(body).encode() if body else b""
    async with asyncio.timeout(2 * HANG):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            answer = await reader.read()
        finally:
            writer.transport.abort()
    result: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return result

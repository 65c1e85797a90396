"""The memory that sessions take in Redis and in a worker's near cache."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import redis
import uvloop

from bench.ground import Ground, redis_server
from bench.machine import BenchError, cost, fresh_processes, running, say
from bench.walk import ISSUERS, ISSUERS_IDLE_TIMEOUT, issue_part
from gateway.config.load import load
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.observe.unsent_fields import UnsentFields
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions, open_sessions

_AT_ONCE = 256  # sessions that are resolved side by side
_WARM_UP = 4096  # sessions that are resolved before the memory is read for the first time


@dataclass(frozen=True)
class Held:
    """What one session takes, in bytes."""

    sessions: int  # that there were
    in_redis: float
    remembered: float  # by a worker's near cache


def hold(ground: Ground, number: int) -> Held:
    """Issue sessions in a Redis of their own, and remember all of them.

    A new process remembers them, so that its growth is theirs.
    """
    if number <= _WARM_UP:
        raise BenchError(f"more than {_WARM_UP} sessions are needed to see what one takes")
    say(f"issuing {number} sessions, and remembering them")
    socket = ground.directory / "held.sock"
    output = ground.directory / "held.log"
    with running(redis_server(socket), core=ground.cores.load, output=output, address=socket):
        empty = _used(socket)
        keys = _issue(ground, number)
        full = _used(socket)
        config = ground.config("held.yaml", "holder", entries=number, idle_timeout="30m")
        with fresh_processes(1) as pool:
            grown = pool.submit(_remember, config, keys).result()
    return Held(number, (full - empty) / number, grown / (number - _WARM_UP))


def _used(socket: Path) -> int:
    """Bytes that Redis has allocated for all that it holds."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        return int(client.info("memory")["used_memory"])


def _issue(ground: Ground, number: int) -> list[Path]:
    """Files with one key a line."""
    config = ground.config("held.yaml", "held", entries=0, idle_timeout=ISSUERS_IDLE_TIMEOUT)
    with fresh_processes(ISSUERS) as pool:
        return list(pool.map(partial(_issue_part, config, number), range(ISSUERS)))


def _issue_part(config_file: Path, number: int, part: int) -> Path:
    path = config_file.with_name(f"held-{part}.keys")
    with path.open("w") as file:
        issue_part(config_file, number, part, lambda key, _: file.write(f"{key}\n"))
    return path


def _remember(config_file: Path, keys: Sequence[Path]) -> int:
    """The growth (bytes) of this process when it remembers all sessions."""
    return uvloop.run(_resolve(config_file, keys))


async def _resolve(config_file: Path, keys: Sequence[Path]) -> int:
    config = load(config_file)
    sessions = open_sessions(
        config,
        url=config.store.url,
        secrets=tuple(secret.reveal() for secret in config.session.secrets),
        render=IdentityHeaders(config.identity, UnsentFields()),
    )
    await sessions.start()
    with ExitStack() as stack:
        # The keys are read as they are needed: a list of them would be counted, too.
        lines = chain.from_iterable(stack.enter_context(path.open("rb")) for path in keys)
        await _resolve_all(sessions, islice(lines, _WARM_UP))
        before = _resident()
        await _resolve_all(sessions, lines)
        grown = _resident() - before
    if len(sessions.near) != config.store.near_cache.entries:
        raise BenchError(f"the near cache remembers only {len(sessions.near)} sessions")
    await sessions.close()
    return grown


async def _resolve_all(sessions: Sessions, lines: Iterator[bytes]) -> None:
    while batch := [line.rstrip() for line in islice(lines, _AT_ONCE)]:
        for found in await asyncio.gather(*map(sessions.resolve, batch)):
            if isinstance(found, Unresolved):
                raise BenchError(f"a session that was issued is not found: {found.reason}")


def _resident() -> int:
    """Bytes that this process holds, without garbage."""
    gc.collect()
    return cost(os.getpid()).rss

"""Many sessions at once, issued by Latchkey's own code."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import redis.asyncio
import uvloop

from bench.credentials import TOKEN_LIFE, new_token
from bench.ground import Ground, give_to_peers
from bench.machine import fresh_processes
from gateway.config.load import load
from gateway.core.sessions.records import SEEN_AT
from gateway.core.sessions.session import Device
from gateway.store.issuer import Issued
from gateway.store.layout import Layout
from gateway.store.sessions import Sessions, open_sessions

ISSUERS = 2  # processes, one for each core

# Longer than the gateway's own idle timeout, and last seen in the future: no session looks as if it
# had been idle for a while, so Latchkey reads sessions and writes none, as its peers do.
ISSUERS_IDLE_TIMEOUT = "12h"
_SEEN_IN_SECONDS = 12 * 3600

_AT_ONCE = 32  # sessions that one process issues side by side
_DEVICE = Device("Firefox on Linux", "192.168.100.100")


def issue(ground: Ground, number: int) -> Path:
    """Issue sessions for Latchkey and its peers. Return a file of keys."""
    config = ground.config(
        "latchkey.yaml", "issuer", port=1, admin_port=2, idle_timeout=ISSUERS_IDLE_TIMEOUT
    )
    with fresh_processes(ISSUERS) as pool:
        parts = pool.map(partial(_issue, config, number), range(ISSUERS))
        tokens = {key: token for part in parts for key, token in part.items()}
    give_to_peers(ground, tokens)
    path = ground.directory / "keys"
    path.write_text("".join(f"{key}\n" for key in tokens))
    return path


def _issue(config_file: Path, number: int, part: int) -> dict[str, str]:
    """The tokens by their keys."""
    tokens: dict[str, str] = {}
    issue_part(config_file, number, part, tokens.__setitem__)
    return tokens


def issue_part(
    config_file: Path, number: int, part: int, note: Callable[[str, str], object]
) -> None:
    """Issue the sessions of one of the `ISSUERS`, each with its own subject.

    note: called with each key and its token
    """
    subjects = (f"user-{count}" for count in range(part, number, ISSUERS))
    uvloop.run(_issue_for(subjects, config_file, note))


async def _issue_for(
    subjects: Iterable[str], config_file: Path, note: Callable[[str, str], object]
) -> None:
    config = load(config_file)
    sessions = open_sessions(
        config,
        url=config.store.url,
        secrets=tuple(secret.reveal() for secret in config.session.secrets),
        render=lambda _: b"",
    )

    layout = Layout(config.store.prefix)
    seen = struct.pack(">I", int(time.time()) + _SEEN_IN_SECONDS)

    async def issue_until_done() -> None:
        for subject in subjects:
            issued, token = await _issue_one(sessions, subject)
            await client.setrange(layout.session(issued.session.id), SEEN_AT - 1, seen)
            note(issued.key.reveal(), token)

    async with redis.asyncio.from_url(config.store.url) as client:
        await asyncio.gather(*(issue_until_done() for _ in range(_AT_ONCE)))
    await sessions.close()


async def _issue_one(sessions: Sessions, subject: str) -> tuple[Issued, str]:
    token = new_token(subject)
    issued = await sessions.issue(
        token=token,
        subject=subject,
        login="/login",
        device=_DEVICE,
        token_expiry=time.time() + TOKEN_LIFE,
    )
    return issued, token

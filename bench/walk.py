"""Many sessions at once, for the cold walk."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bench.credentials import new_token
from bench.ground import Ground, give_to_peers
from gateway.config.load import load
from gateway.core.sessions import Device
from gateway.store.sessions import Sessions, open_sessions

_AT_ONCE = 32  # sessions that one process issues side by side
_PROCESSES = 2  # one for each core

# Longer than the gateway's own idle timeout: no session looks as if it had been idle for a while,
# so Latchkey reads sessions and writes none, as its peers do.
_IDLE_TIMEOUT = "12h"


def issue(ground: Ground, number: int) -> Path:
    """Issues sessions for Latchkey and its peers alike; the file has one key a line."""
    config = ground.config(
        "latchkey.yaml", "issuer", port=1, admin_port=2, idle_timeout=_IDLE_TIMEOUT
    )
    with ProcessPoolExecutor(_PROCESSES) as pool:
        parts = pool.map(partial(_issue, config, number // _PROCESSES), range(_PROCESSES))
        tokens = {key: token for part in parts for key, token in part.items()}
    give_to_peers(ground, tokens)
    path = ground.directory / "keys"
    path.write_text("".join(f"{key}\n" for key in tokens))
    return path


def _issue(config_file: Path, number: int, part: int) -> dict[str, str]:
    return asyncio.run(_issue_part(config_file, number, part))


async def _issue_part(config_file: Path, number: int, part: int) -> dict[str, str]:
    """The tokens by their keys; each session has a subject of its own."""
    config = load(config_file)
    sessions = open_sessions(
        config,
        url=config.store.url,
        secrets=tuple(secret.reveal() for secret in config.session.secrets),
        render=lambda _: b"",
    )
    tokens: dict[str, str] = {}
    subjects = (f"user-{part}-{each}" for each in range(number))

    async def issue_until_done() -> None:
        for subject in subjects:
            key, token = await _issue_one(sessions, subject)
            tokens[key] = token

    await asyncio.gather(*(issue_until_done() for _ in range(_AT_ONCE)))
    await sessions.close()
    return tokens


async def _issue_one(sessions: Sessions, subject: str) -> tuple[str, str]:
    token = new_token(subject)
    issued = await sessions.issue(
        token=token,
        subject=subject,
        login="backend",
        device=Device("bench", "127.0.0.1"),
        token_expiry=None,
    )
    return issued.key.reveal(), token

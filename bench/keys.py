"""Many sessions at once, for the cold walk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.ground import Ground, give_to_peers, new_token
from gateway.config.load import load
from gateway.core.sessions import Device
from gateway.store.sessions import Sessions, open_sessions

_AT_ONCE = 32  # sessions that are issued side by side


def issue(ground: Ground, number: int) -> Path:
    """Issues sessions for Latchkey and its peers alike; the file has one key a line."""
    tokens = asyncio.run(_issue(ground, number))
    give_to_peers(ground, tokens)
    path = ground.directory / "keys"
    path.write_text("".join(f"{key}\n" for key in tokens))
    return path


async def _issue(ground: Ground, number: int) -> dict[str, str]:
    """The tokens by their keys; each session has a subject of its own."""
    config = load(ground.config("latchkey.yaml", "issuer", port=1, admin_port=2))
    sessions = open_sessions(
        config,
        url=config.store.url,
        secrets=tuple(secret.get_secret_value() for secret in config.session.secrets),
        render=lambda _: b"",
    )
    tokens: dict[str, str] = {}
    subjects = iter(range(number))

    async def issue_until_done() -> None:
        for subject in subjects:
            key, token = await _issue_one(sessions, f"user-{subject}")
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

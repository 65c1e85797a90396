"""Temporary tokens, which pending logins issue. No session ever has one."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.store.replay_guard import ReplayGuard

# How long a temporary token is remembered (seconds). Backends let them expire after minutes.
_LIFETIME_SECONDS = 86400.0


class TemporaryTokens:
    """Remembers them, for all gateways. Both methods raise `StoreUnavailable`."""

    def __init__(self, guard: ReplayGuard) -> None:
        self._guard = guard

    async def add(self, tokens: Iterable[str]) -> None:
        """Remember tokens, before a client gets them."""
        for token in tokens:
            await self._guard.claim(_name(token), _LIFETIME_SECONDS)

    async def holds(self, token: str) -> bool:
        """Whether a pending login has handed this token out."""
        return await self._guard.is_claimed(_name(token))


def _name(token: str) -> str:
    return f"temporary {token}"

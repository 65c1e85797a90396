"""The last answer to a session's refresh calls, for a moment.

Tabs of one browser refresh at the same time, on any gateway. The first one's renewal answers all.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import NONCE_BYTES, Sealer, Unsealable
from gateway.core.sessions.session import Session
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client


class RefreshAnswers:
    """Keeps answers, sealed as sessions are."""

    def __init__(self, client: Client, layout: Layout, sealer: Sealer, timeout: float) -> None:
        """`timeout` bounds each of the store's answers (seconds)."""
        self._client = client
        self._layout = layout
        self._sealer = sealer
        self._timeout = timeout

    async def keep(self, key: Key, session: Session, answer: bytes, lasts: float) -> None:
        """Keep the answer that came with the session's token, for so many seconds.

        If the store is away, the next refresh call asks the backend again.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._sealer.seal(key, _beside(session), answer, nonce)
        name = self._layout.answer(session.id)
        with suppress(StoreUnavailable):
            await self._ask(self._client.set(name, sealed, px=max(1, int(lasts * 1000))))

    async def get(self, key: Key, session: Session) -> bytes | None:
        """The answer beside the session's token. Raises `StoreUnavailable`."""
        sealed = await self._ask(self._client.get(self._layout.answer(session.id)))
        if sealed is None:
            return None
        try:
            return self._sealer.open(key, _beside(session), sealed)
        except Unsealable:
            return None

    async def _ask(self, work: Awaitable[Any]) -> Any:
        return await bounded(work, self._timeout)


def _beside(session: Session) -> bytes:
    """The data that the seal authenticates: an answer belongs to a session's token."""
    return b"answer\n%b\n%b" % (session.id.encode(), hashlib.sha256(session.token.raw).digest())

"""Ending recently ended sessions again when another primary takes over.

Replication is asynchronous, and two servers take writes for a while when Sentinel changes the
primary: a session that was deleted on the old one may still be on the new one. So each worker
remembers the sessions that it has ended and refuses them. When it begins to follow a primary, it
ends them again before it trusts it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client

# How long a revocation is remembered (seconds). An old primary is left within seconds, and a
# promoted replica was not further behind.
_REMEMBERED_SECONDS = 60.0

# One worker sees fewer logouts in a minute: so many would take a third of a core.
_MAX_SESSIONS = 20_000

_BATCH = 1000


class Revocations:
    """The sessions that this worker has ended in the last minute."""

    def __init__(self, client: Client, layout: Layout, timeout: float) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._client = client
        self._layout = layout
        self._timeout = timeout
        self._asked: dict[str, float] = {}  # when (monotonic), in that order
        self._done: set[str] = set()

    def asked(self, session_ids: Iterable[str]) -> None:
        """Remember sessions that are being ended, whatever the store answers."""
        now = time.monotonic()
        for session_id in session_ids:
            self._asked.pop(session_id, None)
            self._asked[session_id] = now
        for oldest in list(islice(self._asked, max(0, len(self._asked) - _MAX_SESSIONS))):
            self._forget(oldest)
        while (
            self._asked
            and self._asked[oldest := next(iter(self._asked))] < now - _REMEMBERED_SECONDS
        ):
            self._forget(oldest)

    def done(self, session_ids: Iterable[str]) -> None:
        """Note that the store has answered that these sessions are gone."""
        self._done.update(session_id for session_id in session_ids if session_id in self._asked)

    def is_done(self, session_id: str) -> bool:
        """Whether a session was ended here, even if a new primary still has it."""
        return session_id in self._done

    async def repeat(self) -> None:
        """End all of them again. Raises `StoreUnavailable`."""
        ids = list(self._asked)
        for at in range(0, len(ids), _BATCH):
            async with self._client.pipeline(transaction=False) as pipe:
                for session_id in ids[at : at + _BATCH]:
                    pipe.delete(self._layout.session(session_id))
                await bounded(pipe.execute(), self._timeout)

    def _forget(self, session_id: str) -> None:
        del self._asked[session_id]
        self._done.discard(session_id)

"""What was ended lately is ended once more when another primary takes over.

Replication is asynchronous, and Sentinel lets two servers take writes for a while when it changes
the primary: what was deleted on the old one may still be on the new one. So each worker remembers
what it has ended, and repeats it whenever it begins to follow a primary, before it trusts it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from gateway.store.connect import Client
from gateway.store.errors import bounded
from gateway.store.layout import Layout

# An old primary is left within seconds, and a replica that is promoted was not behind by more.
_REMEMBERED = 60.0

# More logouts than that in a minute, one worker does not see: it would take a third of a core.
_MOST = 20_000

_AT_ONCE = 1000


class Revocations:
    """The sessions that this worker has ended in the last minute."""

    def __init__(self, client: Client, layout: Layout, timeout: float) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._client = client
        self._layout = layout
        self._timeout = timeout
        self._ended: deque[tuple[float, str]] = deque(maxlen=_MOST)  # when (monotonic), and which

    def note(self, session_ids: Iterable[str]) -> None:
        """These are to be gone, whether or not the store says that they are."""
        now = time.monotonic()
        self._ended.extend((now, each) for each in session_ids)
        while self._ended and self._ended[0][0] < now - _REMEMBERED:
            self._ended.popleft()

    async def repeat(self) -> None:
        """Ends them again. Raises `StoreUnavailable`."""
        since = time.monotonic() - _REMEMBERED
        ids = [session_id for moment, session_id in self._ended if moment >= since]
        for at in range(0, len(ids), _AT_ONCE):
            async with self._client.pipeline(transaction=False) as pipe:
                for each in ids[at : at + _AT_ONCE]:
                    pipe.delete(self._layout.session(each))
                await bounded(pipe.execute(), self._timeout)

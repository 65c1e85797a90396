"""What may be used once, over all gateways: whoever comes first has it."""

from __future__ import annotations

from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client


class Once:
    """Remembers what has been used, for as long as it could be used again."""

    def __init__(self, client: Client, layout: Layout, timeout: float) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._client = client
        self._layout = layout
        self._timeout = timeout

    async def is_first(self, name: str, lasts: float) -> bool:
        """Whether nobody has used what has this name; from now on, and for `lasts` seconds,
        somebody has. Raises `StoreUnavailable`; then it may count as used.
        """
        used = self._layout.used(name)
        took = self._client.set(used, b"", nx=True, px=max(1, int(lasts * 1000)))
        return await bounded(took, self._timeout) is not None

    async def is_used(self, name: str) -> bool:
        """Whether somebody has used what has this name. Raises `StoreUnavailable`."""
        return bool(await bounded(self._client.exists(self._layout.used(name)), self._timeout))

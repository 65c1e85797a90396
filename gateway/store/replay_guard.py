"""What may be used once, over all gateways: the first to claim it has it."""

from __future__ import annotations

from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client


class ReplayGuard:
    """Remembers what has been used, for as long as it could be used again."""

    def __init__(self, client: Client, layout: Layout, timeout: float) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._client = client
        self._layout = layout
        self._timeout = timeout

    async def claim(self, name: str, lifetime: float) -> bool:
        """Claim `name` for `lifetime` seconds (SET NX PX).

        True for the first caller only.

        Raises `StoreUnavailable`; then it may count as used.
        """
        used = self._layout.used(name)
        claimed = self._client.set(used, b"", nx=True, px=max(1, int(lifetime * 1000)))
        return await bounded(claimed, self._timeout) is not None

    async def is_claimed(self, name: str) -> bool:
        """Whether `name` has been claimed. Raises `StoreUnavailable`."""
        return bool(await bounded(self._client.exists(self._layout.used(name)), self._timeout))

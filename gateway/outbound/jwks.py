"""Key sets of identity providers (RFC 7517 §5).

Only an unknown key is waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import aiohttp

from gateway.outbound.cached_document import CachedDocument, NoAnswer, Unavailable
from gateway.outbound.http_client import open_client

if TYPE_CHECKING:
    from gateway.core.tokens.verifying_keys import VerifyingKey

_log = logging.getLogger("gateway.outbound.jwks")


class KeysUnavailable(Exception):
    """The provider's keys cannot be fetched, and the known ones are too old."""


class KeySet(CachedDocument["tuple[VerifyingKey, ...]"]):
    """The keys that one provider publishes at one address."""

    WHAT = "the keys"

    async def keys(self) -> Sequence[VerifyingKey]:
        """The known keys. Waits for nothing but a future (`relay.loop.eager`).

        Raises `KeysUnavailable`.
        """
        try:
            return await self.current()
        except Unavailable:
            raise KeysUnavailable from None

    async def newer(self) -> Sequence[VerifyingKey]:
        """The keys after one more fetch, unless they were fetched a moment ago.

        Raises `KeysUnavailable` if the fetch has failed.
        """
        try:
            return await self.fetched_anew()
        except Unavailable:
            raise KeysUnavailable from None

    def _read(self, data: bytes) -> tuple[VerifyingKey, ...]:
        from gateway.core.tokens import verifying_keys

        try:
            keys = verifying_keys.read_key_set(data)
        except verifying_keys.BadKey as error:
            raise NoAnswer(str(error)) from None
        if not keys:
            _log.warning("%s publishes no key that can be used", self._url.raw_host)
        return keys


class KeySets:
    """The key sets in use: one for each address."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None
        self._sets: dict[str, KeySet] = {}

    def at(self, url: str) -> KeySet:
        """The key set of an address."""
        if self._client is None:
            self._client = open_client(accept="application/json, application/jwk-set+json")
        if url not in self._sets:
            self._sets[url] = KeySet(self._client, url)
        return self._sets[url]

    async def close(self) -> None:
        for key_set in self._sets.values():
            await key_set.close()
        if self._client is not None:
            await self._client.close()

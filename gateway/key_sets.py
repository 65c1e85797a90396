"""Key sets that identity providers publish: fetched, remembered, and fetched again when that helps.

Nobody waits for a fetch who can do without: known keys are renewed beside those who use them, and
kept for a while when the provider is down. Only a key that nobody knows is waited for, and since
anybody may make up its name, that is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

import aiohttp
from yarl import URL

from gateway.core import verifying_keys
from gateway.core.verifying_keys import BadKey, VerifyingKey

_log = logging.getLogger("gateway.key_sets")

# All in seconds. A key that its provider takes back is believed for `_FRESH` longer, or for `_KEPT`
# if the provider cannot be asked: an hour, in which somebody will have put it right.
_FRESH = 300.0
_KEPT = 3600.0
_PAUSE = 5.0  # the least between two fetches of the same set
_TIMEOUT = 5.0  # of a fetch

# A set of a hundred large keys with their certificates takes less.
_MOST_BYTES = 512 * 1024
_PIECE = 65536


class KeysUnavailable(Exception):
    """The provider cannot be asked for its keys, and what is known of them is too old."""


class KeySet:
    """The keys that one provider publishes at one address."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        url: str,
        *,
        fresh: float = _FRESH,
        kept: float = _KEPT,
        pause: float = _PAUSE,
        timeout: float = _TIMEOUT,
    ) -> None:
        """All times are in seconds."""
        self._client = client
        self._url = URL(url)
        self._fresh = fresh
        self._kept = kept
        self._pause = pause
        self._timeout = timeout
        self._keys: tuple[VerifyingKey, ...] = ()
        self._got_at = self._asked_at = -math.inf  # monotonic
        self._fetching: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def keys(self) -> Sequence[VerifyingKey]:
        """The keys as far as they are known; waits only when they are too old to be believed.

        Waits for nothing but a future (see `relay.eager`). Raises `KeysUnavailable`.
        """
        if self._age > self._fresh:
            self._fetch_soon()
        if self._age > self._kept:
            await self._fetched()
        if self._age > self._kept:
            raise KeysUnavailable
        return self._keys

    async def newer(self) -> Sequence[VerifyingKey]:
        """The keys after they have been fetched once more, unless that was done a moment ago."""
        self._fetch_soon()
        await self._fetched()
        return self._keys

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    @property
    def _age(self) -> float:
        return time.monotonic() - self._got_at

    def _fetch_soon(self) -> None:
        if self._fetching is None and time.monotonic() - self._asked_at >= self._pause:
            self._asked_at = time.monotonic()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetched(self) -> None:
        """Waits for a fetch under way. Each has a future of its own, so one who goes away takes
        nobody along.
        """
        if self._fetching is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                keys = verifying_keys.read_key_set(await self._download())
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            reason = str(error) if isinstance(error, BadKey) else type(error).__name__
            _log.warning("the keys of %s cannot be fetched: %s", self._url.host, reason)
        else:
            if not keys:
                _log.warning("%s publishes no key that can be used", self._url.host)
            self._keys, self._got_at = keys, time.monotonic()
        finally:
            self._fetching = None
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def _download(self) -> bytes:
        """The document. Whoever answers with a redirect, or without an end, has not answered."""
        async with self._client.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise BadKey(f"the answer is {response.status}")
            data = b""
            async for piece in response.content.iter_chunked(_PIECE):
                data += piece
                if len(data) > _MOST_BYTES:
                    raise BadKey("the answer is too large")
            return data


class KeySets:
    """The key sets in use, each once, whoever uses it."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None
        self._sets: dict[str, KeySet] = {}

    def at(self, url: str) -> KeySet:
        """The key set of an address."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json, application/jwk-set+json"},
                skip_auto_headers=("User-Agent",),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
        if url not in self._sets:
            self._sets[url] = KeySet(self._client, url)
        return self._sets[url]

    async def close(self) -> None:
        for each in self._sets.values():
            await each.close()
        if self._client is not None:
            await self._client.close()

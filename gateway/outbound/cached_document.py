"""Documents of identity providers: fetched, remembered, fetched again.

A known document is renewed beside the requests that use it, and kept for a while when its provider
is down. A request waits only for what is unknown. Since any client can ask for what does not exist,
such fetches are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import aiohttp
from yarl import URL

from gateway.outbound.http_client import BodyTooLarge, read_body

_log = logging.getLogger("gateway.outbound.cached_document")

# A document that its provider takes back is believed for so much longer; and for the second time if
# the provider cannot be asked: an hour, in which an operator can put it right.
_FRESH_SECONDS = 300.0
_KEPT_SECONDS = 3600.0
_PAUSE_SECONDS = 5.0  # at least, between two fetches of the same document
_TIMEOUT_SECONDS = 5.0  # of a fetch

# A set of a hundred large keys with their certificates takes less.
_MAX_BYTES = 512 * 1024

T = TypeVar("T")


class Unavailable(Exception):
    """The provider cannot be asked, and the known document is too old."""


class NoAnswer(ValueError):
    """The answer is no usable document. The message may be logged."""


class CachedDocument(ABC, Generic[T]):
    """The document that one provider publishes at one address."""

    WHAT: ClassVar[str]  # its name in the log

    def __init__(
        self,
        client: aiohttp.ClientSession,
        url: str,
        *,
        fresh: float = _FRESH_SECONDS,
        kept: float = _KEPT_SECONDS,
        pause: float = _PAUSE_SECONDS,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:
        """All times are in seconds."""
        self._client = client
        self._url = URL(url)
        self._fresh = fresh
        self._kept = kept
        self._pause = pause
        self._timeout = timeout
        self._known: T | None = None
        self._got_at = self._asked_at = -math.inf  # monotonic
        self._fetching: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def current(self) -> T:
        """The known document. Waits only when it is too old to be believed.

        Waits for nothing but a future (see `relay.loop.eager`). Raises `Unavailable`.
        """
        if self._age > self._fresh:
            self._fetch_soon()
        if self._age > self._kept:
            await self._fetched()
        if self._known is None or self._age > self._kept:
            raise Unavailable
        return self._known

    async def fetched_anew(self) -> T:
        """The document after one more fetch, unless it was fetched a moment ago.

        Raises `Unavailable` if the last fetch has failed: what is published now is unknown then.
        """
        self._fetch_soon()
        await self._fetched()
        if self._known is None or self._got_at < self._asked_at:
            raise Unavailable
        return self._known

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    @abstractmethod
    def _read(self, data: bytes) -> T:
        """Read the document. Raises `NoAnswer`."""

    @property
    def _age(self) -> float:
        return time.monotonic() - self._got_at

    def _fetch_soon(self) -> None:
        if self._fetching is None and time.monotonic() - self._asked_at >= self._pause:
            self._asked_at = time.monotonic()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetched(self) -> None:
        """Wait for a fetch under way.

        Each caller has a future of its own, so one that is cancelled takes no other with it.
        """
        if self._fetching is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                known = self._read(await self._download())
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            has_text = isinstance(error, NoAnswer)
            reason = str(error) if has_text else type(error).__name__
            _log.warning("%s of %s cannot be fetched: %s", self.WHAT, self._url.raw_host, reason)
        else:
            self._known, self._got_at = known, time.monotonic()
        finally:
            self._fetching = None
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def _download(self) -> bytes:
        """The document's bytes. A redirect or an incomplete answer is refused."""
        async with self._client.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise NoAnswer(f"the answer is {response.status}")
            try:
                return await read_body(response, _MAX_BYTES)
            except BodyTooLarge:
                raise NoAnswer("the answer is too large") from None

"""What identity providers publish: fetched, remembered, and fetched again when that helps.

Nobody waits for a fetch who can do without: what is known is renewed beside those who use it, and
kept for a while when the provider is down. Only what nobody knows is waited for, and since anybody
may ask for what there is not, that is bounded.
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

# All in seconds. What its provider takes back is believed for `_FRESH` longer, or for `_KEPT` if
# the provider cannot be asked: an hour, in which somebody will have put it right.
_FRESH = 300.0
_KEPT = 3600.0
_PAUSE = 5.0  # the least between two fetches of the same document
_TIMEOUT = 5.0  # of a fetch

# A set of a hundred large keys with their certificates takes less.
_MAX_BYTES = 512 * 1024

T = TypeVar("T")


class Unavailable(Exception):
    """The provider cannot be asked, and what is known is too old."""


class NoAnswer(ValueError):
    """What came is not the document, or cannot be used; the message says why, and may be logged."""


class CachedDocument(ABC, Generic[T]):
    """The document that one provider publishes at one address."""

    WHAT: ClassVar[str]  # it is called in the log

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
        self._known: T | None = None
        self._got_at = self._asked_at = -math.inf  # monotonic
        self._fetching: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def current(self) -> T:
        """What is known; waits only when that is too old to be believed.

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
        """What is known after it has been fetched once more, unless that was done a moment ago.

        Raises `Unavailable` if the last fetch has brought nothing, for then nobody knows what there
        may be by now.
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
        """What the document says. Raises `NoAnswer`."""

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
        """The document. Whoever answers with a redirect, or without an end, has not answered."""
        async with self._client.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise NoAnswer(f"the answer is {response.status}")
            try:
                return await read_body(response, _MAX_BYTES)
            except BodyTooLarge:
                raise NoAnswer("the answer is too large") from None

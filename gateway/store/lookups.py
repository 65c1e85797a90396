"""Looking sessions up: the misses of one loop turn leave as one command."""

from __future__ import annotations

import asyncio
import logging

from redis.exceptions import RedisError

from gateway.store.errors import StoreUnavailable, error_text
from gateway.store.record_reader import RecordReader, UntouchingReader

_log = logging.getLogger("gateway.store")

Waiting = dict[str, list[asyncio.Future[bytes | None]]]  # callers, by session id


class Lookups:
    """Records by session id, for all callers of the same turn of the loop."""

    def __init__(self, reader: RecordReader | UntouchingReader, timeout: float) -> None:
        """`timeout` bounds a caller's whole wait, retries included (seconds)."""
        self._reader = reader
        self._timeout = timeout
        # Asking for the running loop costs a system call each time (CPython 3.11 looks at the
        # process id), so it is asked for once.
        self._loop = asyncio.get_running_loop()
        self._waiting: Waiting = {}
        self._sent: Waiting = {}  # the latest look-up of an id that has not been answered
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, session_id: str) -> asyncio.Future[bytes | None]:
        """The record, or None if there is none; or `StoreUnavailable`.

        Callers that come while an answer is on its way share it. Each has a future of its own, so
        that one that is cancelled takes no other with it.
        """
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        shared = self._sent.get(session_id)
        if shared is not None:
            shared.append(future)
            return future
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.setdefault(session_id, []).append(future)
        return future

    def changed(self, session_id: str | None) -> None:
        """Share answers on their way with no later caller: a session has changed.

        session_id: None if any may have changed
        """
        if session_id is None:
            self._sent.clear()
        else:
            self._sent.pop(session_id, None)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.close()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._sent.update(waiting)
        ids, batch_size = list(waiting), self._reader.max_ids
        for at in range(0, len(ids), batch_size):
            batch = {session_id: waiting[session_id] for session_id in ids[at : at + batch_size]}
            task = self._loop.create_task(self._answer(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Waiting) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                records = await self._reader.read(list(batch))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, RedisError | OSError | asyncio.CancelledError):
                _log.error("a look-up failed: %s", error_text(error))
            # What was asked over the link may be answered late, or never.
            self._reader.drop_link()
            self._answered(batch)
            for futures in batch.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(StoreUnavailable())
            return
        self._answered(batch)
        for futures, record in zip(batch.values(), records, strict=True):
            for future in futures:
                if not future.done():
                    future.set_result(record)

    def _answered(self, batch: Waiting) -> None:
        """Share a batch with no later caller: its answers have come."""
        for session_id, futures in batch.items():
            if self._sent.get(session_id) is futures:
                del self._sent[session_id]

"""Whose sessions there are: found without any key, for lists of devices and for who must end them.

A session is entered after it has been written, so an entry without its session is one of a session
that has ended. Whoever reads the index removes such entries; so it heals, whatever was cut off.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from gateway.core.sessions import records
from gateway.core.sessions.records import Foreign, SessionInfo
from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client, Command
from gateway.store.writes import Writes

_log = logging.getLogger("gateway.store")

# How many records are read at once: 1,000 take Redis about a millisecond.
_BATCH = 1000

T = TypeVar("T")


class Directory:
    """The indexes of sessions: by subject, and by what others call them.

    Everything raises `StoreUnavailable`.
    """

    def __init__(self, client: Client, layout: Layout, writes: Writes, timeout: float) -> None:
        """`writes` says when a write is safe; `timeout` bounds each of the store's answers (s)."""
        self._client = client
        self._layout = layout
        self._writes = writes
        self._timeout = timeout

    async def enter(
        self,
        subject: str,
        session_id: str,
        ends_at: float,
        now: float,
        names: Iterable[str] = (),
    ) -> int:
        """Takes note of a session that is issued now and has been written; times are UNIX seconds.
        It can be found by its subject, and by what others call it. Returns how many sessions the
        subject's index names, of which some may have ended.

        It is scored by the second in which it ends, and within that by when in its second it was
        issued: of sessions that were issued in the same second, the record does not tell the older.
        """
        last = math.ceil(ends_at)
        by_subject = self._layout.subject(subject)
        commands: list[Command] = []
        for index in (by_subject, *map(self._layout.name, names)):
            commands += (
                ("ZREMRANGEBYSCORE", index, "-inf", now),
                ("ZADD", index, last + now % 1, session_id),
                ("EXPIREAT", index, last, "GT"),
                ("EXPIREAT", index, last, "NX"),
            )
        size: int = (await self._writes.do(*commands, ("ZCARD", by_subject)))[-1]
        return size

    async def extend(self, subject: str, session_id: str, ends_at: float) -> None:
        """Takes note that a session is about to end later; its place among those that were issued
        in the same second stays.
        """
        index, last = self._layout.subject(subject), math.ceil(ends_at)
        score: Any = await bounded(self._client.zscore(index, session_id), self._timeout)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(index, {session_id: last + (score or 0.0) % 1})
            pipe.expireat(index, last, gt=True)
            pipe.expireat(index, last, nx=True)
            await bounded(pipe.execute(), self._timeout)

    async def leave(self, gone: Mapping[str, str]) -> None:
        """Takes sessions that have ended out of the index: the subjects by session ids."""
        for some in _pieces(gone):
            async with self._client.pipeline(transaction=False) as pipe:
                for session_id in some:
                    pipe.zrem(self._layout.subject(gone[session_id]), session_id)
                await bounded(pipe.execute(), self._timeout)

    async def of(self, subject: str) -> dict[str, SessionInfo]:
        """A subject's sessions by their ids, the one that was seen last first."""
        held = await self._held(subject)
        order = sorted(held, key=lambda session_id: held[session_id][0].seen, reverse=True)
        return {session_id: held[session_id][0] for session_id in order}

    async def newest(self, subject: str, limit: int) -> tuple[dict[str, SessionInfo], int]:
        """At most so many of a subject's sessions: those that end last, by their ids, the one that
        was seen last first. And how many its index names, of which some may have ended.

        What this costs is bounded by `limit`, and by what has ended and leaves the index for it.
        """
        index, held, start = self._layout.subject(subject), dict[str, SessionInfo](), 0
        while len(held) < limit:
            found: Any = await bounded(
                self._client.zrange(index, start, start + limit - 1, desc=True), self._timeout
            )
            ids = [member.decode("ascii", "replace") for member in found]
            if not ids:
                break
            living, gone = await self._told_apart(subject, ids)
            held |= dict(islice(living.items(), limit - len(held)))
            await self.leave(gone)
            start += len(ids) - len(gone)
        size: int = await bounded(self._client.zcard(index), self._timeout)
        order = sorted(held, key=lambda session_id: held[session_id].seen, reverse=True)
        return {session_id: held[session_id] for session_id in order}, size

    async def named(self, name: str) -> list[str]:
        """The ids of the sessions that others call so; what has ended leaves the index."""
        index = self._layout.name(name)
        ids: Any = await bounded(self._client.zrange(index, 0, -1), self._timeout)
        held: list[str] = []
        for some in _pieces(member.decode("ascii", "replace") for member in ids):
            found = dict(zip(some, await self._records(some), strict=True))
            held += [session_id for session_id, record in found.items() if record is not None]
            gone = [session_id for session_id, record in found.items() if record is None]
            if gone:
                await bounded(self._client.zrem(index, *gone), self._timeout)
        return held

    async def by_age(self, subject: str) -> list[str]:
        """The ids of a subject's sessions, the oldest first: in the same order for all who ask.

        Without those of named keys, which are no devices.
        """
        found = await self._held(subject)
        held = {
            session_id: (info, score)
            for session_id, (info, score) in found.items()
            if not info.is_named
        }
        return sorted(held, key=lambda name: (held[name][0].created, held[name][1] % 1, name))

    async def _held(self, subject: str) -> dict[str, tuple[SessionInfo, float]]:
        """A subject's sessions with their scores; what has ended leaves the index."""
        index = self._layout.subject(subject)
        entries: Any = await bounded(
            self._client.zrange(index, 0, -1, withscores=True), self._timeout
        )
        scores = {member.decode("ascii", "replace"): score for member, score in entries}
        held: dict[str, tuple[SessionInfo, float]] = {}
        for some in _pieces(scores):
            living, gone = await self._told_apart(subject, some)
            held |= {session_id: (info, scores[session_id]) for session_id, info in living.items()}
            await self.leave(gone)
        return held

    async def _told_apart(
        self, subject: str, session_ids: Sequence[str]
    ) -> tuple[dict[str, SessionInfo], dict[str, str]]:
        """What is said in the open of those sessions that live, and the subject by those that have
        ended. A session that this version cannot read is neither.
        """
        living: dict[str, SessionInfo] = {}
        gone: dict[str, str] = {}
        for session_id, record in zip(session_ids, await self._records(session_ids), strict=True):
            if record is None:
                gone[session_id] = subject
                continue
            with contextlib.suppress(Foreign):
                info = records.read_info(record)
                if info.subject == subject:
                    living[session_id] = info
        return living, gone

    async def every(self) -> AsyncIterator[dict[str, SessionInfo]]:
        """All sessions that there are, some at a time and in no order; of those that come or go
        meanwhile, perhaps.
        """
        names: Any = self._client.scan_iter(match=f"{self._layout.sessions}*", count=_BATCH)
        some: list[str] = []
        while (name := await bounded(anext(names, None), self._timeout)) is not None:
            some.append(self._layout.session_id(name))
            if len(some) == _BATCH:
                yield await self.infos(some)
                some = []
        yield await self.infos(some)

    async def count(self) -> int:
        """How many sessions there are, as nearly as `every` tells."""
        names: Any = self._client.scan_iter(match=f"{self._layout.sessions}*", count=_BATCH)
        count = 0
        while await bounded(anext(names, None), self._timeout) is not None:
            count += 1
        return count

    async def ids(self, subject: str) -> list[str]:
        """The ids of a subject's sessions, and perhaps of some that have ended."""
        index = self._layout.subject(subject)
        ids: Any = await bounded(self._client.zrange(index, 0, -1), self._timeout)
        return [member.decode("ascii", "replace") for member in ids]

    async def restore(self, subject: str, present: str) -> None:
        """Makes a subject's index anew if it does not name the session `present`, which lives: then
        it was lost, as a Redis that evicts keys (a `maxmemory-policy` other than noeviction) or its
        operator may lose it. All sessions that there are have to be looked through.
        """
        index = self._layout.subject(subject)
        if await bounded(self._client.zscore(index, present), self._timeout) is not None:
            return
        _log.warning("the index of a subject's sessions was lost, and is made anew")
        async for some in self.every():
            for session_id, info in some.items():
                if info.subject == subject:
                    await self.enter(subject, session_id, info.ends_at, info.created)

    async def infos(self, session_ids: Sequence[str]) -> dict[str, SessionInfo]:
        """What is said in the open of those sessions that there are."""
        found = {}
        for session_id, record in zip(session_ids, await self._records(session_ids), strict=True):
            if record is not None:
                with contextlib.suppress(Foreign):
                    found[session_id] = records.read_info(record)
        return found

    async def _records(self, session_ids: Sequence[str]) -> list[bytes | None]:
        if not session_ids:
            return []
        async with self._client.pipeline(transaction=False) as pipe:
            for session_id in session_ids:
                pipe.get(self._layout.session(session_id))
            return await bounded(pipe.execute(), self._timeout)


def _pieces(items: Iterable[T]) -> Iterable[list[T]]:
    """The items in lists of a size that one command takes."""
    rest = iter(items)
    while piece := list(islice(rest, _BATCH)):
        yield piece

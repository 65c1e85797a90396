"""The directory: an index of sessions by subject, which needs no key.

Lists of devices and logouts with a scope read it. A session is entered after it was written, so an
entry without a session belongs to one that has ended. Every reader removes such entries: so the
index heals, whatever was interrupted.
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
    """The indexes of sessions: by subject, and by providers' names.

    Everything raises `StoreUnavailable`.
    """

    def __init__(self, client: Client, layout: Layout, writes: Writes, timeout: float) -> None:
        """`timeout` is for each of the store's answers (seconds).

        `writes` knows when a write is safe.
        """
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
        """Enter a session that was just written. Times are UNIX seconds.

        It can be found by its subject and by `names`. Returns how many sessions the subject's index
        names, of which some may have ended.

        The score is the second in which the session ends, and its fraction is that of the moment of
        issue: records count whole seconds, and cannot tell which of two sessions is the older one.
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
        """Note that a session is about to end later.

        It keeps its place among the sessions that were issued in the same second.
        """
        index, last = self._layout.subject(subject), math.ceil(ends_at)
        score: Any = await bounded(self._client.zscore(index, session_id), self._timeout)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(index, {session_id: last + (score or 0.0) % 1})
            pipe.expireat(index, last, gt=True)
            pipe.expireat(index, last, nx=True)
            await bounded(pipe.execute(), self._timeout)

    async def leave(self, gone: Mapping[str, str]) -> None:
        """Remove sessions that have ended; `gone` maps session ids to subjects."""
        for some in _pieces(gone):
            async with self._client.pipeline(transaction=False) as pipe:
                for session_id in some:
                    pipe.zrem(self._layout.subject(gone[session_id]), session_id)
                await bounded(pipe.execute(), self._timeout)

    async def of(self, subject: str) -> dict[str, SessionInfo]:
        """A subject's sessions by their ids, the last seen first."""
        held = await self._held(subject)
        order = sorted(held, key=lambda session_id: held[session_id][0].seen, reverse=True)
        return {session_id: held[session_id][0] for session_id in order}

    async def newest(self, subject: str, limit: int) -> tuple[dict[str, SessionInfo], int]:
        """A subject's sessions, at most `limit` of them, the last seen first.

        They are those that end last. Also returns how many sessions the index names, of which some
        may have ended. The cost is bounded by `limit`, and by the ended ones that leave the index.
        """
        index, held, start = self._layout.subject(subject), dict[str, SessionInfo](), 0
        while len(held) < limit:
            found: Any = await bounded(
                self._client.zrange(index, start, start + limit - 1, desc=True), self._timeout
            )
            ids = [member.decode("ascii", "replace") for member in found]
            if not ids:
                break
            living, gone = await self._living_and_gone(subject, ids)
            held |= dict(islice(living.items(), limit - len(held)))
            await self.leave(gone)
            start += len(ids) - len(gone)
        size: int = await bounded(self._client.zcard(index), self._timeout)
        order = sorted(held, key=lambda session_id: held[session_id].seen, reverse=True)
        return {session_id: held[session_id] for session_id in order}, size

    async def named(self, name: str) -> list[str]:
        """The ids of the sessions of this name; what has ended leaves the index."""
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
        """The ids of a subject's sessions, the oldest first.

        The order is the same for every caller. Sessions of named keys are left out, since they are
        no devices.
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
            living, gone = await self._living_and_gone(subject, some)
            held |= {session_id: (info, scores[session_id]) for session_id, info in living.items()}
            await self.leave(gone)
        return held

    async def _living_and_gone(
        self, subject: str, session_ids: Sequence[str]
    ) -> tuple[dict[str, SessionInfo], dict[str, str]]:
        """The living sessions with their info, and the subject's ended ones.

        A session that this version cannot read is neither.
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
        """All sessions, some at a time and in no order.

        Those that come or go meanwhile may or may not be among them.
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
        """How many sessions there are, as exactly as `every` lists them."""
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
        """Make a subject's index anew if it lacks `present`, which is alive.

        Then the index was lost: a Redis that evicts keys (a `maxmemory-policy` other than
        noeviction) may lose it, or an operator. This reads all sessions.
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
        """The session info of those that live, by their ids."""
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

"""Renewing tokens: one renewal of a session at a time.

None succeeds after a revocation. Backends rotate refresh tokens, and many take the second use of
one for a theft and end the session. So a renewal holds a lease over all gateways (`leases.py`)
while the backend is asked. The new token is written only over the very value that was read: a
session that was revoked meanwhile stays gone, and a renewal that comes too late writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.core.logins import double_submit
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Session, Token
from gateway.observe.events import Event, Kind, Report, ignore
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.leases import Leases
from gateway.store.refresh_answers import RefreshAnswers
from gateway.store.servers.topology import Client
from gateway.store.token_updates import Renewed, TokenWriter

_log = logging.getLogger("gateway.store")

# How often to look whether another gateway's renewal has ended (seconds).
_LOOK_AGAIN_SECONDS = 0.05

# A backend that did not answer, or refused, is asked again after this long (seconds).
_PAUSE_SECONDS = 5.0

# A rotated refresh token that cannot be written is lost, and the session with it. So the write is
# repeated for this long (seconds).
_KEEP_TRYING_SECONDS = 30.0

# A refresh call asks again if its session gets another token without an answer, by a capture say.
_MAX_REFRESHES = 3

# How many failures are remembered.
_MAX_FAILURES = 10_000


class RenewalFailed(Exception):
    """The backend did not answer: the user is logged in but has no token."""


class RenewalRefused(Exception):
    """The backend refused the refresh token.

    The session ends with its present token.
    """


# Asks the backend. Raises `RenewalFailed` and `RenewalRefused`.
Renew = Callable[[Session], Awaitable[Renewed]]
Due = Callable[[Session], bool]


class Renewals:
    """Renews the tokens of sessions, each in the way of its login."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        writer: TokenWriter,
        answers: RefreshAnswers,
        *,
        skew: float,
        timeout: float,
        report: Report = ignore,
    ) -> None:
        """What bounds a renewal.

        skew: how far a backend's clock may differ (seconds)
        timeout: for each of the store's answers (seconds)
        """
        self._client = client
        self._layout = layout
        self._writer = writer
        self._answers = answers
        self._skew = skew
        self._timeout = timeout
        self._report = report
        self._logins: dict[str, Renew] = {}
        self._running: dict[str, _Renewal] = {}
        # By session id: until when (monotonic seconds) no attempt is made, and the last failure.
        self._failures: dict[str, tuple[float, Exception]] = {}
        self._leases = Leases(client, timeout)

    def register(self, login: str, renew: Renew) -> None:
        """Renew sessions of a login by `renew`."""
        self._logins[login] = renew

    async def current(self, key: Key, session: Session) -> Session | None:
        """The session with a valid token; None when it has ended.

        While the present token is valid, it is renewed beside the requests. Once it has expired,
        they wait. Raises `RenewalFailed` and `StoreUnavailable`.
        """
        now = time.time()
        if session.login not in self._logins:
            return session if now < session.expires_at + self._skew else None
        good, failure = now < session.expires_at, self._failure(session.id)
        if failure is not None and good:
            return session
        if isinstance(failure, RenewalFailed):
            raise failure
        running = self._started(key, session, lambda other: other.renew_at <= time.time())
        if now < session.expires_at - self._skew:
            return session
        try:
            return await running.join()
        except RenewalFailed:
            if time.time() < session.expires_at:
                return session
            raise

    async def replaced(self, key: Key, session: Session) -> Session | None:
        """The session with a new token after an upstream refused the present one.

        None when no other token can be had.
        """
        if session.login not in self._logins or not session.refresh or self._failure(session.id):
            return None
        refused = session.token
        try:
            renewed = await self._started(key, session, _still_has(refused)).join()
        except (RenewalFailed, StoreUnavailable):
            return None
        return None if renewed is None or renewed.token == refused else renewed

    async def refreshed(self, key: Key, session: Session, renew: Renew) -> tuple[Session, bytes]:
        """The session after its frontend's refresh call, and the answer to that.

        A call that comes soon after another one, or while one runs on any gateway, shares its
        answer. `renew` asks the backend for this call. Raises `RenewalRefused`, `RenewalFailed`
        and `StoreUnavailable`.
        """
        failure = self._failure(session.id)
        if failure is not None:
            raise failure
        for _ in range(_MAX_REFRESHES):
            answer = await self._answers.get(key, session)
            if answer is not None:
                return session, answer
            running = self._started(key, session, _still_has(session.token), renew)
            renewed = await running.join()
            failure = self._failure(session.id)
            if renewed is None or isinstance(failure, RenewalRefused):
                raise RenewalRefused
            session = renewed
        raise RenewalFailed

    def retry_at(self, session: Session, now: float) -> float:
        """Until when a session may be remembered whose renewal runs or has failed."""
        return min(now + _PAUSE_SECONDS, session.expires_at - self._skew)

    async def close(self) -> None:
        """Wait for running renewals: a used refresh token must be replaced."""
        tasks = [running.task for running in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_KEEP_TRYING_SECONDS)
            for task in late:
                task.cancel()

    def _failure(self, session_id: str) -> Exception | None:
        until, error = self._failures.get(session_id, (0.0, None))
        return error if time.monotonic() < until else None

    def _started(
        self, key: Key, session: Session, due: Due, renew: Renew | None = None
    ) -> _Renewal:
        """The renewal that already runs in this worker, or a new one."""
        running = self._running.get(session.id)
        if running is None:
            running = self._running[session.id] = _Renewal(renew or self._logins[session.login])
            running.task = asyncio.get_running_loop().create_task(
                self._run(running, key, session, due)
            )
        return running

    async def _run(self, running: _Renewal, key: Key, session: Session, due: Due) -> None:
        try:
            result = await self._renew(running, key, session, due)
        except (RenewalFailed, StoreUnavailable) as error:
            self._remember(session.id, error)
            self._report(_event("renew_failed", session, reason="no_answer"))
            running.fail(error)
        except RenewalRefused:
            self._report(_event("renew_failed", session, reason="refused"))
            await self._refused(running, session)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                _log.error("a renewal failed: %s", type(error).__name__)
            running.fail(RenewalFailed())
        else:
            self._failures.pop(session.id, None)
            running.settle(result)
        finally:
            self._running.pop(session.id, None)

    async def _renew(
        self, running: _Renewal, key: Key, session: Session, due: Due
    ) -> Session | None:
        """lease → read → ask → replace."""
        lease, until = self._layout.lease(session.id), time.monotonic() + _KEEP_TRYING_SECONDS
        while (fence := await self._leases.take(lease)) is None:
            current, _ = await self._writer.read(key, session.id)
            if current is None or not due(current):
                return current
            if time.monotonic() > until:
                raise RenewalFailed
            await asyncio.sleep(_LOOK_AGAIN_SECONDS * (0.5 + random.random()))  # noqa: S311 (no secret)
        async with self._leases.held(lease, fence):
            current, value = await self._writer.read(key, session.id)
            if current is None or not due(current):
                return current
            renewed = await running.renew(current)
            new = replace(
                current,
                token=renewed.token,
                expires_at=renewed.expires_at,
                renew_at=renewed.renew_at,
                refresh=renewed.refresh,
                csrf=double_submit.renewed(current.csrf, renewed.csrf),
                _claims=None,
            )
            if renewed.answer:
                # Before the token: a call that finds the new token finds its answer, too.
                await self._answers.keep(key, new, renewed.answer, renewed.answer_lasts)
            return await self._keep(running, key, new, value)

    async def _keep(self, running: _Renewal, key: Key, new: Session, read: bytes) -> Session | None:
        """Write the renewed session.

        The waiting requests fail at once if the store is away.
        """
        until = time.monotonic() + _KEEP_TRYING_SECONDS
        while True:
            try:
                outcome = await self._writer.renew(key, new, read)
                break
            except StoreUnavailable as error:
                running.fail(error)
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(self._timeout / 2)
        if outcome == "kept":
            self._report(_event("renew", new))
            return new
        if outcome == "gone":
            return None
        current, _ = await self._writer.read(key, new.id)
        return current

    async def _refused(self, running: _Renewal, session: Session) -> None:
        """Keep a session without renewal until its present token expires."""
        if time.time() < session.expires_at:
            self._remember(session.id, RenewalRefused())
            running.settle(session)
            return
        try:
            name = self._layout.session(session.id)
            await bounded(self._client.delete(name), self._timeout)
        except StoreUnavailable as error:
            running.fail(error)
        else:
            running.settle(None)

    def _remember(self, session_id: str, error: Exception) -> None:
        if len(self._failures) >= _MAX_FAILURES:
            self._failures.clear()
        self._failures[session_id] = (time.monotonic() + _PAUSE_SECONDS, error)


class _Renewal:
    """One renewal under way in this worker, and the requests that wait for it."""

    task: asyncio.Task[None]

    def __init__(self, renew: Renew) -> None:
        """`renew` asks the backend."""
        self.renew = renew
        self._waiting: list[asyncio.Future[Session | None]] = []

    def join(self) -> asyncio.Future[Session | None]:
        future: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def settle(self, result: Session | None) -> None:
        for future in self._leave():
            future.set_result(result)

    def fail(self, error: Exception) -> None:
        for future in self._leave():
            future.set_exception(error)

    def _leave(self) -> list[asyncio.Future[Session | None]]:
        waiting, self._waiting = self._waiting, []
        return [future for future in waiting if not future.done()]


def _still_has(token: Token) -> Due:
    """Whether a session is due: no other renewal has replaced this token."""
    return lambda session: session.token == token


def _event(kind: Kind, session: Session, reason: str = "") -> Event:
    return Event(kind, session.subject, session.id, reason=reason)

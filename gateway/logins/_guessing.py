"""What stands before each way to log in: too many failures, and the next attempt has to wait."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.backends import BackendFailed
from gateway.core import accounts, refusals
from gateway.core.replies import Reply
from gateway.logins import Attempt, LoggedIn, Login
from gateway.observe.events import Event
from gateway.store.errors import StoreUnavailable
from gateway.store.failures import Counted, TooManyFailures
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import Guessing

# Then nobody has said no; nor has anybody with a status from 503 on. A reply that cannot be used is
# another thing: many a backend says no in one.
_UNANSWERED = (refusals.UPSTREAM_REFUSED, refusals.UPSTREAM_CLOSED, refusals.UPSTREAM_BROKEN)
_UNDECIDED = 503


class Guarded:
    """A login whose failures are counted."""

    def __init__(self, login: Login, path: str, rules: Guessing, sessions: Sessions) -> None:
        self.renew = login.renew
        self._login = login
        self._path = path
        self._rules = rules
        self._failures = sessions.failures
        self._report = sessions.report

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `TooManyFailures` beside what a login raises.

        A store that cannot be asked lets nobody pass. One that fails later cannot be told that the
        attempt has not failed, so it stays counted, which does little harm.
        """
        if attempt.method == "OPTIONS":
            return await self._login(attempt)
        counted = await self._count(attempt)
        try:
            reply = await self._login(attempt)
        except BackendFailed as failed:
            if failed.refusal.status >= _UNDECIDED or failed.refusal in _UNANSWERED:
                await self._uncount(counted)
            raise
        if isinstance(reply, LoggedIn):
            with suppress(StoreUnavailable):  # the session is there, and its key must be told
                await self._failures.succeeded(self._rules, counted)
        elif reply.status >= 500:
            await self._uncount(counted)
        return reply

    async def _count(self, attempt: Attempt) -> Counted:
        try:
            return await self._failures.count(
                self._rules, self._path, _accounts(attempt, self._rules), attempt.address
            )
        except TooManyFailures:
            self._failed(attempt, refusals.TOO_MANY_ATTEMPTS.reason)
            raise
        except StoreUnavailable:
            self._failed(attempt, refusals.STORE_DOWN.reason)
            raise

    async def _uncount(self, counted: Counted) -> None:
        with suppress(StoreUnavailable):  # what the login has to say is worse
            await self._failures.uncount(counted)

    def _failed(self, attempt: Attempt, reason: str) -> None:
        self._report(
            Event(
                "login_failed",
                address=attempt.address,
                device=attempt.device,
                reason=reason,
                request_id=attempt.request_id,
            )
        )


def _accounts(attempt: Attempt, rules: Guessing) -> frozenset[str]:
    return accounts.typed(
        rules.account,
        query=attempt.query,
        content_type=attempt.field("content-type"),
        content_encoding=attempt.field("content-encoding"),
        authorization=attempt.field("authorization"),
        body=attempt.body,
    )

"""Login throttling: after too many failures, the next attempt has to wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import refusals
from gateway.core.logins import password_fields, throttle_keys
from gateway.core.logins.login_outcomes import Outcome
from gateway.core.logins.mfa import steps
from gateway.core.logins.mfa.steps import NO_STEP, Step
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.request_readings import UnreadableRequest
from gateway.logins import Attempt
from gateway.observe.events import Event
from gateway.store.errors import StoreUnavailable
from gateway.store.login_failures import CountedAttempt, TooManyFailures
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import Guessing, LoginSection
    from gateway.config.model import Config

# The fields that say how a body is to be read.
_ENCODING_FIELDS = ("content-type", "content-encoding")


class LoginThrottle:
    """Count failed attempts at one login, by account and by address."""

    def __init__(
        self, path: str, rules: Guessing, sessions: Sessions, *, has_hosts: bool = False
    ) -> None:
        """`path` names the login.

        With `has_hosts`, a name at two hosts is two accounts.
        """
        self._path = path
        self._has_hosts = has_hosts
        self._rules = rules
        self.is_off = rules.is_off
        self._failures = sessions.failures
        self._report = sessions.report

    @classmethod
    def of(cls, login: LoginSection, config: Config, sessions: Sessions) -> LoginThrottle:
        """The throttle of a login of config.yaml."""
        prefix, rules = login.subject_prefix, login.own_throttle or config.guessing
        has_hosts = prefix is not None and prefix.has_host
        return cls(login.path, rules, sessions, has_hosts=has_hosts)

    def keys(self, attempt: Attempt) -> Mapping[str, Collection[str]]:
        """The throttle keys of an attempt, with their spellings.

        See `throttle_keys`.
        """
        return throttle_keys.of_request(
            self._rules.account,
            query=attempt.query,
            content_type=attempt.field("content-type"),
            content_encoding=attempt.field("content-encoding"),
            authorization=attempt.field("authorization"),
            body=attempt.body,
        )

    def step(self, attempt: Attempt) -> Step:
        """The step of a login that an attempt may be."""
        texts = throttle_keys.other_texts(
            self._rules.account,
            query=attempt.query,
            content_type=attempt.field("content-type"),
            content_encoding=attempt.field("content-encoding"),
            body=attempt.body,
        )
        if texts is None:
            return NO_STEP
        return steps.read(texts, attempt.fields, attempt.segments.items())

    async def admit(
        self,
        attempt: Attempt,
        keys: Mapping[str, Collection[str]],
        *,
        passwords: int = 1,
        continues: Collection[str] = (),
    ) -> CountedAttempt:
        """Count an attempt under all its keys before it is made.

        One that may not be made is reported.

        keys: the throttle keys, with the spellings of each
        passwords: how many the attempt holds
        continues: what a first step may have handed out

        Raises `TooManyFailures` and `StoreUnavailable`.
        """
        try:
            return await self._failures.admit(
                self._rules,
                self._counted_at(attempt),
                keys,
                attempt.address,
                passwords=passwords,
                continues=continues,
            )
        except TooManyFailures:
            self.report_failed(attempt, refusals.TOO_MANY_ATTEMPTS.reason)
            raise
        except StoreUnavailable:
            self.report_failed(attempt, refusals.STORE_DOWN.reason)
            raise

    def _counted_at(self, attempt: Attempt) -> str:
        """The scope in which a name is one account."""
        return f"{self._path}\n{attempt.host}" if self._has_hosts else self._path

    async def settle(self, counted: CountedAttempt, outcome: Outcome) -> None:
        """Count what an attempt has come to.

        While the store is down, the attempt stays one under way until its window ends: the login's
        reply is not lost.
        """
        if outcome == "succeeded" and counted.passwords > 1:
            outcome = "failed"  # one of several passwords was right; the others were guesses
        with suppress(StoreUnavailable):
            if outcome == "succeeded":
                await self._failures.succeeded(self._rules, counted)
            elif outcome == "failed":
                await self._failures.failed(self._rules, counted)
            elif outcome == "broken":
                await self._failures.broke(counted)
            else:
                await self._failures.release(counted)

    async def has_begun(self, continues: Collection[str]) -> bool:
        """Whether a first step issued one of the texts. Raises `StoreUnavailable`."""
        return await self._failures.has_begun(continues)

    async def remember(self, counted: CountedAttempt, handed_out: Collection[str]) -> None:
        """Remember what the reply hands out for a second step at the same account."""
        with suppress(StoreUnavailable):
            await self._failures.remember(counted, handed_out)

    def report_failed(self, attempt: Attempt, reason: str) -> None:
        """Report an attempt that has failed, or that may not be made."""
        self._report(
            Event(
                "login_failed",
                address=attempt.address,
                device=attempt.device,
                reason=reason,
                request_id=attempt.request_id,
            )
        )


async def passwords_in(attempt: Attempt) -> int:
    """Count the passwords in an attempt; `MAX_PASSWORDS` if it cannot be read.

    A large attempt is read in a thread.
    """
    fields = [line for line in attempt.fields if line[0].lower() in _ENCODING_FIELDS]
    sent = EchoDetector(attempt.target, fields, attempt.body)
    return await off_loop(sent.is_large, _passwords, sent)


def _passwords(sent: EchoDetector) -> int:
    try:
        return password_fields.count(sent.texts())
    except UnreadableRequest:
        return password_fields.MAX_PASSWORDS

"""What stands before each way to log in: too many failures, and the next attempt has to wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.logins import first_steps, password_fields, throttle_keys
from gateway.core.logins.first_steps import NO_STEP, Step
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.request_readings import Unreadable
from gateway.core.logins.throttle_keys import HIDDEN
from gateway.logins import Attempt, LoggedIn, Login
from gateway.observe.events import Event
from gateway.outbound.backends import BackendFailed
from gateway.store.errors import StoreUnavailable
from gateway.store.login_failures import Places, TooManyFailures
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import Guessing, LoginSection
    from gateway.config.model import Config

# The password was not looked at, or the answer did not come in time.
_UNASKED = (refusals.TOO_MANY_AT_ONCE, refusals.UPSTREAM_REFUSED)
_UNAVAILABLE = frozenset({503, 504})

# With these a proxy before a backend says the same (RFC 9110 §15.6.3).
_UNAVAILABLE_BACKEND = _UNAVAILABLE | {502}

# The backend broke down: a guesser may know what makes it do so wherever a password is wrong.
_BREAKDOWNS = (refusals.UPSTREAM_CLOSED, refusals.UPSTREAM_BROKEN)
_BROKEN = 500

# What says how the text of a request is to be read.
_OF_THE_TEXT = ("content-type", "content-encoding")

Outcome = Literal["succeeded", "failed", "undecided", "broken"]


class ThrottledLogin:
    """Answers as a login does, and counts its failures."""

    def __init__(self, login: Login, guard: Guard) -> None:
        self._login = login
        self._guard = guard

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `TooManyFailures` beside what a login raises.

        A store that cannot be asked lets nobody pass.
        """
        if attempt.method == "OPTIONS" or self._guard.is_off:
            return await self._login(attempt)
        name = self._login.name_in(attempt)
        step = self._guard.step(attempt) if name is None else NO_STEP
        places = await self._take(attempt, name, step)
        try:
            reply = await self._login(attempt)
        except BackendFailed as failed:
            await self._guard.settle(places, of_refusal(failed.refusal))
            raise
        outcome = _of_reply(reply)
        if outcome == "failed" and step.is_first:
            await self._settle_first(places, attempt, reply)
        else:
            await self._guard.settle(places, outcome)
        return reply

    async def _take(self, attempt: Attempt, name: str | None, step: Step) -> Places:
        if name is not None:
            # A login that decides itself reads one name and one password only.
            return await self._guard.take(attempt, {throttle_keys.folded(name): {name}})
        meant = self._guard.accounts(attempt)
        if HIDDEN in meant and len(meant) == 1 and step.tokens:
            meant = {f"step {token}": () for token in step.tokens}
        passwords = max(1, await passwords_in(attempt))
        return await self._guard.take(attempt, meant, passwords=passwords, continues=step.continues)

    async def _settle_first(self, places: Places, attempt: Attempt, reply: Reply) -> None:
        """What a password alone has come to: a failure, or a second step, which is neither that
        nor a success. Where the client itself may have said so, it is a failure that is remembered:
        the second step's success sets it back.
        """
        outcome: Outcome = "failed"
        sent = EchoDetector(attempt.query, attempt.fields, attempt.body)
        if self._may_continue(places, reply) and not sent.is_large:
            await self._guard.remember(places, first_steps.handed_out(reply, sent.is_echo))
            if not first_steps.is_clients_word(self._login.failed, sent.is_echo):
                outcome = "undecided"
        await self._guard.settle(places, outcome)

    def _may_continue(self, places: Places, reply: Reply) -> bool:
        return places.passwords == 1 and first_steps.says_another(reply, self._login.failed)


class Guard:
    """Counts the failures of the attempts at one login's accounts."""

    def __init__(
        self, path: str, rules: Guessing, sessions: Sessions, *, has_hosts: bool = False
    ) -> None:
        """`path` names the login; if it `has_hosts`, an account at two hosts is two people's."""
        self._path = path
        self._has_hosts = has_hosts
        self._rules = rules
        amounts = (rules.per_account, rules.per_account_everywhere, rules.per_address, rules.in_all)
        self.is_off = not any(amounts)
        self._failures = sessions.failures
        self._report = sessions.report

    @classmethod
    def of(cls, login: LoginSection, config: Config, sessions: Sessions) -> Guard:
        """That of a login of config.yaml."""
        prefix, rules = login.subject_prefix, login.own_throttle or config.guessing
        has_hosts = prefix is not None and prefix.has_host
        return cls(login.path, rules, sessions, has_hosts=has_hosts)

    def accounts(self, attempt: Attempt) -> Mapping[str, Collection[str]]:
        """The accounts that an attempt may mean, as `accounts.typed` says."""
        return throttle_keys.typed(
            self._rules.account,
            query=attempt.query,
            content_type=attempt.field("content-type"),
            content_encoding=attempt.field("content-encoding"),
            authorization=attempt.field("authorization"),
            body=attempt.body,
        )

    def step(self, attempt: Attempt) -> Step:
        """Which step of a login an attempt may be."""
        texts = throttle_keys.other_texts(
            self._rules.account,
            query=attempt.query,
            content_type=attempt.field("content-type"),
            content_encoding=attempt.field("content-encoding"),
            body=attempt.body,
        )
        return NO_STEP if texts is None else first_steps.step(texts, attempt.fields)

    async def take(
        self,
        attempt: Attempt,
        meant: Mapping[str, Collection[str]],
        *,
        passwords: int = 1,
        continues: Collection[str] = (),
    ) -> Places:
        """Takes the places of an attempt at these accounts, and tells of one that gets none.

        Raises `TooManyFailures` and `StoreUnavailable`.
        """
        try:
            return await self._failures.take(
                self._rules,
                self._counted_at(attempt),
                meant,
                attempt.address,
                passwords=passwords,
                continues=continues,
            )
        except TooManyFailures:
            self._failed(attempt, refusals.TOO_MANY_ATTEMPTS.reason)
            raise
        except StoreUnavailable:
            self._failed(attempt, refusals.STORE_DOWN.reason)
            raise

    def _counted_at(self, attempt: Attempt) -> str:
        """Among whom an account is one person's."""
        return f"{self._path}\n{attempt.host}" if self._has_hosts else self._path

    async def settle(self, places: Places, outcome: Outcome) -> None:
        """A store that cannot be told counts the attempt as one under way, until its window ends;
        what the login has to say is not lost.
        """
        if outcome == "succeeded" and places.passwords > 1:
            outcome = "failed"  # by one of several, of which the others were guesses
        with suppress(StoreUnavailable):
            if outcome == "succeeded":
                await self._failures.succeeded(self._rules, places)
            elif outcome == "failed":
                await self._failures.failed(self._rules, places)
            elif outcome == "broken":
                await self._failures.broke(places)
            else:
                await self._failures.give_back(places)

    async def remember(self, places: Places, handed_out: Collection[str]) -> None:
        """Remembers what the attempt's account was handed out for its second step."""
        with suppress(StoreUnavailable):
            await self._failures.remember(places, handed_out)

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


async def passwords_in(attempt: Attempt) -> int:
    """How many passwords an attempt holds; the most, if it cannot be read.

    A large one is read beside the event loop.
    """
    fields = [line for line in attempt.fields if line[0].lower() in _OF_THE_TEXT]
    sent = EchoDetector(attempt.query, fields, attempt.body)
    return await off_loop(sent.is_large, _passwords, sent)


def _passwords(sent: EchoDetector) -> int:
    try:
        return password_fields.count(sent.texts())
    except Unreadable:
        return password_fields.MAX_PASSWORDS


def of_refusal(refusal: Refusal) -> Outcome:
    """What a refusal says. A reply that cannot be used is a failure: backends say no in those."""
    if refusal in _BREAKDOWNS:
        return "broken"
    is_undecided = refusal in _UNASKED or refusal.status in _UNAVAILABLE
    return "undecided" if is_undecided else "failed"


def of_status(status: int) -> Outcome:
    """What a reply says by its status, where it hands out no key."""
    if status in _UNAVAILABLE_BACKEND:
        return "undecided"
    return "broken" if status >= _BROKEN else "failed"


def _of_reply(reply: Reply) -> Outcome:
    return "succeeded" if isinstance(reply, LoggedIn) else of_status(reply.status)

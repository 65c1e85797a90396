"""Throttled logins: after too many failures the next attempt has to wait."""

from __future__ import annotations

from gateway.core.logins import denials, login_outcomes, throttle_keys
from gateway.core.logins.login_outcomes import Outcome
from gateway.core.logins.login_paths import LoginPath
from gateway.core.logins.mfa import steps
from gateway.core.logins.mfa.steps import NO_STEP, Step
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.throttle_keys import HIDDEN
from gateway.logins import Attempt, LoggedIn, Login, Pending
from gateway.logins._throttle import LoginThrottle, passwords_in
from gateway.outbound.backends import BackendFailed
from gateway.store.login_failures import CountedAttempt


class ThrottledLogin:
    """Answer at a path as a login does, and count its failures."""

    def __init__(self, login: Login, path: LoginPath, throttle: LoginThrottle) -> None:
        self._login = login
        self._answer = login.answer_at(path)
        self._throttle = throttle

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client.

        Raises `TooManyFailures`, `StoreUnavailable` (no attempt passes uncounted), and what the
        login raises.
        """
        if attempt.method == "OPTIONS" or self._throttle.is_off:
            return await self._answer(attempt)
        name = self._login.name_in(attempt)
        step = self._throttle.step(attempt) if name is None else NO_STEP
        counted = await self._admit(attempt, name, step)
        try:
            reply = await self._answer(attempt)
        except BackendFailed as failed:
            await self._throttle.settle(counted, login_outcomes.of_refusal(failed.refusal))
            raise
        outcome = _of_reply(reply)
        if isinstance(reply, Pending):
            await self._settle_pending(counted, attempt, reply, step)
        elif outcome == "failed" and step.is_first:
            await self._settle_first(counted, attempt, reply)
        else:
            await self._throttle.settle(counted, outcome)
        return reply

    async def _admit(self, attempt: Attempt, name: str | None, step: Step) -> CountedAttempt:
        if name is not None:
            # The login reads one name and one password, and decides by itself.
            return await self._throttle.admit(attempt, {throttle_keys.folded(name): {name}})
        keys = self._throttle.keys(attempt)
        if HIDDEN in keys and len(keys) == 1 and step.tokens:
            keys = {f"step {token}": () for token in step.tokens}
        passwords = max(1, await passwords_in(attempt))
        return await self._throttle.admit(
            attempt, keys, passwords=passwords, continues=step.continues
        )

    async def _settle_pending(
        self, counted: CountedAttempt, attempt: Attempt, reply: Pending, step: Step
    ) -> None:
        """Settle an attempt whose reply announces another step.

        A password has neither failed nor succeeded, and a name alone is no guess. A code that leads
        to one more step counts as failed until that one succeeds.
        """
        sent = EchoDetector(attempt.target, attempt.fields, attempt.body)
        if not sent.is_large:
            await self._throttle.remember(counted, steps.handed_out(reply, sent.is_echo))
        is_one = counted.passwords == 1
        begins = is_one and (step.is_first or (step.is_name and counted.account is not None))
        await self._throttle.settle(counted, "undecided" if begins else "failed")

    async def _settle_first(self, counted: CountedAttempt, attempt: Attempt, reply: Reply) -> None:
        """Settle a password without a code that got no key.

        It has failed, or it leads to a second step: then it has neither failed nor succeeded. Where
        the client may have written that itself, it counts as failed until a second step succeeds.
        """
        outcome: Outcome = "failed"
        sent = EchoDetector(attempt.target, attempt.fields, attempt.body)
        if self._may_continue(counted, reply) and not sent.is_large:
            await self._throttle.remember(counted, steps.handed_out(reply, sent.is_echo))
            if not steps.is_named_by_client(self._login.failed, sent.is_echo):
                outcome = "undecided"
        await self._throttle.settle(counted, outcome)

    def _may_continue(self, counted: CountedAttempt, reply: Reply) -> bool:
        return counted.passwords == 1 and denials.says_another_step(reply, self._login.failed)


def _of_reply(reply: Reply) -> Outcome:
    is_success = isinstance(reply, LoggedIn)
    return "succeeded" if is_success else login_outcomes.of_status(reply.status)

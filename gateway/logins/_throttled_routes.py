"""Throttled routes: those that capture, where clients could guess too.

A client with a session could try the passwords of others there. A request that holds a password
counts as an attempt at the login whose backend it reaches: for the accounts that it names, or else
for its own session. So users who share an address do not lock each other out. Where sessions begin,
an anonymous request counts as at a login, and a code counts as well: for the account that began the
login, if it continues one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import paths
from gateway.core.http.addresses import share_a_server
from gateway.core.http.paths import AmbiguousPath, BackendPaths
from gateway.core.logins import denials, login_outcomes
from gateway.core.logins.login_outcomes import Outcome
from gateway.core.logins.mfa import steps, words
from gateway.core.logins.mfa.steps import NO_STEP, NOTHING_TRIED, Step
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.throttle_keys import HIDDEN
from gateway.logins import Attempt, Pending
from gateway.logins._throttle import LoginThrottle, passwords_in
from gateway.outbound.backends import BackendFailed
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_REFUSED = 400


@dataclass(frozen=True, slots=True)
class Guess:
    """What a request may try."""

    passwords: int
    step: Step
    continues: bool = False  # the login that a first step began
    has_code: bool = False

    @property
    def is_one(self) -> bool:
        return bool(self.passwords) or self.continues or self.has_code


class ThrottledRequest:
    """A request that may be a guess. It has failed unless its answer succeeds."""

    outcome: Outcome = "failed"
    status = 0  # of the upstream's answer, once it has come
    handed_out: Collection[str] = ()  # what continues the login that it begins

    def __init__(self, guess: Guess, sent: EchoDetector, *, is_login: bool, is_start: bool) -> None:
        """Take what the request may try.

        is_login: it reaches the path of a backend's login
        is_start: sessions begin on its route
        """
        self._is_start = is_start
        self._guess = guess
        self._sent = sent
        self._needs_token = guess.continues or (bool(guess.passwords) and is_login)

    async def answered(self, reply: Reply, *, captured: bool) -> None:
        """Note the upstream's answer. Raises `UnreadableReply`.

        `captured`: it held a token of the session's subject. At a login's path, and for a code that
        continues a login, only a token is a success. Elsewhere a request may have set a password,
        or confirmed one. Where sessions begin, a reply that says no is a failure.
        """
        self.status = reply.status
        if reply.status >= _REFUSED:
            self.outcome = login_outcomes.of_status(reply.status)
        elif captured or not (self._needs_token or await self._is_denied(reply)):
            self.outcome = "undecided"

    async def began(self, reply: Reply) -> None:
        """Note an answer that holds a key or announces a login's second step."""
        self.status = reply.status
        if not isinstance(reply, Pending):
            self.outcome = "succeeded"
            return
        if not self._sent.is_large:
            self.handed_out = await off_loop(
                reply.is_large, steps.handed_out, reply, self._sent.is_echo
            )
        if self._guess.step.is_first and self._guess.passwords == 1:
            self.outcome = "undecided"

    async def _is_denied(self, reply: Reply) -> bool:
        is_guess = self._is_start and self._guess.is_one
        return is_guess and await off_loop(reply.is_large, denials.any_denies, reply)


class ThrottledRoutes:
    """Throttle the routes that capture, by the rules of the logins they reach."""

    def __init__(self, config: Config, sessions: Sessions) -> None:
        self._elsewhere = LoginThrottle("", config.guessing, sessions)
        # The paths and throttles of the logins at the servers of each upstream.
        self._logins: dict[str, list[tuple[BackendPaths, LoginThrottle]]] = {}
        self._bases = {name: upstream.base for name, upstream in config.upstreams.items()}
        asked = [(login, path) for login in config.login for path in login.backend_paths]
        for login, path in asked:
            if path.renews:
                continue
            throttle = LoginThrottle.of(login, config, sessions)
            for name, upstream in config.upstreams.items():
                asked_upstream = config.upstreams[path.upstream]
                if share_a_server(upstream.servers, asked_upstream.servers):
                    reached = BackendPaths([(asked_upstream.base + path.path).encode()])
                    self._logins.setdefault(name, []).append((reached, throttle))

    @asynccontextmanager
    async def throttled(
        self,
        attempt: Attempt,
        upstream: str,
        path: str,
        session_id: str | None,
        *,
        is_start: bool,
    ) -> AsyncIterator[ThrottledRequest]:
        """Count a request to this path of an upstream, below its base, if it could be a guess.

        session_id: the caller's session; None for an anonymous caller
        is_start: sessions begin here, so it may be any step of a login

        Raises `TooManyFailures` and `StoreUnavailable`.
        """
        logins = self._logins.get(upstream, [])
        reached = _reached(logins, self._bases[upstream] + path)
        throttle = reached or next((throttle for _, throttle in logins), self._elsewhere)
        guess = await _guess(attempt, throttle, is_start=is_start)
        sent = EchoDetector(attempt.target, attempt.fields, attempt.body)
        throttled = ThrottledRequest(guess, sent, is_login=reached is not None, is_start=is_start)
        if not guess.is_one:
            yield throttled
            return
        counted = await throttle.admit(
            attempt,
            _throttle_keys(attempt, throttle, guess, session_id),
            passwords=max(1, guess.passwords),
            continues=guess.step.continues,
        )
        try:
            yield throttled
        except BackendFailed as failed:
            await throttle.settle(counted, login_outcomes.of_refusal(failed.refusal))
            raise
        await throttle.remember(counted, throttled.handed_out)
        await throttle.settle(counted, throttled.outcome)
        if is_start and throttled.outcome == "failed":
            throttle.report_failed(attempt, f"status_{throttled.status}")


async def _guess(attempt: Attempt, throttle: LoginThrottle, *, is_start: bool) -> Guess:
    """What a request may try: also a step of a login, where sessions begin."""
    if throttle.is_off:
        return Guess(0, NOTHING_TRIED)
    step = throttle.step(attempt) if is_start else NOTHING_TRIED
    continues = bool(step.continues) and await throttle.has_begun(step.continues)
    has_code = step.has_code
    if step is NO_STEP:
        # Large requests are no guesses, unless a code is hidden in one.
        sent = EchoDetector(attempt.target, (), attempt.body)
        has_code = await off_loop(sent.is_large, sent.may_hold, words.CODE_NAMES)
    return Guess(await passwords_in(attempt), step, continues, has_code)


def _throttle_keys(
    attempt: Attempt, throttle: LoginThrottle, guess: Guess, session_id: str | None
) -> Mapping[str, Collection[str]]:
    """The accounts that a request names, or else its login or its session."""
    keys = {**throttle.keys(attempt)}
    if session_id is not None and keys.pop(HIDDEN, None) is not None:
        keys[f"session {session_id}"] = ()
    elif set(keys) == {HIDDEN} and guess.step.tokens:
        return {f"step {token}": () for token in guess.step.tokens}
    return keys


def _reached(
    logins: Iterable[tuple[BackendPaths, LoginThrottle]], path: str
) -> LoginThrottle | None:
    """The throttle of the login whose path a backend may read in this one."""
    try:
        readings = paths.read(path.encode("latin-1", "replace")).at_backends
    except AmbiguousPath:
        return None
    found = (throttle for login, throttle in logins if login.hold(readings, suffixes=True))
    return next(found, None)

"""Throttled routes: those that capture, where clients could guess too.

A client with a session could try the passwords of others there. A request that holds a password
counts as an attempt at the login whose backend it reaches: for the accounts that it names, or else
for its own session. So users who share an address do not lock each other out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.core.http import paths
from gateway.core.http.addresses import share_a_server
from gateway.core.http.paths import AmbiguousPath, BackendPaths
from gateway.core.logins import login_outcomes
from gateway.core.logins.login_outcomes import Outcome
from gateway.core.logins.replies import Reply
from gateway.core.logins.throttle_keys import HIDDEN
from gateway.logins import Attempt
from gateway.logins._throttle import LoginThrottle, passwords_in
from gateway.outbound.backends import BackendFailed
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_REFUSED = 400


class ThrottledRequest:
    """A request that may be a guess. It has failed unless its answer succeeds."""

    outcome: Outcome = "failed"

    def __init__(self, *, is_login: bool) -> None:
        """`is_login`: the request reaches the path of a backend's login."""
        self._is_login = is_login

    def answered(self, reply: Reply, *, captured: bool) -> None:
        """Note the upstream's answer.

        `captured`: it held a token of the session's subject. At a login's path only a token is a
        success. Elsewhere a request may have set a password, or confirmed one.
        """
        if captured or (reply.status < _REFUSED and not self._is_login):
            self.outcome = "undecided"
        elif reply.status >= _REFUSED:
            self.outcome = login_outcomes.of_status(reply.status)


class ThrottledRoutes:
    """Throttle the routes that capture, by the rules of the logins they reach."""

    def __init__(self, config: Config, sessions: Sessions) -> None:
        self._elsewhere = LoginThrottle("", config.guessing, sessions)
        # The paths and throttles of the logins at the servers of each upstream.
        self._logins: dict[str, list[tuple[BackendPaths, LoginThrottle]]] = {}
        asked = [(login, path) for login in config.login for path in login.backend_paths]
        for login, path in asked:
            if path.renews:
                continue
            reached = BackendPaths([path.path.encode()])
            throttle = LoginThrottle.of(login, config, sessions)
            for name, upstream in config.upstreams.items():
                if share_a_server(upstream.servers, config.upstreams[path.upstream].servers):
                    self._logins.setdefault(name, []).append((reached, throttle))

    @asynccontextmanager
    async def throttled(
        self, attempt: Attempt, upstream: str, path: str, session_id: str
    ) -> AsyncIterator[ThrottledRequest]:
        """Count a request to this path of an upstream, if it could be a guess.

        Raises `TooManyFailures` and `StoreUnavailable`.
        """
        logins = self._logins.get(upstream, [])
        reached = _reached(logins, path)
        throttled = ThrottledRequest(is_login=reached is not None)
        throttle = reached or next((throttle for _, throttle in logins), self._elsewhere)
        passwords = 0 if throttle.is_off else await passwords_in(attempt)
        if not passwords:
            yield throttled
            return
        throttle_keys = {**throttle.keys(attempt)}
        if throttle_keys.pop(HIDDEN, None) is not None:
            throttle_keys[f"session {session_id}"] = ()
        counted = await throttle.admit(attempt, throttle_keys, passwords=passwords)
        try:
            yield throttled
        except BackendFailed as failed:
            await throttle.settle(counted, login_outcomes.of_refusal(failed.refusal))
            raise
        await throttle.settle(counted, throttled.outcome)


def _reached(
    logins: Iterable[tuple[BackendPaths, LoginThrottle]], path: str
) -> LoginThrottle | None:
    """The throttle of the login whose path a backend may read in this one."""
    try:
        loose = paths.read(path.encode("latin-1", "replace")).loose
    except AmbiguousPath:
        return None
    found = (throttle for login, throttle in logins if login.hold(loose, suffixes=True))
    return next(found, None)

"""The refresh endpoint: answers the refresh calls of frontends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import caller_fields, refusals
from gateway.core.logins import refresh_calls
from gateway.core.sessions import refresh_keys
from gateway.core.sessions.refresh_keys import Opened
from gateway.endpoints.answers import EndpointRefused, refuse, replied
from gateway.endpoints.login_attempts import AttemptReader, is_preflight, read_body
from gateway.endpoints.own_site import is_own_site
from gateway.logins._refresh_calls import RefreshCalls
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.session_sections import Keys
    from gateway.core.logins.login_paths import LoginPath


class RefreshEndpoint:
    """Answers at one path, for the logins whose frontends refresh there."""

    def __init__(
        self,
        path: LoginPath,
        calls: Mapping[str, RefreshCalls],
        sessions: Sessions,
        keys: Keys,
        identity: Iterable[str],
    ) -> None:
        """Take the rules of one path.

        path: the path, with its methods and limits
        calls: answer for the sessions of a login, by its path
        keys: the section `keys` of config.yaml
        identity: the names of the fields that tell upstreams the subject
        """
        self._path = path
        self._calls = calls
        self._sessions = sessions
        self._attempts = AttemptReader(path, keys, identity)

    async def __call__(self, request: web.Request) -> web.Response:
        if is_preflight(request):
            return replied(await self._any.preflight(self._attempts.preflight(request)))
        if request.method not in self._path.methods:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(self._path.methods)})
        return await self.answer(request, await read_body(request, self._path))

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        """Answer a refresh call.

        Raises `EndpointRefused`, `BackendFailed` and `StoreUnavailable`.
        """
        cookie, _, in_cookie = request.headers.get(caller_fields.REFRESH_COOKIE, "").partition(" ")
        presented = refresh_calls.refresh_key_in(body) or self._in_field(request)
        attempt = self._attempts.attempt(request, body)
        by_cookie = presented is None and in_cookie != ""
        # A browser sends a cookie by itself, and takes one, whichever site has caused the request:
        # its visitor would refresh, or become another user (CWE-352).
        if (by_cookie or attempt.cookie is not None) and not is_own_site(request):
            raise EndpointRefused(refusals.CROSS_SITE)
        if by_cookie:
            presented = in_cookie.encode()
        opened = (
            None if presented is None else refresh_keys.opened(presented, self._sessions.sealer)
        )
        calls = self._any if opened is None else await self._calls_for(opened)
        if opened is None or calls is None:
            return replied(await self._any.refuse(attempt, cookie))
        return replied(await calls.answer(attempt, opened, cookie))

    @property
    def _any(self) -> RefreshCalls:
        """Answers where the login is not known: they share the backend's path."""
        return next(iter(self._calls.values()))

    @staticmethod
    def _in_field(request: web.Request) -> bytes | None:
        given = request.headers.get(caller_fields.REFRESH_KEY)
        return None if given is None else given.encode()

    async def _calls_for(self, opened: Opened) -> RefreshCalls | None:
        """What answers for the session of a refresh key; None if it has ended."""
        found = await self._sessions.resolve(opened.key.raw, renew=False)
        if not isinstance(found, ResolvedSession):
            return None
        return self._calls.get(found.session.login)

"""Logouts: a session ends here, at the backend, and in the browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.sessions.keys import Key
from gateway.core.sessions.records import SessionInfo
from gateway.core.sessions.session import Session
from gateway.endpoints import pages
from gateway.endpoints.answers import replied
from gateway.endpoints.backend_logout import BackendLogoutCaller
from gateway.endpoints.callers import (
    Caller,
    by_cookie,
    deletions,
    other_sessions,
    presented_key,
    session_id,
)
from gateway.endpoints.impersonation import back_to
from gateway.endpoints.own_site import own_origin
from gateway.logins import Login
from gateway.observe.events import Kind, of_sessions
from gateway.outbound.backends import Backends
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.endpoint_sections import Logout
    from gateway.config.model import Config


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The answer to a logout."""

    response: web.Response
    is_whole: bool = False  # no page takes its place: it is the backend's, or leads back


class LogoutService:
    """Ends sessions.

    All methods raise `StoreUnavailable`; then nothing is reported as done.
    """

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        backends: Backends,
        providers: Mapping[str, Login],
    ) -> None:
        """`providers` are the logins at providers, by their paths.

        Browsers log out there, too.
        """
        self._keys = config.keys
        self._sessions = sessions
        self._backend_logout = BackendLogoutCaller(config, backends)
        self._providers = providers
        self._may_impersonate = any(rule.impersonates is not None for rule in config.routes)

    async def log_out(self, request: web.Request, config: Logout, *, reason: str = "") -> LoggedOut:
        """End the sessions of the keys that came, and answer (wire-rules.md#E4).

        config: the section of the logout; it says what its backend is told
        """
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        current, others = session_id(request), other_sessions(request)
        is_whole = False
        if others:
            await self.end(request, others, "logout", reason=reason)
        if current is not None:
            left = await self._opened(request, config)
            first = None if left is None else await self._first_session(left)
            await self.end(request, [current], "logout", reason=reason)
            reply = await self._backend_logout(request, config, left)
            if reply is not None and config.pass_reply:
                response, is_whole = replied(reply.unstored()), True
            elif reply is not None:
                _add_cookies(response, reply.cookies)
            if left is not None:
                await self._lead_on(request, left, response)
            if first is not None:
                return LoggedOut(self._led_back(request, first), is_whole=True)
        _add_cookies(response, deletions(request))
        return LoggedOut(response, is_whole)

    async def _first_session(self, left: Session) -> tuple[Key, Session] | None:
        """The living parent of an impersonation that ends, and its key."""
        key = left.parent_key
        if key is None:
            return None
        resolved = await self._sessions.resolve(key.raw, renew=False)
        return (key, resolved.session) if isinstance(resolved, ResolvedSession) else None

    def _led_back(self, request: web.Request, first: tuple[Key, Session]) -> web.Response:
        """The answer that gives the caller the key of the first session again."""
        key, session = first
        fields = {"Cache-Control": "no-store"}
        if not by_cookie(request):
            shown = {"token": self._sessions.key_texts.of(key, session), "token_type": "Bearer"}
            return web.json_response(shown, headers=fields)
        response = web.Response(status=204, headers=fields)
        seconds = self._sessions.lasting_cookies.set_again(session)
        response.headers.add("Set-Cookie", back_to(request, key.reveal(), seconds))
        if pages.wants_page(request):
            pages.redirect(response, "/")
        return response

    async def end(
        self,
        request: web.Request,
        session_ids: Iterable[str],
        kind: Kind,
        *,
        reason: str = "",
        by: str = "",
    ) -> None:
        """End sessions, and report those that existed."""
        ended = await self._sessions.revoke(*session_ids)
        self._report(request, ended, kind, reason=reason, by=by)

    async def end_others(self, request: web.Request, caller: Caller, *, reason: str) -> None:
        """End all other sessions of the caller's subject, and report them."""
        others = self._sessions.revoke_others(caller.subject, caller.session_id)
        async for ended in others:
            self._report(request, ended, "logout", reason=reason, subject=caller.subject)

    def _report(
        self,
        request: web.Request,
        ended: Mapping[str, SessionInfo],
        kind: Kind,
        *,
        reason: str,
        by: str = "",
        subject: str = "",
    ) -> None:
        """`subject` is the subject of sessions whose own record does not tell it."""
        request_id = request.headers.get("X-Request-Id", "")
        address = request.headers.get("X-Real-IP", "")
        for event in of_sessions(kind, ended, reason=reason, request_id=request_id, by=by):
            self._sessions.report(replace(event, subject=event.subject or subject, address=address))

    async def _opened(self, request: web.Request, config: Logout) -> Session | None:
        """The session that ends, if more of it is wanted than its token.

        That is its refresh token for the backend, its login for a browser that logs out at a
        provider next, or the first session if it is an impersonation.
        """
        key = presented_key(request)
        leads_on = bool(self._providers) and pages.navigates(request) and pages.wants_page(request)
        wanted = leads_on or self._may_impersonate or config.send_refresh_token is not None
        if key is None or not wanted:
            return None
        resolved = await self._sessions.resolve(key.encode(), renew=False)
        return resolved.session if isinstance(resolved, ResolvedSession) else None

    async def _lead_on(self, request: web.Request, left: Session, response: web.Response) -> None:
        """Send the browser to the session's provider, to log out there as well."""
        login = self._providers.get(left.login)
        if login is not None and pages.navigates(request) and pages.wants_page(request):
            onward = await login.logout_url(left, own_origin(request, self._keys))
            if onward is not None:
                pages.redirect(response, onward)


def _add_cookies(response: web.Response, values: Iterable[str]) -> None:
    for value in values:
        response.headers.add("Set-Cookie", value)

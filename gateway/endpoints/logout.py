"""A logout endpoint: ends the caller's session, or other devices'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aiohttp import web

from gateway.core.http import refusals
from gateway.core.http.origins import SAFE_METHODS
from gateway.endpoints import pages, refresh_logouts
from gateway.endpoints.answers import LOGIN_PAGE, EndpointRefused, refuse
from gateway.endpoints.callers import (
    beginning_of_body,
    caller,
    other_sessions,
    require_readable_key,
    session_id,
)
from gateway.endpoints.logout_service import LogoutService
from gateway.endpoints.own_site import may_act, require_own_site
from gateway.pages.rendering import LOGOUT, REFUSAL
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.endpoint_sections import Logout

Scope = Literal["this", "others", "all"]


class LogoutEndpoint:
    """Answers at the path of one logout."""

    def __init__(
        self,
        config: Logout,
        logouts: LogoutService,
        sessions: Sessions,
        sessions_path: str | None,
    ) -> None:
        """`sessions_path` is the path of the caller's sessions, if it is on."""
        self._config = config
        self._logouts = logouts
        self._sessions = sessions
        self._directory = sessions.directory
        self._sessions_path = sessions_path

    async def __call__(self, request: web.Request) -> web.Response:
        """Log out.

        Without a scope, an unknown key and a second logout are answered like the first
        (wire-rules.md#E4). A key in a place where none is read is refused, because its session
        lives on. With a scope, an unknown key is refused, because its subject is unknown.
        """
        if self._asks_first(request):
            return pages.show(request, LOGOUT, logout_path=self._config.path)
        require_own_site(request)
        scope = _scope(request, self._config.scope)
        request = await self._identified(request, scope)
        if scope == "this":
            return await self._log_out(request)
        asking = await caller(request, self._directory)
        if asking.is_unnamed:
            return await self._only_here(request, scope)
        if asking.session.impersonator:
            raise EndpointRefused(refusals.IMPERSONATES)
        # The caller's own session ends last, so that a failed logout can be tried again.
        await self._logouts.end_others(request, asking, reason=scope)
        if scope == "all":
            return await self._log_out(request, reason=scope)
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        if self._sessions_path is not None and pages.wants_page(request):
            pages.redirect(response, self._sessions_path)
        return response

    async def _identified(self, request: web.Request, scope: Scope) -> web.Request:
        """The request, whose caller may be known by a refresh key alone.

        Raises `EndpointRefused` for a key in a place where none is read.
        """
        if session_id(request) is not None or other_sessions(request):
            return request
        body = await beginning_of_body(request)
        key = refresh_logouts.key_of(request, body, self._sessions)
        if key is not None:
            return await refresh_logouts.as_caller(request, key, self._sessions)
        if scope == "this":
            await require_readable_key(request, body)
        return request

    def _asks_first(self, request: web.Request) -> bool:
        """Whether a page asks first: another site may have led the browser here."""
        if request.method not in SAFE_METHODS or "POST" not in self._config.methods:
            return False
        return pages.wants_page(request) and not may_act(request)

    async def _log_out(self, request: web.Request, *, reason: str = "") -> web.Response:
        """End the caller's session. Answer with the backend's reply, or a page."""
        logged_out = await self._logouts.log_out(request, self._config, reason=reason)
        if logged_out.is_whole:
            return logged_out.response
        return _logged_out(request, logged_out.response)

    async def _only_here(self, request: web.Request, scope: Scope) -> web.Response:
        """Refuse to end other sessions of a subject that is unknown.

        With the scope `all`, the caller's own session ends all the same: a person who wants to be
        logged out everywhere must not stay logged in here.
        """
        if scope != "all":
            return refuse(request, refusals.UNKNOWN_SUBJECT, back=self._sessions_path)
        logged_out = await self._logouts.log_out(request, self._config, reason=scope)
        again = request.config_dict[LOGIN_PAGE]
        refused = refuse(request, refusals.UNKNOWN_SUBJECT, again=again)
        return _with_cookies_of(logged_out.response, refused)


def _logged_out(request: web.Request, response: web.Response) -> web.Response:
    """The answer for people: a page, unless the browser goes to a provider."""
    if not pages.wants_page(request) or "Location" in response.headers:
        return response
    notice, again = pages.texts_for(request).logged_out, request.config_dict[LOGIN_PAGE]
    page = pages.show(request, REFUSAL, notice=notice, back=None, again=again)
    return _with_cookies_of(response, page)


def _with_cookies_of(logout: web.Response, response: web.Response) -> web.Response:
    """The response with the Set-Cookie fields of the logout's own answer."""
    for cookie in logout.headers.getall("Set-Cookie", ()):
        response.headers.add("Set-Cookie", cookie)
    return response


def _scope(request: web.Request, fixed: Scope | None) -> Scope:
    """The scope of the logout: which sessions end. Raises `EndpointRefused`.

    A client that asks for another scope than the `fixed` one must not believe that it has got it.
    """
    match request.query.getall("scope", []):
        case []:
            return fixed or "this"
        case ["others" | "all" as asked] if fixed is None:
            return "others" if asked == "others" else "all"
        case [asked] if asked == fixed:
            return fixed
        case _:
            raise EndpointRefused(refusals.UNKNOWN_SCOPE)

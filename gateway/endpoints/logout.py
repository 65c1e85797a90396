"""The logout endpoint: ends the session of the key that came, or those of other devices as well."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from gateway.core import refusals
from gateway.endpoints import pages
from gateway.endpoints.answers import LOGIN_PAGE, Refused, refuse
from gateway.endpoints.callers import insist_on_own_site, may_act, own_sessions
from gateway.endpoints.endings import Endings
from gateway.pages.rendering import LOGOUT, REFUSAL
from gateway.store.directory import Directory

_METHODS = ("GET", "POST")

Scope = Literal["", "others", "all"]


class LogoutEndpoint:
    """Answers at the logout's path."""

    def __init__(
        self, path: str, endings: Endings, directory: Directory, sessions_path: str | None
    ) -> None:
        """`sessions_path` is where the caller's sessions are listed, if they are."""
        self._path = path
        self._endings = endings
        self._directory = directory
        self._sessions_path = sessions_path

    async def __call__(self, request: web.Request) -> web.Response:
        """Without a scope, an unknown key and a second logout answer like the first (rule E4).

        With one, they are refused: nobody can tell whose other sessions should end.
        """
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        if request.method == "GET" and pages.is_wanted(request) and not may_act(request):
            return pages.show(request, LOGOUT, logout_path=self._path)
        insist_on_own_site(request)
        scope = _scope(request)
        if not scope:
            return _logged_out(request, await self._endings.log_out(request))
        # The caller's own session ends last, so that what has failed can be asked for again.
        own = await own_sessions(request, self._directory)
        await self._endings.end(request, own.others, "logout", reason=scope)
        if scope == "all":
            return _logged_out(request, await self._endings.log_out(request, reason=scope))
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        if self._sessions_path is not None and pages.is_wanted(request):
            pages.lead_to(response, self._sessions_path)
        return response


def _logged_out(request: web.Request, response: web.Response) -> web.Response:
    """The same for people: a page that says so, unless they have to log out elsewhere as well."""
    if not pages.is_wanted(request) or "Location" in response.headers:
        return response
    notice, again = pages.texts_for(request).logged_out, request.config_dict[LOGIN_PAGE]
    page = pages.show(request, REFUSAL, notice=notice, back=None, again=again)
    for cookie in response.headers.getall("Set-Cookie", ()):
        page.headers.add("Set-Cookie", cookie)
    return page


def _scope(request: web.Request) -> Scope:
    """Which sessions are to end, besides or instead of the caller's. Raises `Refused`."""
    match request.query.getall("scope", []):
        case []:
            return ""
        case ["others"]:
            return "others"
        case ["all"]:
            return "all"
        case _:
            raise Refused(refusals.UNKNOWN_SCOPE)

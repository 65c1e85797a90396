"""The sessions endpoint: the caller's own sessions, as JSON or a page."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals
from gateway.core.sessions.records import SessionInfo
from gateway.core.timestamps import rfc3339
from gateway.endpoints import pages
from gateway.endpoints.answers import EndpointRefused, refuse
from gateway.endpoints.callers import Caller, caller
from gateway.endpoints.logout_service import LogoutService
from gateway.endpoints.own_site import require_own_site
from gateway.pages import policy, views
from gateway.pages.rendering import SESSIONS
from gateway.store.directory import Directory

if TYPE_CHECKING:
    from gateway.config.endpoint_sections import Logout
    from gateway.config.model import Config

# A subject may have as many by the default of `session.max_per_subject`.
MAX_LISTED = 100

# Methods of the list, and of one session. A form cannot send DELETE, so POST ends a session too.
_OF_ALL, _OF_ONE = ("GET", "HEAD"), ("DELETE", "POST")


class SessionsEndpoint:
    """Answers at the path of the list, and at those of single sessions."""

    def __init__(
        self, path: str, config: Config, logouts: LogoutService, directory: Directory
    ) -> None:
        self._path = path
        self._logout = config.logout[0]
        self._scoped_logout = _scoped_logout(config.logout)
        self._logouts = logouts
        self._directory = directory

    async def __call__(self, request: web.Request) -> web.Response:
        handle = request.match_info.get("handle")
        methods = _OF_ALL if handle is None else _OF_ONE
        if request.method not in methods:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(methods)})
        if handle is None:
            return await self._list(request, await caller(request, self._directory))
        require_own_site(request)
        return await self._end(request, handle, await caller(request, self._directory))

    async def _list(self, request: web.Request, asking: Caller) -> web.Response:
        found, not_listed = await self._found(asking)
        if pages.wants_page(request):
            return self._page(request, asking, found, not_listed)
        listed = [
            {
                "handle": handle,
                "device": info.label,
                "address": info.address,
                "created": rfc3339(info.created),
                "last_seen": rfc3339(info.seen),
                "current": handle == asking.session_id,
                **({"impersonated_by": info.impersonator} if info.impersonator else {}),
            }
            for handle, info in found.items()
        ]
        shown: dict[str, object] = {"sessions": listed}
        if not_listed != 0:
            shown["not_listed"] = not_listed
        fields = {"Cache-Control": "no-store", "Vary": policy.VARY}
        return web.json_response(shown, headers=fields)

    async def _found(self, asking: Caller) -> tuple[dict[str, SessionInfo], int | None]:
        """The sessions of the list, and the number of those left out.

        The caller's own session comes first. The number is None if it is unknown.
        """
        own = {asking.session_id: asking.session}
        if asking.is_unnamed:
            return own, None
        await self._directory.restore(asking.subject, asking.session_id)
        newest, number = await self._directory.newest(asking.subject, MAX_LISTED)
        listed = await self._without_orphans(own | newest)
        number -= len(own | newest) - len(listed)
        found = dict(islice(listed.items(), MAX_LISTED))
        return found, max(0, number - len(found))

    async def _without_orphans(self, found: dict[str, SessionInfo]) -> dict[str, SessionInfo]:
        """Leave out impersonations with an ended parent: they have ended, too."""
        parents = {info.parent_id for info in found.values() if info.parent_id}
        living = await self._directory.infos(sorted(parents)) if parents else {}
        return {
            session_id: info
            for session_id, info in found.items()
            if not info.parent_id or info.parent_id in living
        }

    def _page(
        self,
        request: web.Request,
        asking: Caller,
        found: dict[str, SessionInfo],
        not_listed: int | None,
    ) -> web.Response:
        texts, now = pages.texts_for(request), time.time()
        return pages.show(
            request,
            SESSIONS,
            devices=[
                views.device(handle, info, texts, current=handle == asking.session_id, now=now)
                for handle, info in found.items()
            ],
            not_listed=not_listed,
            sessions_path=self._path,
            logout_path=self._scoped_logout,
        )

    async def _end(self, request: web.Request, handle: str, asking: Caller) -> web.Response:
        """End one of the caller's sessions; the caller's own one as a logout does.

        The answer does not tell whether another subject's session exists. Raises `EndpointRefused`.
        """
        if handle == asking.session_id:
            # Without a session, the page there says "You are logged out".
            logged_out = await self._logouts.log_out(request, self._logout)
            response, onward = logged_out.response, self._scoped_logout or "/"
        else:
            if asking.session.impersonator:
                raise EndpointRefused(refusals.IMPERSONATES, back=self._path)
            info = (await self._directory.infos([handle])).get(handle)
            if info is None or info.subject != asking.subject or asking.is_unnamed:
                raise EndpointRefused(refusals.NO_SESSION, back=self._path)
            await self._logouts.end(request, [handle], "revoke", by="device")
            response = web.Response(status=204, headers={"Cache-Control": "no-store"})
            onward = self._path
        if request.method == "POST":
            pages.redirect(response, onward)
        return response


def _scoped_logout(logouts: Iterable[Logout]) -> str | None:
    """The path of a logout that ends several sessions, for the page's forms."""
    served = {"GET", "POST"}
    paths = (
        logout.path for logout in logouts if logout.scope is None and served <= set(logout.methods)
    )
    return next(paths, None)

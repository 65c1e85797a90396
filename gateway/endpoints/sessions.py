"""The sessions endpoint: the caller's own sessions, for programs and for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core import refusals
from gateway.core.moments import rfc3339
from gateway.endpoints import pages
from gateway.endpoints.answers import Refused, refuse
from gateway.endpoints.callers import Own, insist_on_own_site, own_sessions
from gateway.endpoints.endings import Endings
from gateway.pages import policy, views
from gateway.pages.rendering import SESSIONS
from gateway.store.directory import Directory

if TYPE_CHECKING:
    from gateway.config.model import Config

# Of the list, and of one session. A form can do no DELETE, so its POST ends a session as well.
_OF_ALL, _OF_ONE = ("GET", "HEAD"), ("DELETE", "POST")


class SessionsEndpoint:
    """Answers at the list's path, and below it at each session's own."""

    def __init__(self, path: str, config: Config, endings: Endings, directory: Directory) -> None:
        self._path = path
        self._logout_path = config.logout.path
        self._endings = endings
        self._directory = directory

    async def __call__(self, request: web.Request) -> web.Response:
        handle = request.match_info.get("handle")
        methods = _OF_ALL if handle is None else _OF_ONE
        if request.method not in methods:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(methods)})
        if handle is None:
            return self._list(request, await own_sessions(request, self._directory))
        insist_on_own_site(request)
        return await self._end(request, handle)

    def _list(self, request: web.Request, own: Own) -> web.Response:
        if pages.is_wanted(request):
            return self._page(request, own)
        listed = [
            {
                "handle": handle,
                "device": said.label,
                "address": said.address,
                "created": rfc3339(said.created),
                "last_seen": rfc3339(said.seen),
                "current": handle == own.current,
            }
            for handle, said in own.sessions.items()
        ]
        fields = {"Cache-Control": "no-store", "Vary": policy.VARY}
        return web.json_response({"sessions": listed}, headers=fields)

    def _page(self, request: web.Request, own: Own) -> web.Response:
        texts, now = pages.texts_for(request), time.time()
        return pages.show(
            request,
            SESSIONS,
            devices=[
                views.device(handle, said, texts, current=handle == own.current, now=now)
                for handle, said in own.sessions.items()
            ],
            sessions_path=self._path,
            logout_path=self._logout_path,
        )

    async def _end(self, request: web.Request, handle: str) -> web.Response:
        """Ends one of the caller's sessions; the present one as a logout does.

        There is no telling whether any other session exists. Raises `Refused`.
        """
        own = await own_sessions(request, self._directory)
        if handle not in own.sessions:
            raise Refused(refusals.NO_SESSION, back=self._path)
        if handle == own.current:
            # Without a session, the page there says that one is logged out.
            response, onward = await self._endings.log_out(request), self._logout_path
        else:
            await self._endings.end(request, [handle], "revoke", by="device")
            response = web.Response(status=204, headers={"Cache-Control": "no-store"})
            onward = self._path
        if request.method == "POST":
            pages.lead_to(response, onward)
        return response

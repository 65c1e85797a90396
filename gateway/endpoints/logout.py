"""The logout endpoint: ends the session of the key that came, and of no other device."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from aiohttp import web

from gateway.backends import BackendFailed, Backends
from gateway.config.model import Logout
from gateway.core import refusals
from gateway.endpoints.answers import refuse
from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.endpoints")

_METHODS = ("GET", "POST")

# Nothing of the backend's answer to a logout is used.
_MOST_REPLY = 65536


class LogoutEndpoint:
    """Answers at the logout's path."""

    def __init__(self, config: Logout, sessions: Sessions, backends: Backends) -> None:
        self._config = config
        self._sessions = sessions
        self._backends = backends

    async def __call__(self, request: web.Request) -> web.Response:
        """An unknown key and a second logout answer like the first (rule E4)."""
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        session_id = request.headers.get("X-Latchkey-Session")
        if session_id is None:
            return _done(None)
        from_cookie = request.headers.get("X-Latchkey-Carrier") == "cookie"
        if from_cookie and not _same_site(request):
            return refuse(request, refusals.CROSS_SITE)
        await self._sessions.revoke(session_id)
        await self._tell_backend(request)
        return _done(request.headers.get("X-Latchkey-Cookie"))

    async def _tell_backend(self, request: web.Request) -> None:
        """The session has ended, whatever the backend's own logout says (rule E4)."""
        config = self._config
        if config.upstream is None or config.backend_path is None:
            return
        passed = ("Authorization", "Host", "User-Agent", "X-Request-Id", "traceparent")
        fields = [(name, request.headers[name]) for name in passed if name in request.headers]
        try:
            reply = await self._backends.call(
                config.upstream,
                config.method,
                config.backend_path,
                fields=fields,
                body=b"",
                timeout=config.timeout,
                max_reply=_MOST_REPLY,
            )
        except BackendFailed as failed:
            _log.warning("the backend's logout failed: %s", failed.refusal.reason)
        else:
            if reply.status >= 400:
                _log.warning("the backend's logout answered %d", reply.status)


def _same_site(request: web.Request) -> bool:
    """Whether a request whose key came in a cookie is this site's own.

    A POST needs no more than that the browser does not call it cross-site; a GET, which any image
    on any page can cause, needs a browser's word or an Origin that it is not.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    source = headers.get("Origin") or headers.get("Referer")
    if source is not None:
        return urlsplit(source).netloc == headers.get("X-Forwarded-Host", headers.get("Host"))
    return request.method == "POST"


def _done(cookie: str | None) -> web.Response:
    response = web.Response(status=204, headers={"Cache-Control": "no-store"})
    if cookie is not None:
        response.headers["Set-Cookie"] = f"{cookie}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    return response

"""The logout endpoint: ends the session of the key that came, and of no other device."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from gateway.backends import BackendFailed, Backends
from gateway.core import refusals, swaps
from gateway.core.fields import OWN_PREFIX, fold
from gateway.core.records import Open
from gateway.core.replies import Reply
from gateway.endpoints.answers import refuse
from gateway.observe.events import of_sessions
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import Logout

_log = logging.getLogger("gateway.endpoints")

_METHODS = ("GET", "POST")

# The backend is told without a body, so these fields would speak of nothing.
_OF_THE_BODY = b"content-"

# Of the backend's answer to a logout only its cookies are used.
_MOST_REPLY = 65536

# RFC 6265bis §4.1.3: browsers take no cookie of such a name, not even its deletion, without Secure.
_SECURE_PREFIXES = ("__Host-", "__Secure-")


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
        headers = request.headers
        if headers.get("X-Latchkey-Carrier") == "cookie" and not _is_own(request):
            return refuse(request, refusals.CROSS_SITE)
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        session_id = headers.get("X-Latchkey-Session")
        if session_id is not None:
            ended = await self._sessions.revoke(session_id)
            self._report(request, ended)
            for cookie in await self._tell_backend(request):
                response.headers.add("Set-Cookie", cookie)
        if "X-Latchkey-Cookie" in headers:
            response.headers.add("Set-Cookie", _deletion(headers["X-Latchkey-Cookie"]))
        return response

    def _report(self, request: web.Request, ended: Mapping[str, Open]) -> None:
        headers = request.headers
        name, address = headers.get("X-Request-Id", ""), headers.get("X-Real-IP", "")
        for event in of_sessions("logout", ended, request_id=name):
            self._sessions.report(replace(event, address=address))

    async def _tell_backend(self, request: web.Request) -> list[str]:
        """Has the backend log out the token; returns the cookies that it sets, or rather deletes.

        The session has ended already, whatever the backend says (rule E4).
        """
        config = self._config
        if config.upstream is None or config.backend_path is None:
            return []
        try:
            reply = await self._backends.call(
                config.upstream,
                config.method,
                config.backend_path,
                fields=_passed(request),
                body=b"",
                timeout=config.timeout,
                max_reply=_MOST_REPLY,
            )
        except BackendFailed as failed:
            _log.warning("the backend's logout failed: %s", failed.refusal.reason)
            return []
        if reply.status >= 400:
            _log.warning("the backend's logout answered %d", reply.status)
        fields = tuple(line for line in reply.fields if line[0].lower() == "set-cookie")
        return [value for _, value in swaps.scrub(Reply(reply.status, fields, b"")).fields]


def _passed(request: web.Request) -> Iterable[tuple[str, str]]:
    """The request's fields as a route would pass them on, with the token in Authorization."""
    for name, value in request.headers.items():
        folded = fold(name.encode("utf-8", "surrogateescape"))
        if not folded.startswith((OWN_PREFIX, _OF_THE_BODY)):
            yield name, value


def _is_own(request: web.Request) -> bool:
    """Whether a request whose key came in a cookie was caused by this site, and by no other.

    Browsers say so. One that says nothing is old or no browser: then a POST passes, and a GET,
    which any image on any page can cause, does not.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    source = headers.get("Origin") or headers.get("Referer")
    if source is not None:
        return _authority(source) == headers.get("X-Forwarded-Host", request.host).lower()
    return request.method == "POST"


def _authority(url: str) -> str:
    """The host and port of a URL, without a port that goes without saying; "" if there are none."""
    try:
        parts = urlsplit(url)
        default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    except ValueError:
        return ""
    return parts.netloc.lower().removesuffix(default)


def _deletion(cookie: str) -> str:
    """A Set-Cookie value that has the browser forget the cookie which held the key."""
    secure = "; Secure" if cookie.startswith(_SECURE_PREFIXES) else ""
    return f"{cookie}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax{secure}"

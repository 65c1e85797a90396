"""The login endpoint: from an HTTP request to an attempt, and back from a reply."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from gateway.config.model import BackendLogin
from gateway.core import devices, refusals
from gateway.core.replies import Reply
from gateway.endpoints.answers import refuse
from gateway.logins.attempt import Attempt
from gateway.logins.backend import Login


class LoginEndpoint:
    """Answers at one login's path."""

    def __init__(self, config: BackendLogin, login: Login) -> None:
        self._config = config
        self._login = login

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in self._config.methods:
            allow = {"Allow": ", ".join(self._config.methods)}
            return refuse(request, refusals.METHOD, allow)
        if (request.content_length or 0) > self._config.max_body:
            return refuse(request, refusals.BODY_TOO_LARGE)
        body = await request.read()
        if len(body) > self._config.max_body:
            return refuse(request, refusals.BODY_TOO_LARGE)
        return _response(await self._login(_attempt(request, body)))


def _attempt(request: web.Request, body: bytes) -> Attempt:
    headers = request.headers
    from_cookie = headers.get("X-Latchkey-Carrier") == "cookie"
    query = request.rel_url.raw_query_string
    return Attempt(
        method=request.method,
        query=f"?{query}" if query else "",
        fields=tuple(
            (name, value)
            for name, value in headers.items()
            # With a resolved key, Authorization is the session's token, which no login may see.
            if name.lower() != "authorization" or "X-Latchkey-Session" not in headers
        ),
        body=body,
        address=headers.get("X-Real-IP", "unknown"),
        device=devices.label(headers.get("User-Agent", "")),
        request_id=headers.get("X-Request-Id", ""),
        replaces=headers.get("X-Latchkey-Session") if from_cookie else None,
    )


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, headers=CIMultiDict(reply.fields), body=reply.body)

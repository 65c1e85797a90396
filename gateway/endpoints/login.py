"""The login endpoint: from an HTTP request to an attempt, and back from a reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from gateway.core import devices, refusals
from gateway.core.fields import OWN_PREFIX, fold
from gateway.core.replies import Reply
from gateway.endpoints.answers import refuse
from gateway.logins import Attempt, Login

if TYPE_CHECKING:
    from gateway.config.model import AnyLogin


class LoginEndpoint:
    """Answers at one login's path."""

    def __init__(self, config: AnyLogin, login: Login, identity: Iterable[str]) -> None:
        """`identity` are the names of the fields that tell upstreams of a session's subject."""
        self._config = config
        self._login = login
        self._identity = frozenset(fold(name.encode()) for name in identity)

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in self._config.methods and not _is_preflight(request):
            allow = {"Allow": ", ".join(self._config.methods)}
            return refuse(request, refusals.METHOD, allow)
        if (request.content_length or 0) > self._config.max_body:
            return refuse(request, refusals.BODY_TOO_LARGE)
        body = await request.read()
        if len(body) > self._config.max_body:
            return refuse(request, refusals.BODY_TOO_LARGE)
        return _response(await self._login(self._attempt(request, body)))

    def _attempt(self, request: web.Request, body: bytes) -> Attempt:
        headers = request.headers
        _, mark, query = request.raw_path.partition("?")
        from_cookie = headers.get("X-Latchkey-Carrier") == "cookie"
        return Attempt(
            method=request.method,
            query=mark + query,
            fields=tuple(self._passed(headers)),
            body=body,
            address=headers.get("X-Real-IP", "unknown"),
            device=devices.label(headers.get("User-Agent", "")),
            request_id=headers.get("X-Request-Id", ""),
            replaces=headers.get("X-Latchkey-Session") if from_cookie else None,
        )

    def _passed(self, headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        """What the client sent, without what the relay adds for the session that it came with.

        With a session, Authorization is that session's token, which no login may see; without one
        it is the client's own, Basic for instance.
        """
        has_session = "X-Latchkey-Session" in headers
        for name, value in headers.items():
            folded = fold(name.encode("utf-8", "surrogateescape"))
            if folded.startswith(OWN_PREFIX) or folded in self._identity:
                continue
            if folded != b"authorization" or not has_session:
                yield name, value


def _is_preflight(request: web.Request) -> bool:
    """A browser's question whether another site's page may log in here: the backend knows."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status,
        reason=reply.reason or None,
        headers=CIMultiDict(reply.fields),
        body=reply.body,
    )

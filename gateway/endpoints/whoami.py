"""The whoami endpoint: tells clients whose session they have, and its end.

A frontend with an opaque key, or with the key in a cookie, learns here what it would read in a
token. Asking leaves the session as idle as it was, unless config.yaml says otherwise.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.core.http import refusals
from gateway.core.sessions import keys, shown_claims
from gateway.core.sessions.session import Session
from gateway.core.timestamps import rfc3339
from gateway.endpoints.answers import EndpointRefused, refuse
from gateway.endpoints.callers import Caller, caller, presented_key
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.endpoint_sections import Whoami

_METHODS = ("GET", "HEAD")


class WhoamiEndpoint:
    """Answers at the path of `whoami`."""

    def __init__(self, config: Whoami, sessions: Sessions) -> None:
        self._claims = config.claims
        self._sessions = sessions

    async def __call__(self, request: web.Request) -> web.Response:
        """The caller's session as JSON.

        Raises `EndpointRefused` without one, and `StoreUnavailable`.
        """
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        asking = await caller(request, self._sessions.directory)
        key = keys.parse_key((presented_key(request) or "").encode())
        assert key is not None  # the relay tells it at this path
        session, _ = await self._sessions.token_writer.read(key, asking.session_id)
        idle_seconds = await self._sessions.seconds_left(asking.session_id)
        if session is None or idle_seconds is None:
            raise EndpointRefused(refusals.BAD_KEY)
        shown = self._shown(asking, session, idle_seconds)
        return web.json_response(shown, headers={"Cache-Control": "no-store"})

    def _shown(self, asking: Caller, session: Session, idle_seconds: float) -> dict[str, Any]:
        """What the answer tells. A named key is never idle."""
        now, info = time.time(), asking.session
        idle_ends = None if info.is_named else min(now + idle_seconds, session.ends_at)
        return {
            "subject": None if asking.is_unnamed else asking.subject,
            **({"impersonated_by": info.impersonator} if info.impersonator else {}),
            "login": session.login,
            "handle": asking.session_id,
            "claims": shown_claims.chosen(session, self._claims),
            "created": rfc3339(info.created),
            "ends": rfc3339(int(session.ends_at)),
            "ends_in": max(0, int(session.ends_at - now)),
            "idle_ends": None if idle_ends is None else rfc3339(int(idle_ends)),
            "idle_ends_in": None if idle_ends is None else max(0, int(idle_ends - now)),
        }

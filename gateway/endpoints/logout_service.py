"""Logouts: a session ends here, at the backend, and in the browser."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http.field_names import fold
from gateway.core.logins import reply_rewriting
from gateway.core.logins.replies import Reply
from gateway.core.sessions.records import SessionInfo
from gateway.core.sessions.session import Session
from gateway.endpoints import pages
from gateway.endpoints.callers import (
    Caller,
    deletions,
    other_sessions,
    passed_fields,
    presented_key,
    session_id,
)
from gateway.endpoints.own_site import own_origin
from gateway.logins import Login
from gateway.observe.events import Kind, of_sessions
from gateway.outbound.backends import BackendFailed, Backends
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.endpoints")

# The backend gets no body, so it gets none of these fields.
_OF_THE_BODY = b"content-"

# Only the cookies of the backend's answer to a logout are used.
_MAX_REPLY_BYTES = 65536


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
        self._config = config.logout
        self._keys = config.keys
        self._sessions = sessions
        self._backends = backends
        self._providers = providers

    async def log_out(self, request: web.Request, *, reason: str = "") -> web.Response:
        """End the sessions of the keys that came, and answer (wire-rules.md#E4)."""
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        current, others = session_id(request), other_sessions(request)
        if others:
            await self.end(request, others, "logout", reason=reason)
        if current is not None:
            leaving = await self._leaving(request)
            await self.end(request, [current], "logout", reason=reason)
            for cookie in await self._tell_backend(request):
                response.headers.add("Set-Cookie", cookie)
            if leaving is not None:
                await self._lead_on(request, leaving, response)
        for cookie in deletions(request):
            response.headers.add("Set-Cookie", cookie)
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
        headers = request.headers
        name, address = headers.get("X-Request-Id", ""), headers.get("X-Real-IP", "")
        for event in of_sessions(kind, ended, reason=reason, request_id=name, by=by):
            whose = event.subject or subject
            self._sessions.report(replace(event, subject=whose, address=address))

    async def _leaving(self, request: web.Request) -> Session | None:
        """The session that ends, if its browser logs out at a provider next."""
        key = presented_key(request)
        leads_on = pages.navigates(request) and pages.wants_page(request)
        if not self._providers or key is None or not leads_on:
            return None
        entry = await self._sessions.resolve(key.encode(), renew=False)
        return entry.session if isinstance(entry, ResolvedSession) else None

    async def _lead_on(self, request: web.Request, left: Session, response: web.Response) -> None:
        login = self._providers.get(left.login)
        if login is not None:
            onward = await login.logout_url(left, own_origin(request, self._keys))
            if onward is not None:
                pages.redirect(response, onward)

    async def _tell_backend(self, request: web.Request) -> list[str]:
        """Log the token out at the backend.

        Returns its Set-Cookie values, which delete cookies.

        The session has ended already, whatever the backend answers (wire-rules.md#E4).
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
                max_reply=_MAX_REPLY_BYTES,
                waits_for_restart=False,  # the client has waited for its own logout alone
            )
        except BackendFailed as failed:
            _log.warning("the backend's logout failed: %s", failed.refusal.reason)
            return []
        if reply.status >= 400:
            _log.warning("the backend's logout answered %d", reply.status)
        fields = tuple(line for line in reply.fields if line[0].lower() == "set-cookie")
        return [
            value for _, value in reply_rewriting.scrub(Reply(reply.status, fields, b"")).fields
        ]


def _passed(request: web.Request) -> Iterable[tuple[str, str]]:
    """The fields that go to the backend's logout."""
    for name, value in passed_fields(request):
        if not fold(name.encode("utf-8", "surrogateescape")).startswith(_OF_THE_BODY):
            yield name, value

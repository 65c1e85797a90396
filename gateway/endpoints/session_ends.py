"""Sessions that end after a successful request, by a route's `ends`.

After a password change, no client of the old password stays logged in (CWE-613).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals
from gateway.core.http.origins import SAFE_METHODS
from gateway.core.logins.replies import Reply
from gateway.endpoints.answers import EndpointRefused
from gateway.endpoints.callers import Caller, caller, other_sessions
from gateway.endpoints.logout_service import LogoutService
from gateway.outbound.backends import BackendFailed
from gateway.store.directory import Directory
from gateway.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.config.route_sections import RouteOptions

# In the audit log.
_REASON = "ends"


class SessionEnds:
    """Ends the caller's other sessions, or all."""

    def __init__(self, logouts: LogoutService, directory: Directory) -> None:
        self._logouts = logouts
        self._directory = directory

    async def asking(self, request: web.Request, rule: RouteOptions) -> Caller | None:
        """The caller whose sessions end if this request succeeds.

        None if it ends none: its method only looks. Asked before the upstream is, so that nothing
        has been done yet if the sessions cannot be found: raises `EndpointRefused` if the token
        names no subject, or if the caller acts as another one, and `StoreUnavailable`.
        """
        if rule.ends is None or request.method in SAFE_METHODS:
            return None
        asking = await caller(request, self._directory)
        if asking.session.impersonator:
            raise EndpointRefused(refusals.IMPERSONATES)
        if asking.is_unnamed:
            raise EndpointRefused(refusals.UNKNOWN_SUBJECT)
        return asking

    async def end(
        self, request: web.Request, rule: RouteOptions, asking: Caller | None, reply: Reply
    ) -> bool:
        """End the sessions, unless the upstream has refused.

        Returns whether the caller's own session has ended. Raises `BackendFailed` if some may live
        on.
        """
        if asking is None or reply.is_refusal:
            return False
        try:
            await self._logouts.end_others(request, asking, reason=_REASON)
            if rule.ends == "all":
                own = [asking.session_id, *other_sessions(request)]
                await self._logouts.end(request, own, "logout", reason=_REASON)
        except StoreUnavailable:
            raise BackendFailed(refusals.SESSIONS_LEFT) from None
        return rule.ends == "all"

"""Sessions that begin on routes that capture, by the rules of a login.

GraphQL logins, sign-up, the second step of a login and links in mails: whatever hands out a token
there begins a session. A reply without a token passes as it came.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.concurrency.off_loop import off_loop
from gateway.config.login_places import key_cookies
from gateway.core.http import refusals
from gateway.core.http.cors import Policy
from gateway.core.logins import pending
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.endpoints.answers import replied
from gateway.endpoints.callers import deletions, sent_by, session_id
from gateway.endpoints.login import with_one_key
from gateway.endpoints.login_attempts import AttemptReader
from gateway.logins import Login
from gateway.logins._asking import scrub
from gateway.logins._throttled_routes import ThrottledRequest
from gateway.outbound.backends import BackendFailed

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions

# Methods that begin no session: HEAD has no reply to find a token in, OPTIONS only asks what may be
# done.
BEGIN_NONE = frozenset({"HEAD", "OPTIONS"})


class SessionStart:
    """Begins sessions on one route."""

    def __init__(
        self, config: Config, rule: RouteOptions, section: LoginSection, login: Login
    ) -> None:
        """`section` and `login` are the login whose rules hold here."""
        assert rule.captures is not None
        self.cors = Policy.of(rule.cors or config.cors)
        self._place = rule.captures
        self._prefix = (rule.strip_prefix or "").rstrip("/")
        self._login = login
        self._own_cookies = key_cookies(config)
        path = replace(section.paths[0], path=rule.path)
        self._attempts = AttemptReader(path, config.keys, config.identity, section)

    async def __call__(
        self, request: web.Request, reply: Reply, throttled: ThrottledRequest
    ) -> web.Response:
        """Answer with the upstream's reply. A token in it begins a session.

        Raises `BackendFailed` and `StoreUnavailable`.
        """
        try:
            begun = await self._begun(request, reply)
            if begun is not None:
                await throttled.began(begun)
                return with_one_key(request, begun)
            await throttled.answered(reply, captured=False)
            shown = (await scrub(reply)).without_cookies(self._own_cookies)
        except UnreadableReply:
            raise BackendFailed(refusals.CAPTURED_REPLY) from None
        response = replied(shown)
        if session_id(request) is None:
            for cookie in deletions(request):
                response.headers.add("Set-Cookie", cookie)
        return response

    async def is_pending(self, reply: Reply) -> bool:
        """Whether a reply announces the second step of a login."""
        place = self._login.pending
        if place is None:
            return False
        try:
            return await off_loop(reply.is_large, pending.is_pending, reply, place)
        except UnreadableReply:
            return False

    async def _begun(self, request: web.Request, reply: Reply) -> Reply | None:
        if request.method in BEGIN_NONE:
            return None
        attempt = self._attempts.attempt(request, await request.read())
        attempt = replace(attempt, path=self._prefix + request.path)
        return await self._login.begin(attempt, reply, self._place, await sent_by(request))

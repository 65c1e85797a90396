"""Impersonation: a second session, in which one subject acts as another.

A backend hands out a token of another subject at such a route. The gateway keeps it in a session of
its own, beside that of the caller, and a logout of the second one goes back to the first. The list
of sessions and the audit log tell who it is. The second session ends with the first one, and begins
no third.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.config.login_places import key_cookies
from gateway.core.http import refusals
from gateway.core.logins import cookie_deletions
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Parent, Session
from gateway.endpoints.answers import EndpointRefused, replied
from gateway.endpoints.callers import by_cookie, cookies_with_keys, kept_cookie, sent_by
from gateway.endpoints.login import with_one_key
from gateway.endpoints.login_attempts import AttemptReader
from gateway.endpoints.own_site import require_own_site
from gateway.endpoints.session_start import BEGIN_NONE
from gateway.logins import Attempt, Login
from gateway.logins._asking import scrub
from gateway.logins._throttled_routes import ThrottledRequest
from gateway.outbound.backends import BackendFailed
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions


class Impersonation:
    """Begins second sessions on one route."""

    def __init__(
        self, config: Config, rule: RouteOptions, sessions: Sessions, logins: Mapping[str, Login]
    ) -> None:
        """`logins` are all logins, by their paths."""
        assert rule.captures is not None
        self._place = rule.captures
        self._prefix = (rule.strip_prefix or "").rstrip("/")
        self._sessions = sessions
        self._logins = logins
        self._own_cookies = key_cookies(config)
        self._readers = {
            login.path: AttemptReader(login.paths[0], config.keys, config.identity)
            for login in config.login
        }

    async def parent(self, request: web.Request, key: Key) -> Session:
        """The caller's session. The relay has checked that it may impersonate.

        Raises `EndpointRefused` for a second session, and for a request of another site's page.
        """
        require_own_site(request)
        resolved = await self._sessions.resolve(key.raw, renew=False)
        if not isinstance(resolved, ResolvedSession):
            raise EndpointRefused(refusals.BAD_KEY)
        if resolved.session.parent or resolved.session.login not in self._logins:
            raise EndpointRefused(refusals.IMPERSONATES)
        return resolved.session

    async def __call__(
        self,
        request: web.Request,
        reply: Reply,
        parent: Session,
        key: Key,
        throttled: ThrottledRequest,
    ) -> web.Response:
        """Answer with the upstream's reply. Its token begins a second session.

        Raises `BackendFailed` and `StoreUnavailable`.
        """
        try:
            begun = await self._begun(request, reply, parent, key)
            await throttled.answered(reply, captured=begun is not None)
            if begun is not None:
                return with_one_key(request, begun)
            return replied((await scrub(reply)).without_cookies(self._own_cookies))
        except UnreadableReply:
            raise BackendFailed(refusals.CAPTURED_REPLY) from None

    async def _begun(
        self, request: web.Request, reply: Reply, parent: Session, key: Key
    ) -> Reply | None:
        """The reply with the key of a second session; None if none has begun."""
        if request.method in BEGIN_NONE:
            return None
        attempt = await self._attempt(request, parent, key)
        login = self._logins[parent.login]
        return await login.begin(attempt, reply, self._place, await sent_by(request))

    async def _attempt(self, request: web.Request, parent: Session, key: Key) -> Attempt:
        """The request, as one that begins a session beside the caller's."""
        attempt = self._readers[parent.login].attempt(request, await request.read())
        return replace(
            attempt,
            path=self._prefix + request.path,
            replaces=(),
            is_foreign=False,
            cookie=_SameCookie.of(request) if by_cookie(request) else None,
            may_set_cookie=True,
            is_remembered=parent.cookie_until > 0,
            life=parent.life,
            parent=Parent(
                key=key,
                id=parent.id,
                subject=parent.subject,
                ends_at=parent.ends_at,
                logged_in_at=parent.logged_in_at,
                cookie=parent.cookie,
            ),
        )


@dataclass(frozen=True, slots=True)
class _SameCookie(KeyCookie):
    """The cookie in which a key came, with its attributes, for another key."""

    kept: str = ""

    @classmethod
    def of(cls, request: web.Request) -> _SameCookie:
        kept, [name, *_] = kept_cookie(request), cookies_with_keys(request)
        return cls(name, request.headers.get("X-Forwarded-Proto", "").lower() == "https", kept)

    def setting(self, key: str, seconds: int | None = None) -> str:
        value = cookie_deletions.setting_from(self.kept, self.name, key, seconds)
        return f"{value}; Secure" if self.secure and "; Secure" not in value else value


def back_to(request: web.Request, key: str, seconds: int | None) -> str:
    """A Set-Cookie value that brings back the key of the first session.

    `seconds` are those for which its cookie lasts, if it does.
    """
    return _SameCookie.of(request).setting(key, seconds)

"""Routes that read replies whole, to capture tokens or to end sessions.

Where a route captures, a token in a reply replaces the session's token, or begins a session.

The relay decides on such a request as on any other, and sends it here in place of its upstream. The
reply has to be read as a whole, as a login's reply has. The client gets its key in place of the new
token, and no other token.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.config.login_places import key_cookies, key_places, login_of_route
from gateway.config.token_places import token_sending
from gateway.core.http import caller_fields, refusals
from gateway.core.http.origins import plain_authority
from gateway.core.logins import carriers, cookie_deletions, cookie_logouts
from gateway.core.logins.mfa import words
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie
from gateway.core.sessions import devices, keys
from gateway.core.sessions.keys import Key
from gateway.core.tokens.claims import BadToken, read_claims
from gateway.endpoints.answers import Handler, replied
from gateway.endpoints.callers import (
    asked_host,
    by_cookie,
    cookies_with_keys,
    deletions,
    kept_cookie,
    other_sessions,
    own_fields,
    presented_key,
    sent_by,
    session_id,
    session_token,
    with_token,
)
from gateway.endpoints.impersonation import Impersonation
from gateway.endpoints.logout_service import LogoutService
from gateway.endpoints.own_site import ROUTE_CORS
from gateway.endpoints.session_ends import SessionEnds
from gateway.endpoints.session_start import SessionStart
from gateway.endpoints.token_capture import NewLogin, TokenCapture, cookie_of
from gateway.logins import Attempt, Login
from gateway.logins._asking import scrub
from gateway.logins._throttled_routes import ThrottledRequest, ThrottledRoutes
from gateway.outbound.backends import BackendFailed, Backends
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions


def capturing(captures: CaptureEndpoint) -> Middleware:
    """A middleware that takes the requests of such routes, at any path."""

    @web.middleware
    async def dispatch(request: web.Request, handler: Handler) -> web.StreamResponse:
        rule = request.headers.get(caller_fields.CAPTURE)
        return await handler(request) if rule is None else await captures(request, int(rule))

    return dispatch


class CaptureEndpoint:
    """Answers on the routes that capture."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        calls: Backends,
        logins: Mapping[str, Login],
        logouts: LogoutService,
    ) -> None:
        """`logins` are all logins, by their paths."""
        self._logouts = logouts
        self._rules = config.routes
        self._sendings = [token_sending(rule, config) for rule in config.routes]
        self._timeout = config.timeouts.response
        self._calls = calls
        self._tokens = TokenCapture(sessions, logins)
        self._ends = SessionEnds(logouts, sessions.directory)
        self._own_cookies = key_cookies(config)
        self._unknown = carriers.unknown_to_backends(config.keys.cookie, key_places(config))
        self._throttled_routes = ThrottledRoutes(config, sessions)
        self._starts = {
            number: SessionStart(config, rule, section, logins[section.path])
            for number, rule in enumerate(config.routes)
            if (section := login_of_route(config, rule)) is not None
        }

        self._impersonations = {
            number: Impersonation(config, rule, sessions, logins)
            for number, rule in enumerate(config.routes)
            if rule.impersonates is not None
        }

    async def __call__(self, request: web.Request, number: int) -> web.Response:
        """Ask the upstream, and keep the token of its reply.

        Raises `EndpointRefused`, `BackendFailed` and `StoreUnavailable`, and changes nothing then;
        `TooManyFailures` for a request that could be one guess too many.
        """
        rule, start = self._rules[number], self._starts.get(number)
        if start is not None:
            request[ROUTE_CORS] = start.cors
        key = keys.parse_key((presented_key(request) or "").encode())
        assert rule.upstream is not None  # a rule that captures has one
        impersonation, parent = self._impersonations.get(number), None
        if impersonation is not None:
            assert key is not None  # such a route requires a session
            parent = await impersonation.parent(request, key)
        attempt, (path, _, _) = await _attempt(request), request.raw_path.partition("?")
        counting = self._throttled_routes.throttled(
            attempt,
            rule.upstream,
            path,
            None if key is None else keys.session_id(key),
            is_start=start is not None,
        )
        asking = await self._ends.asking(request, rule)
        async with counting as throttled:
            reply = await self._ask(request, number)
            if impersonation is not None and parent is not None and key is not None:
                return await impersonation(request, reply, parent, key, throttled)
            forgets = await self._ends.end(request, rule, asking, reply)
            is_pending = start is not None and await start.is_pending(reply)
            if key is not None and not is_pending:
                with suppress(NewLogin):
                    response = await self._answer(request, rule, reply, key, throttled)
                    for cookie in deletions(request) if forgets else ():
                        response.headers.add("Set-Cookie", cookie)
                    return response
            assert start is not None  # only where sessions begin, a request may have none
            return await start(request, reply, throttled)

    async def _answer(
        self,
        request: web.Request,
        rule: RouteOptions,
        reply: Reply,
        key: Key,
        throttled: ThrottledRequest,
    ) -> web.Response:
        """Answer a caller with a session. Raises `NewLogin`."""
        kept_in = next(iter(cookies_with_keys(request)), None)
        captured = None
        try:
            if not reply.is_refusal and rule.captures is not None:
                sent = await sent_by(request)
                captured = await self._tokens.capture(request, rule, reply, key, sent)
            if captured is None:
                shown = reply if rule.captures is None else await scrub(reply)
            else:
                # A client with the key in a cookie gets it in that cookie alone: no script may
                # read it, and no other cookie may bring it a second time.
                put = kept_in in (None, cookie_of(reply, captured.found))
                text = self._tokens.key_text(key, captured) if put else ""
                swapped = await self._tokens.swapped(reply, captured, key, text)
                shown = self._tokens.with_lasting_cookie(swapped, reply, captured, text).unstored()
        except UnreadableReply:
            raise BackendFailed(refusals.CAPTURED_REPLY) from None
        await throttled.answered(reply, captured=captured is not None)
        response = replied(shown.without_cookies({kept_in, *self._own_cookies}, key.reveal()))
        if captured is None and kept_in is not None and by_cookie(request):
            for cookie in await self._log_out(request, reply, kept_in):
                response.headers.add("Set-Cookie", cookie)
        return response

    async def _log_out(self, request: web.Request, reply: Reply, kept_in: str) -> list[str]:
        """End the session if the reply logs out by the cookie of its key.

        Returns the Set-Cookie values by which the browser forgets the cookie.
        """
        wanted = ("set-cookie", kept_in)
        values = [line[1] for line in reply.fields if field_and_cookie(line) == wanted]
        deleted = []
        if kept_in not in self._unknown:
            deleted = cookie_logouts.deletions(
                values, _claims(request), time.time(), session_token(request)
            )
        if not deleted and not cookie_logouts.clears(reply.field("clear-site-data").encode()):
            return []
        ids = filter(None, (session_id(request), *other_sessions(request)))
        await self._logouts.end(request, ids, "logout", reason="cookie")
        return [*deleted, cookie_deletions.deletion_from(kept_cookie(request), kept_in)]

    async def _ask(self, request: web.Request, number: int) -> Reply:
        rule = self._rules[number]
        assert rule.upstream is not None  # a rule that captures has one
        target, fields = with_token(request, request.raw_path, self._sendings[number])
        try:
            return await self._calls.call(
                rule.upstream,
                request.method,
                target,
                fields=fields,
                body=await request.read(),  # the relay sees to its size
                timeout=rule.response_timeout or self._timeout,
                max_reply=rule.max_reply,
                address=request.headers.get("X-Real-IP", ""),
            )
        except BackendFailed as failed:
            if failed.refusal is refusals.LOGIN_REPLY:
                raise BackendFailed(refusals.CAPTURED_REPLY) from None
            raise


def _claims(request: web.Request) -> Mapping[str, Any] | None:
    """The claims of the session's token; None if it has none.

    The relay has put the token in place of the key.
    """
    with suppress(BadToken):
        return read_claims(session_token(request), now=0).payload
    return None


async def _attempt(request: web.Request) -> Attempt:
    """The request as an attempt to log in, which it may be."""
    headers, (path, mark, query) = request.headers, request.raw_path.partition("?")
    return Attempt(
        method=request.method,
        query=mark + query,
        fields=tuple(own_fields(request)),
        body=await request.read(),  # the relay sees to its size
        address=headers.get("X-Real-IP", "unknown"),
        device=devices.label(headers.get("User-Agent", "")),
        request_id=headers.get("X-Request-Id", ""),
        replaces=(),
        is_foreign=False,
        cookie=None,
        authority=plain_authority(asked_host(request)),
        path=path,
        segments={segment: segment for segment in path.split("/") if words.is_token("", segment)},
    )

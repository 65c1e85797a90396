"""A captured token takes the place of the session's own token."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals
from gateway.core.http.origins import host_of, plain_authority
from gateway.core.http.refusals import Refusal
from gateway.core.logins import reply_tokens
from gateway.core.logins.lasting_cookies import lasts, prolonged
from gateway.core.logins.replies import Reply, field_and_cookie
from gateway.core.logins.reply_tokens import Found, InField, NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.sessions import keys, subjects
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Session
from gateway.core.tokens.claims import BadToken, NotVerified, OtherKind
from gateway.endpoints.answers import EndpointRefused
from gateway.endpoints.callers import asked_host, cookies_with_keys
from gateway.logins import Login
from gateway.logins._asking import find_token, swap, tell_lifetime
from gateway.logins._token_replacement import OtherSubject
from gateway.observe.events import Event
from gateway.outbound.backends import BackendFailed
from gateway.outbound.jwks import KeysUnavailable
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.route_sections import RouteOptions
    from gateway.core.logins.token_places import TokenPlace

_log = logging.getLogger("gateway.endpoints")


@dataclass(frozen=True, slots=True)
class Captured:
    """A token of a reply, which a session now has."""

    found: Found  # its place in the reply
    session: Session


class NewLogin(Exception):
    """The token is for another session than the caller's: it begins one."""


class TokenCapture:
    """Puts tokens of upstreams' replies into sessions."""

    def __init__(self, sessions: Sessions, logins: Mapping[str, Login]) -> None:
        """`logins` are all logins, by their paths."""
        self._sessions = sessions
        self._logins = logins
        replacements = (login.token_replacement for login in logins.values())
        self._has_opaque = any(found is not None and found.is_opaque for found in replacements)

    async def capture(
        self,
        request: web.Request,
        rule: RouteOptions,
        reply: Reply,
        key: Key,
        sent: EchoDetector,
    ) -> Captured | None:
        """Put the token of a reply into the session.

        Returns None if the reply holds no token, or if the session's tokens come from no upstream.
        Raises `EndpointRefused`, `BackendFailed` and `StoreUnavailable`, and `NewLogin` where
        sessions begin.

        rule: the route's options in config.yaml
        key: opens and seals the session
        sent: knows what the client has sent, which is no token
        """
        place = rule.captures
        assert place is not None
        if not await self._may_hold_token(reply, place, sent):
            return None
        host = host_of(plain_authority(asked_host(request)))
        writer, current = self._sessions.token_writer, keys.session_id(key)
        # Another request may change the session first. It does so once, so this loop ends.
        while True:
            session, record = await writer.read(key, current)
            if session is None or session.ends_at <= time.time():
                raise NewLogin if rule.begins_sessions else EndpointRefused(refusals.BAD_KEY)
            login = self._logins.get(session.login)
            if rule.begins_sessions and _is_of_others(session, login):
                raise NewLogin
            if login is None or login.token_replacement is None:
                return None
            try:
                found, renewed = await login.token_replacement(
                    session, reply, place, asked=False, host=host, sent=sent
                )
                await swap(reply, found, "")  # what cannot be rewritten changes nothing
            except NoToken:
                return None
            except (BadToken, OtherSubject, KeysUnavailable) as error:
                if rule.begins_sessions and isinstance(error, OtherSubject | OtherKind):
                    raise NewLogin from None
                raise self._unusable(request, session, error) from None
            before = (session.token, session.refresh, session.cookie)
            session = replace(session, cookie=_kept_cookie(request, rule, reply, found, session))
            if (renewed.token, renewed.refresh, session.cookie) == before:
                return Captured(found, session)
            outcome, session = await writer.adopt(key, session, record, renewed)
            if outcome == "gone":
                raise EndpointRefused(refusals.BAD_KEY)
            if outcome == "kept":
                # Others are told by a push; this worker's next request must not come before it.
                self._sessions.near.forget(current)
                self._report("captured", request, session)
                return Captured(found, session)

    async def _may_hold_token(self, reply: Reply, place: TokenPlace, sent: EchoDetector) -> bool:
        """Whether the reply may hold a token; the session's login tells whether it can be used."""
        try:
            await find_token(reply, place, sent, is_verified=True)  # or not: its login knows
        except NoToken:
            return self._has_opaque
        except BadToken:
            return True
        return True

    def with_lasting_cookie(
        self, swapped: Reply, reply: Reply, captured: Captured, text: str
    ) -> Reply:
        """The swapped reply. A lasting cookie in it ends with the session.

        reply: as the upstream sent it
        text: the key in the swapped reply
        """
        setting, session = reply_tokens.setting_of(reply, captured.found), captured.session
        if not text or setting is None or not lasts(setting):
            return swapped
        seconds = self._sessions.lasting_cookies.set_again(session)
        if seconds is None:  # it had none before
            seconds = max(1, math.ceil(session.ends_at - time.time()))
        return prolonged(swapped, text, seconds)

    async def swapped(self, reply: Reply, captured: Captured, key: Key, text: str) -> Reply:
        """The reply with `text` and a refresh key in place of its tokens.

        text: the key for the client; "" if it has it in a cookie, where no script may read it

        Raises `UnreadableReply`.
        """
        found, session = captured.found, captured.session
        calls = self._logins[session.login].refresh_calls
        refresh = None if calls is None else calls.refresh_token_in(reply, session)
        secrets = [found.token] if refresh is None else [found.token, refresh.secret.reveal()]
        reply = await tell_lifetime(reply, session, secrets)
        is_hidden = refresh is not None and not text and refresh.came.way != "cookie"
        if calls is None or refresh is None or is_hidden:
            return await swap(reply, found, text)
        return await swap(
            reply, found, text, refresh, calls.new_key(key, refresh.generation).reveal()
        )

    def key_text(self, key: Key, captured: Captured) -> str:
        """The key as the client gets it in the token's place."""
        return self._sessions.key_texts.of(key, captured.session)

    def _unusable(self, request: web.Request, session: Session, error: Exception) -> BackendFailed:
        refusal = _refusal(error)
        _log.error(
            "request %s: the token that came is of no use: %s",
            request.headers.get("X-Request-Id", ""),
            str(error) or refusal.reason,
        )
        self._report(refusal.reason, request, session)
        return BackendFailed(refusal)

    def _report(self, reason: str, request: web.Request, session: Session) -> None:
        headers = request.headers
        kept = reason == "captured"
        self._sessions.report(
            Event(
                "renew" if kept else "renew_failed",
                subject=session.subject,
                session_id=session.id,
                address=headers.get("X-Real-IP", "unknown"),
                reason=reason,
                request_id=headers.get("X-Request-Id", ""),
            )
        )


def _is_of_others(session: Session, login: Login | None) -> bool:
    """Whether a captured token cannot be the session's.

    Tokens that name no subject may be two people's: if the session were another person's, who has
    put its cookie into this browser, that person would have the token.
    """
    captures = login is not None and login.token_replacement is not None
    return not captures or subjects.is_unnamed(session.subject)


def _refusal(error: Exception) -> Refusal:
    match error:
        case OtherSubject():
            return refusals.OTHER_SUBJECT
        case KeysUnavailable():
            return refusals.KEYS
        case NotVerified():
            return refusals.NOT_VERIFIED
    return refusals.UNUSABLE_TOKEN


def cookie_of(reply: Reply, found: Found) -> str | None:
    """The cookie in which a token came, if it came in one."""
    if not isinstance(found, InField):
        return None
    return field_and_cookie(reply.fields[found.index])[1] or None


def _kept_cookie(
    request: web.Request, rule: RouteOptions, reply: Reply, found: Found, session: Session
) -> str:
    """The cookie that holds the key from now on, as the session keeps it."""
    name, kept_in = cookie_of(reply, found), cookies_with_keys(request)[:1]
    if name is None or (kept_in and kept_in != [name]):
        return session.cookie
    prefix = (rule.strip_prefix or "").rstrip("/")
    is_lasting = lasts(reply_tokens.setting_of(reply, found) or "")
    return reply_tokens.kept_cookie(reply, found, prefix + request.path, lasts=is_lasting)

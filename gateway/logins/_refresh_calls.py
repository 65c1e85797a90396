"""Refresh calls: a frontend asks for a new token as it asks its backend.

Its reply holds the session's key, which stays the same: other tabs, and requests under way, go on.
The refresh key changes where the backend's refresh token does, so frontends store what they expect.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import PROBLEM_TYPE
from gateway.core.logins import (
    double_submit,
    refresh_answers,
    refresh_calls,
    refresh_tokens,
    token_sending,
)
from gateway.core.logins.lasting_cookies import prolonged
from gateway.core.logins.refresh_answers import RefreshAnswer
from gateway.core.logins.refresh_tokens import RefreshToken
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.token_sending import InCookie
from gateway.core.sessions import keys, refresh_keys
from gateway.core.sessions.keys import Key
from gateway.core.sessions.refresh_keys import Opened, RefreshKey
from gateway.core.sessions.session import Session
from gateway.logins._asking import scrub, tell_lifetime
from gateway.logins._events import report
from gateway.outbound.backends import BackendFailed
from gateway.store.renewals import RenewalFailed, RenewalRefused

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendSection
    from gateway.logins import Attempt, LoginServices
    from gateway.logins._backend_renewal import BackendRenewal

_log = logging.getLogger("gateway.logins")

# The statuses with which backends refuse a refresh token. Any other refusal is about a malformed
# request, which was the gateway's: the frontend is told what it understands.
_REFUSALS = frozenset({400, 401, 403})
_UNAUTHENTICATED = 401


class RefreshCalls:
    """Answers the refresh calls of one login's frontends."""

    def __init__(
        self, config: BackendSection, renewal: BackendRenewal, services: LoginServices
    ) -> None:
        """`renewal` asks the backend."""
        assert config.refresh is not None
        assert config.renew is not None
        self._place = config.renew.refresh_token
        self._grace = config.refresh.grace
        self._renewal = renewal
        self._sessions = services.sessions
        self._own_cookies = services.own_cookies

    def new_key(self, key: Key, generation: int = 0) -> RefreshKey:
        """A refresh key for the session of `key`; its first one by default."""
        random = secrets.token_bytes(refresh_keys.RANDOM_BYTES)
        return refresh_keys.new(key, generation, self._sessions.sealer, random)

    def refresh_token_in(self, reply: Reply, session: Session) -> RefreshToken | None:
        """The session's refresh token at its place in a captured reply, or None."""
        token = _refresh_token(session)
        found = refresh_tokens.find(reply, self._place)
        if token is None or found is None or found.secret != token.secret:
            return None
        return replace(token, came=found.came)

    async def answer(self, attempt: Attempt, opened: Opened, cookie: str = "") -> Reply:
        """Answer a refresh call. Raises `BackendFailed`, `StoreUnavailable`.

        `cookie` is the name of the cookie that held the refresh key, if one did.
        """
        key, writer = opened.key, self._sessions.token_writer
        session, _ = await writer.read(key, keys.session_id(key))
        if session is None or not self._may_refresh(session, opened.generation):
            return await self.refuse(attempt, cookie)
        try:
            session, data = await self._sessions.renewals.refreshed(
                key, session, self._renewal.for_client(attempt)
            )
            answer = refresh_answers.load(data)
            if attempt.is_foreign and answer.sets_cookies:
                raise BackendFailed(refusals.CROSS_SITE)  # as for a login (CWE-352)
            generation = await self._noted(opened, answer)
        except RenewalRefused:
            return await self.refuse(attempt, cookie)
        except RenewalFailed:
            raise BackendFailed(refusals.RENEWAL) from None
        self._sessions.touch(session.id)
        answer = await self._with_lifetime(answer, session)
        refresh_key = self.new_key(key, generation).reveal()
        cookies = self._sessions.lasting_cookies
        if attempt.cookie is None or answer.in_cookie:
            is_hidden = _came_in_cookie(session) and not answer.in_cookie
            text = "" if is_hidden else self._sessions.key_texts.of(key, session)
            shown = answer.filled(text, refresh_key)
            seconds = cookies.set_again(session) if answer.in_cookie else None
            if seconds is not None:
                shown = prolonged(shown, text, seconds)
            return shown.without_cookies(self._own_cookies, key.reveal()).unstored()
        shown = answer.filled("", refresh_key).without_cookies(self._own_cookies).unstored()
        cookie = attempt.cookie.setting(key.reveal(), cookies.set_again(session))
        return replace(shown, fields=(*shown.fields, ("Set-Cookie", cookie)))

    @staticmethod
    async def _with_lifetime(answer: RefreshAnswer, session: Session) -> RefreshAnswer:
        marks = [mark for mark in (answer.key_mark, answer.refresh_mark) if mark]
        return replace(answer, reply=await tell_lifetime(answer.reply, session, marks))

    async def refuse(self, attempt: Attempt, cookie: str = "") -> Reply:
        """The backend's own refusal of a refresh token that it does not know.

        Nothing that the client holds is sent to it. `cookie` is the name of the cookie that held a
        refresh key.
        """
        report(self._sessions, "refused", attempt, reason=refusals.BAD_REFRESH_KEY.reason)
        sending = refresh_calls.sending(attempt.field("content-type"), attempt.body, cookie)
        try:
            reply = await self._renewal.refusal(attempt, sending)
            if not reply.is_refusal or reply.status >= 500:
                return _own_refusal(attempt)
            scrubbed = (await scrub(reply)).without_cookies(self._own_cookies).unstored()
        except (BackendFailed, UnreadableReply):
            return _own_refusal(attempt)
        is_known = scrubbed.status in _REFUSALS
        return scrubbed if is_known else replace(scrubbed, status=_UNAUTHENTICATED, reason="")

    async def preflight(self, attempt: Attempt) -> Reply:
        """The backend's answer to a preflight of a refresh call."""
        try:
            reply = await scrub(await self._renewal.preflight(attempt))
        except UnreadableReply:
            raise BackendFailed(refusals.LOGIN_REPLY) from None
        return reply.without_cookies(self._own_cookies)

    def _may_refresh(self, session: Session, generation: int) -> bool:
        token = _refresh_token(session)
        if token is None or session.ends_at <= time.time():
            return False
        return self._is_good(generation, token)

    def _is_good(self, generation: int, token: RefreshToken) -> bool:
        return refresh_keys.is_good(
            generation,
            last=token.generation,
            replaced_at=token.replaced_at,
            now=time.time(),
            grace=self._grace,
        )

    async def _noted(self, opened: Opened, answer: RefreshAnswer) -> int:
        """Note in the session what its frontend gets.

        That is the refresh key, and the value of a double submit.

        Returns the generation of the refresh key. A new one begins if the answer holds one, and
        the last one has not just begun: all calls within the grace period get the same, so
        parallel tabs do not refuse each other. Raises `RenewalRefused` if the session has ended.
        """
        key, writer = opened.key, self._sessions.token_writer
        while True:
            session, record = await writer.read(key, keys.session_id(key))
            token = None if session is None else _refresh_token(session)
            if session is None or token is None or not self._is_good(opened.generation, token):
                raise RenewalRefused
            now = time.time()
            if answer.refresh_mark and now >= token.replaced_at + self._grace:
                token = replace(token, generation=token.generation + 1, replaced_at=now)
            csrf = double_submit.value_for_token(answer.reply) if answer.in_cookie else ""
            csrf = csrf or session.csrf
            noted = replace(session, refresh=refresh_tokens.dump(token), csrf=csrf)
            if noted == session or await writer.renew(key, noted, record) == "kept":
                return token.generation


def _came_in_cookie(session: Session) -> bool:
    """Whether the login put the key into the place of a token in a cookie."""
    return isinstance(token_sending.as_it_came(session.sending), InCookie)


def _refresh_token(session: Session) -> RefreshToken | None:
    try:
        return refresh_tokens.load(session.refresh)
    except ValueError:  # another kind of login had this path
        return None


def _own_refusal(attempt: Attempt) -> Reply:
    refusal = refusals.BAD_REFRESH_KEY
    fields = (("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store"))
    return Reply(refusal.status, fields, refusal.body(attempt.request_id))

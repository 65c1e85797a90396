"""`kind: backend`: a login at the backend's own login.

The key takes the token's place. The client's request goes to the backend as it came, and a refusal
comes back as it came. On success the gateway keeps the reply's token, and the client gets the reply
with the key in its place.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import refusals
from gateway.core.logins import (
    denials,
    refresh_tokens,
    reply_tokens,
    token_hints,
    token_sending,
)
from gateway.core.logins.lasting_cookies import lasts, prolonged
from gateway.core.logins.refresh_tokens import RefreshToken
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.reply_tokens import Found, InBody, NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import Auto, TokenPlace
from gateway.core.sessions import subjects
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Device
from gateway.core.tokens.claims import BadToken, NotVerified
from gateway.logins import Attempt, LoggedIn, Login, LoginServices
from gateway.logins._asking import ask, find_refresh_token, of_client, scrub, swap, tell_lifetime
from gateway.logins._backend_renewal import BackendRenewal
from gateway.logins._events import end_replaced, report, reporting_failures, subject_of
from gateway.logins._pending import PendingReplies
from gateway.logins._refresh_calls import RefreshCalls
from gateway.logins._token_finders import HandedOut, open_finder
from gateway.logins._token_replacement import TokenReplacement
from gateway.outbound.backends import BackendFailed
from gateway.outbound.jwks import KeysUnavailable
from gateway.store.issuer import Issued

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendSection

_log = logging.getLogger("gateway.logins")


class BackendLogin(Login):
    """One configured login of this kind."""

    def __init__(self, config: BackendSection, services: LoginServices) -> None:
        self.failed, self.pending = config.failed, config.pending
        self._config = config
        self._backends = services.backends
        self._sessions = services.sessions
        self._own_cookies = services.own_cookies
        self._keeps_refresh_tokens = config.renew is not None or any(
            asked.upstream in services.refresh_tokens_for for asked in config.backend_paths
        )
        self._has_warned = False  # about tokens that name no subject
        self._has_missed_refresh_token = False
        self._tokens = open_finder(config, services)
        self._pending = PendingReplies(config, services)
        self._realm = services.realms[config.path]
        self.token_replacement = TokenReplacement(config, self._tokens, self._realm)
        if config.renew is not None:
            refresh = None if config.refresh_path is None else config.refresh
            grace = 0.0 if refresh is None else refresh.grace
            self.renewal = renewal = BackendRenewal(
                config.renew, self._realm, services.backends, self.token_replacement, grace=grace
            )
            if refresh is not None:
                self.refresh_calls = RefreshCalls(config, renewal, services)

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        with reporting_failures(self._sessions, attempt):
            return await self._log_in(attempt)

    async def _log_in(self, attempt: Attempt) -> Reply:
        reply = await ask(self._backends, self._config, attempt)
        try:
            return await self._answer(attempt, reply)
        except UnreadableReply:
            _log.error("login %s: the reply's text cannot be read", attempt.request_id)
            raise BackendFailed(refusals.LOGIN_REPLY) from None

    async def _answer(self, attempt: Attempt, reply: Reply) -> Reply:
        """Answer the client by the backend's reply. Raises `UnreadableReply`."""
        sent = EchoDetector(attempt.target, attempt.fields, attempt.body)
        if attempt.method == "OPTIONS":
            return await self._pass_refusal(attempt, reply)
        pending = await self._pending.passed(attempt, reply, sent)
        if pending is not None:
            return pending
        if reply.is_refusal:
            return await self._pass_refusal(attempt, reply)
        if await off_loop(reply.is_large, denials.says_no, reply, self._config.failed):
            return await self._pass_denial(attempt, reply)
        try:
            return await self._begin(attempt, reply, self._config.token, sent)
        except NoToken:
            return await self._pass_without_token(attempt, reply)

    async def begin(
        self, attempt: Attempt, reply: Reply, place: TokenPlace, sent: EchoDetector
    ) -> Reply | None:
        with reporting_failures(self._sessions, attempt):
            pending = await self._pending.passed(attempt, reply, sent)
            if pending is not None or reply.is_refusal:
                return pending
            if await off_loop(reply.is_large, denials.says_no, reply, self._config.failed):
                return None
            try:
                return await self._begin(attempt, reply, place, sent)
            except NoToken:
                return None

    async def _begin(
        self, attempt: Attempt, reply: Reply, place: TokenPlace, sent: EchoDetector
    ) -> Reply:
        """Begin a session with the token at a place of a reply. Raises `NoToken`."""
        new = await self._read_token(attempt, reply, place, sent)
        names = new.found.names if isinstance(new.found, InBody) else ()
        await self._pending.require_answer(attempt, reply, sent, names)
        # Tried before a session is issued: a reply that cannot be rewritten is refused.
        await swap(reply, new.found, "")
        if _is_foreign(attempt, in_cookie=reply_tokens.is_in_cookie(reply, new.found)):
            raise BackendFailed(refusals.CROSS_SITE)
        refresh = await self._refresh_token(reply, sent)
        return await self._issue(attempt, reply, new, refresh=refresh)

    async def _pass_denial(self, attempt: Attempt, reply: Reply) -> Reply:
        """Pass a refusal with the status of a success, if it hands no token out."""
        if await off_loop(reply.is_large, denials.may_hand_out, reply, self._config.failed):
            _log.error("login %s: a reply that says no may hand out a token", attempt.request_id)
            raise BackendFailed(refusals.NO_TOKEN)
        return await self._pass_refusal(attempt, reply)

    async def _read_token(
        self, attempt: Attempt, reply: Reply, place: TokenPlace, sent: EchoDetector
    ) -> HandedOut:
        """The reply's token and claims, if they are believed. Raises `NoToken`."""
        try:
            return await self._tokens.find(reply, place, sent, of_client(self._config, attempt))
        except BadToken as error:
            _log.error("login %s: the token is unusable: %s", attempt.request_id, error)
            verified = isinstance(error, NotVerified)
            raise BackendFailed(refusals.NOT_VERIFIED if verified else refusals.NO_TOKEN) from None
        except KeysUnavailable:
            _log.error("login %s: the token cannot be verified now", attempt.request_id)
            raise BackendFailed(refusals.KEYS) from None

    async def _pass_without_token(self, attempt: Attempt, reply: Reply) -> Reply:
        """Pass a reply that refuses, by a redirect or by a second step.

        Any other success must hold a token.
        """
        if reply.status >= 300 or await off_loop(reply.is_large, denials.denies_login, reply):
            return await self._pass_refusal(attempt, reply)
        _log.error(
            "login %s: the backend answered %d without a token: %s",
            attempt.request_id,
            reply.status,
            await off_loop(reply.is_large, token_hints.without_token, reply, self._config.token),
        )
        raise BackendFailed(refusals.NO_TOKEN)

    async def _pass_refusal(self, attempt: Attempt, reply: Reply) -> Reply:
        """The backend's own answer to a failed login, without any token."""
        scrubbed = (await scrub(reply)).without_cookies(self._own_cookies)
        if attempt.method != "OPTIONS":
            report(self._sessions, "login_failed", attempt, reason=f"status_{reply.status}")
        return scrubbed

    async def _refresh_token(self, reply: Reply, sent: EchoDetector) -> RefreshToken | None:
        if not self._keeps_refresh_tokens:
            return None
        renew = self._config.renew
        place = Auto() if renew is None else renew.refresh_token
        found = await find_refresh_token(reply, place, sent)
        if found is None and renew is not None and not self._has_missed_refresh_token:
            self._has_missed_refresh_token = True
            _log.warning(
                "a reply to the login %s holds no refresh token, so `renew` has nothing to send, "
                "and its sessions end with their tokens: `renew.refresh_token` says where it is",
                self._config.path,
            )
        return found

    async def _issue(
        self,
        attempt: Attempt,
        reply: Reply,
        new: HandedOut,
        *,
        refresh: RefreshToken | None,
    ) -> Reply:
        found = new.found
        subject = subject_of(self._realm, attempt, new.name, new.claims.payload)
        if attempt.parent is not None and subject in (None, attempt.parent.subject):
            _log.error("login %s: the token is for no other subject", attempt.request_id)
            raise BackendFailed(refusals.UNUSABLE_TOKEN)
        await end_replaced(self._sessions, attempt)
        renew = self._config.renew
        is_lasting = _is_for_lasting_cookie(attempt, reply, found)
        issued = await self._sessions.issue(
            token=found.token,
            subject=subject or self._unnamed_subject(found.token),
            login=self._config.path,
            device=Device(attempt.device, attempt.address),
            token_expiry=new.claims.expires,
            refresh=refresh_tokens.dump(refresh),
            cookie=_kept_cookie(attempt, reply, found, self._config.path, lasts=is_lasting),
            sending=token_sending.kept(reply_tokens.sending(reply, found)),
            csrf=reply_tokens.csrf_value(reply, found),
            renew_before=renew.before if renew and refresh else None,
            claims_text=new.claims_text,
            parent=attempt.parent,
            life=attempt.life,
            in_lasting_cookie=is_lasting,
        )
        report(self._sessions, "login", attempt, issued.session)
        swapped, cookie = await self._hand_out(attempt, reply, found, issued, refresh)
        kept = swapped.without_cookies(self._own_cookies, issued.key.reveal())
        return LoggedIn.of(kept, *cookie)

    async def _hand_out(
        self,
        attempt: Attempt,
        reply: Reply,
        found: Found,
        issued: Issued,
        refresh: RefreshToken | None,
    ) -> tuple[Reply, list[tuple[str, str]]]:
        """The reply with the key and a refresh key in place of its tokens.

        If the key goes into the gateway's cookie, the body holds neither: no script may read them.
        If the token came in a cookie of the backend's, the key stays in that one.
        """
        secrets = [found.token] if refresh is None else [found.token, refresh.secret.reveal()]
        reply = await tell_lifetime(reply, issued.session, secrets)
        in_own_cookie = attempt.cookie is not None and not reply_tokens.is_in_cookie(reply, found)
        seconds = issued.cookie_seconds
        refresh_key = self._refresh_key(issued.key, refresh, hidden=in_own_cookie)
        if attempt.cookie is None or not in_own_cookie:
            key = self._sessions.key_texts.of(issued.key, issued.session)
            swapped = await swap(reply, found, key, refresh, refresh_key)
            return swapped if seconds is None else prolonged(swapped, key, seconds), []
        swapped = await swap(reply, found, "", refresh, refresh_key)
        setting = attempt.cookie.setting(issued.key.reveal(), seconds)
        return swapped, [("Set-Cookie", setting)]

    def _refresh_key(self, key: Key, refresh: RefreshToken | None, *, hidden: bool) -> str:
        """The refresh key for the reply; "" for none.

        hidden: whether it is given in a cookie only
        """
        if self.refresh_calls is None or refresh is None:
            return ""
        if hidden and refresh.came.way != "cookie":
            return ""
        return self.refresh_calls.new_key(key).reveal()

    def _unnamed_subject(self, token: str) -> str:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "nothing names the users of the login %s, by any of %s, so they can neither see "
                "nor end their other devices: let `subject` name the claim that says who it is",
                self._config.path,
                ", ".join(self._config.subject),
            )
        return subjects.unnamed(token)


def _kept_cookie(
    attempt: Attempt, reply: Reply, found: Found, login_path: str, *, lasts: bool
) -> str:
    """What the session keeps of the backend's cookie that holds its key."""
    if attempt.parent is not None and not reply_tokens.is_in_cookie(reply, found):
        return attempt.parent.cookie if attempt.cookie is not None else ""
    return reply_tokens.kept_cookie(reply, found, attempt.path or login_path, lasts=lasts)


def _is_foreign(attempt: Attempt, *, in_cookie: bool) -> bool:
    """Whether another site would log its visitor in or out (CWE-352).

    `endpoints.login` refuses that before it asks a backend, unless a cookie of the backend's brings
    the token (`in_cookie`): this shows up in the reply only.
    """
    sets = attempt.cookie is not None and not attempt.may_set_cookie
    return sets or (attempt.is_foreign and (in_cookie or bool(attempt.replaces)))


def _is_for_lasting_cookie(attempt: Attempt, reply: Reply, found: Found) -> bool:
    """Whether the browser is to keep the key when it closes.

    The attributes of a backend's own cookie decide for that one.
    """
    setting = reply_tokens.setting_of(reply, found)
    if setting is None:
        return attempt.is_remembered and attempt.cookie is not None
    return attempt.is_remembered or lasts(setting)

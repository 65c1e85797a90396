"""`kind: mint`: a login at a backend that only names the user.

The gateway mints the token. The client's request goes to the backend as it came, and any answer but
a success comes back as it came. On success the gateway takes the claims from the places that
config.yaml names, and the client gets the reply with a key in it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.concurrency.off_loop import off_loop
from gateway.core import json_text
from gateway.core.http import refusals
from gateway.core.json_text import NotJson
from gateway.core.logins import denials, reply_claims
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.tokens.minting import BadClaims
from gateway.logins import Attempt, LoggedIn, Login, LoginServices
from gateway.logins._asking import ask, scrub
from gateway.logins._events import report, reporting_failures
from gateway.logins._minting import MintedRenewal, SessionMinter, response_fields, with_key
from gateway.logins._pending import PendingReplies
from gateway.outbound.backends import BackendFailed

if TYPE_CHECKING:
    from gateway.config.logins.mint import MintSection

_log = logging.getLogger("gateway.logins")

# The fields that describe the backend's body. They would be wrong for the one that is written here.
_BODY_FIELDS = frozenset(
    {
        "accept-ranges",
        "content-digest",
        "content-disposition",
        "content-language",
        "content-md5",
        "content-type",
        "digest",
        "etag",
        "last-modified",
        "repr-digest",
    }
)

# Statuses of replies that have no body (RFC 9110 §15.3.5, §15.3.6).
_STATUSES_WITHOUT_BODY = frozenset({204, 205})


class MintLogin(Login):
    """One configured login of this kind."""

    def __init__(self, config: MintSection, services: LoginServices) -> None:
        self.failed, self.pending = config.failed, config.pending
        self._config = config
        self._backends = services.backends
        self._sessions = services.sessions
        self._own_cookies = services.own_cookies
        self._pending = PendingReplies(config, services)
        self._minter = SessionMinter(config.path, services)
        self.renewal = MintedRenewal(self._minter)
        self._wanted = [(name, claim.at, claim.required) for name, claim in config.claims.items()]

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        with reporting_failures(self._sessions, attempt):
            return await self._log_in(attempt)

    async def _log_in(self, attempt: Attempt) -> Reply:
        reply = await ask(self._backends, self._config, attempt)
        sent = EchoDetector(attempt.target, attempt.fields, attempt.body)
        try:
            if attempt.method != "OPTIONS":
                pending = await self._pending.passed(attempt, reply, sent)
                if pending is not None:
                    return pending
            scrubbed = (await scrub(reply)).without_cookies(self._own_cookies)
            is_large, failed = reply.is_large, self._config.failed
            is_no = reply.status >= 300 or await off_loop(is_large, denials.says_no, reply, failed)
            if is_no or attempt.method == "OPTIONS":
                return self._pass_refusal(attempt, scrubbed)
            found = await self._claims(attempt, reply, sent)
            if await off_loop(is_large, reply_claims.deny_login, reply, self._wanted):
                return self._pass_refusal(attempt, scrubbed)
            data = await off_loop(is_large, _json_object, scrubbed)
            # Tried before a session is issued: a reply that cannot hold a key is refused.
            with_key(data or {}, self._config.reply.pointer, "")
        except BadClaims as error:
            _log.error("login %s: the claims are unusable: %s", attempt.request_id, error)
            raise BackendFailed(refusals.NO_CLAIMS) from None
        except UnreadableReply:
            _log.error("login %s: the reply cannot hold a key", attempt.request_id)
            raise BackendFailed(refusals.LOGIN_REPLY) from None
        issued = await self._minter.issue(attempt, found["sub"], found)
        if attempt.cookie is not None:
            setting = attempt.cookie.setting(issued.key.reveal(), issued.cookie_seconds)
            return LoggedIn.of(scrubbed, ("Set-Cookie", setting))
        key = self._sessions.key_texts.of(issued.key, issued.session)
        body = with_key(
            response_fields(issued) if data is None else data, self._config.reply.pointer, key
        )
        return LoggedIn.of(_with_body(scrubbed, body))

    async def _claims(self, attempt: Attempt, reply: Reply, sent: EchoDetector) -> dict[str, Any]:
        """The claims in a reply.

        Raises `BackendFailed`, `BadClaims` and `UnreadableReply`.
        """
        found = await off_loop(reply.is_large, reply_claims.collect, reply, self._wanted)
        if await off_loop(sent.is_large, reply_claims.are_named_by, sent, self._wanted):
            raise BadClaims("the client may have named them")
        names = reply_claims.names_of_subject(self._wanted)
        await self._pending.require_answer(attempt, reply, sent, names)
        return found

    def _pass_refusal(self, attempt: Attempt, scrubbed: Reply) -> Reply:
        """The backend's own answer to a failed login."""
        if attempt.method != "OPTIONS":
            reason = f"status_{scrubbed.status}"
            report(self._sessions, "login_failed", attempt, reason=reason)
        return scrubbed


def _json_object(reply: Reply) -> dict[str, Any] | None:
    """The JSON object in the reply; None if there is none."""
    try:
        data = json_text.value(reply.text()[0])
    except NotJson:
        return None
    return data if isinstance(data, dict) else None


def _with_body(reply: Reply, body: bytes) -> Reply:
    """The reply with this JSON body in the place of its own."""
    kept = tuple(line for line in reply.fields if line[0].lower() not in _BODY_FIELDS)
    fields = (*kept, ("Content-Type", "application/json"))
    if reply.status in _STATUSES_WITHOUT_BODY:
        return Reply(200, fields, body)
    return replace(reply, fields=fields, body=body)

"""Renewal at a backend's refresh endpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from secrets import token_hex, token_urlsafe
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import refusals
from gateway.core.http.field_names import HOSTS, fold
from gateway.core.logins import refresh_answers, refresh_tokens, token_hints
from gateway.core.logins.refresh_tokens import RefreshToken, Sending
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.reply_tokens import Found, NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.secret import Secret
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Session
from gateway.core.tokens.claims import BadToken, OtherKind
from gateway.logins import Attempt
from gateway.logins._asking import naming
from gateway.logins._token_replacement import OtherSubject, TokenReplacement
from gateway.outbound.backends import BackendFailed, Backends
from gateway.outbound.jwks import KeysUnavailable
from gateway.store.renewals import Renew, RenewalFailed, RenewalRefused
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.token_sections import Renew as RenewSection

Fields = Iterable[tuple[str, str]]

_log = logging.getLogger("gateway.logins")

# The statuses that refuse a refresh token (RFC 6749 §5.2, and what frameworks answer instead). Any
# other error is the backend's own.
_REFUSED = frozenset({400, 401, 403, 422})


class BackendRenewal:
    """Get a new token for a session's refresh token."""

    def __init__(
        self,
        config: RenewSection,
        realm: Realm,
        backends: Backends,
        replacement: TokenReplacement,
        *,
        grace: float,
    ) -> None:
        """Take how to ask, and how to read the reply.

        replacement: finds the new token in the backend's reply
        grace: how long a reply answers refresh calls (seconds); 0 for none
        """
        self._config = config
        self._grace = grace
        self._realm = realm
        self._backends = backends
        self._replacement = replacement

    async def __call__(self, session: Session) -> Renewed:
        """Renew a session's token. Raises `RenewalRefused` and `RenewalFailed`."""
        return await self._renew(session, (("Accept", "application/json"),), "")

    def for_client(self, attempt: Attempt) -> Renew:
        """A renewal that a frontend has asked for.

        The backend sees the client's own fields, as at a login, but for what the gateway sends.
        """

        async def renew(session: Session) -> Renewed:
            return await self._renew(session, _of_client(attempt), attempt.address)

        return renew

    async def refusal(self, attempt: Attempt, sending: Sending) -> Reply:
        """The backend's answer to a refresh token that it cannot know.

        sending: how the client has sent what it holds

        Raises `BackendFailed`.
        """
        unknown = RefreshToken(Secret(token_urlsafe(32)), sending)
        if self._realm.has_host and not attempt.authority:
            raise BackendFailed(refusals.NO_REALM)
        hosts = naming(attempt.authority) if self._realm.has_host else []
        fields, body = self._request(unknown, _of_client(attempt), hosts)
        return await self._call(fields, body, attempt.address)

    async def preflight(self, attempt: Attempt) -> Reply:
        """The backend's answer to a preflight. Raises `BackendFailed`."""
        return await self._call(attempt.fields, b"", attempt.address, method="OPTIONS")

    async def _renew(self, session: Session, given: Fields, address: str) -> Renewed:
        """`given` are fields of the client, or of the gateway itself."""
        try:
            refresh = refresh_tokens.load(session.refresh)
        except ValueError:  # another kind of login had this path
            raise RenewalRefused from None
        if refresh is None:
            raise RenewalRefused
        fields, body = self._request(refresh, given, self._hosts(session))
        try:
            reply = await self._call(fields, body, address)
        except BackendFailed as failed:
            _log.warning("a renewal failed: %s", failed.refusal.reason)
            raise RenewalFailed from None
        if reply.status >= 300:
            _log.warning("the backend answered %d to a renewal", reply.status)
            raise RenewalRefused if reply.status in _REFUSED else RenewalFailed
        return await self._renewed(session, reply, EchoDetector("", fields, body))

    def _request(
        self, refresh: RefreshToken, given: Fields, hosts: Fields
    ) -> tuple[list[tuple[str, str]], bytes]:
        """The fields and the body that send a refresh token.

        The gateway's own fields, and the `hosts` of a tenant, come before the `given` ones.
        """
        config = self._config
        fields, body = refresh_tokens.request(
            refresh, config.send, config.body, csrf_field=config.csrf_field
        )
        fields += [(name, value.reveal()) for name, value in config.fields.items()]
        own = {fold(name.encode()) for name, _ in fields} | (HOSTS if hosts else frozenset())
        kept = [
            line for line in given if fold(line[0].encode("utf-8", "surrogateescape")) not in own
        ]
        return [*hosts, *kept, *fields], body

    async def _call(self, fields: Fields, body: bytes, address: str, *, method: str = "") -> Reply:
        config = self._config
        return await self._backends.call(
            config.upstream,
            method or config.method,
            config.backend_path,
            fields=fields,
            body=body,
            timeout=config.timeout,
            max_reply=config.max_reply,
            address=address,
        )

    def _hosts(self, session: Session) -> list[tuple[str, str]]:
        """The fields that name the session's tenant.

        Another tenant may have a user of that name. Raises `RenewalRefused` if the tenant is not
        known.
        """
        if not self._realm.has_host:
            return []
        host = self._realm.host_in(session.subject)
        if not host:
            raise RenewalRefused
        return naming(host)

    async def _renewed(self, session: Session, reply: Reply, sent: EchoDetector) -> Renewed:
        try:
            found, renewed = await self._replacement(
                session, reply, self._config.token, asked=True, sent=sent
            )
            return await self._with_answer(renewed, reply, found)
        except (OtherSubject, OtherKind):
            _log.error("a renewed token is of another subject, issuer or algorithm")
            raise RenewalRefused from None
        except (NoToken, BadToken, BackendFailed, KeysUnavailable, UnreadableReply) as error:
            reason = str(error) or type(error).__name__
            if isinstance(error, NoToken):
                reason = token_hints.without_token(reply, self._config.token)
            _log.error("a backend's reply to a renewal holds no usable token: %s", reason)
            raise RenewalFailed from None

    async def _with_answer(self, renewed: Renewed, reply: Reply, found: Found) -> Renewed:
        """The renewed token, and the answer to refresh calls.

        Raises `UnreadableReply`.
        """
        if not self._grace:
            return renewed
        refresh, mark = refresh_tokens.find(reply, self._config.refresh_token), token_hex(16)
        kept = refresh_tokens.load(renewed.refresh)
        if refresh is not None and (kept is None or kept.secret != refresh.secret):
            refresh = None  # one that the client has sent
        made = await off_loop(reply.is_large, refresh_answers.make, reply, found, refresh, mark)
        return replace(renewed, answer=refresh_answers.dump(made), answer_lasts=self._grace)


def _of_client(attempt: Attempt) -> Fields:
    """The client's fields that a backend gets with a refresh token.

    Its body is the gateway's own, and no cookie or token of the client's stands beside it.
    """
    return [
        (name, value)
        for name, value in attempt.fields
        if not name.lower().startswith("content-") and name.lower() != "cookie"
    ]

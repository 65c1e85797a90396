"""Renewal at a backend's refresh endpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.core.logins import refresh_tokens
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.reply_tokens import NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Session
from gateway.core.tokens.claims import BadToken, OtherKind
from gateway.logins._asking import naming
from gateway.logins._token_replacement import OtherSubject, TokenReplacement
from gateway.outbound.backends import BackendFailed, Backends
from gateway.outbound.jwks import KeysUnavailable
from gateway.store.renewals import RenewalFailed, RenewalRefused
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.token_sections import Renew

_log = logging.getLogger("gateway.logins")

# The statuses that refuse a refresh token (RFC 6749 §5.2, and what frameworks answer instead). Any
# other error is the backend's own.
_REFUSED = frozenset({400, 401, 403, 422})


class BackendRenewal:
    """Get a new token for a session's refresh token."""

    def __init__(
        self, config: Renew, realm: Realm, backends: Backends, replacement: TokenReplacement
    ) -> None:
        """`replacement` finds the new token in the backend's reply."""
        self._config = config
        self._realm = realm
        self._backends = backends
        self._replacement = replacement

    async def __call__(self, session: Session) -> Renewed:
        """Renew a session's token. Raises `RenewalRefused` and `RenewalFailed`."""
        config = self._config
        try:
            refresh = refresh_tokens.load(session.refresh)
        except ValueError:  # another kind of login had this path
            raise RenewalRefused from None
        if refresh is None:
            raise RenewalRefused
        hosts = self._hosts(session)
        fields, body = refresh_tokens.request(refresh, config.send, config.body)
        try:
            reply = await self._backends.call(
                config.upstream,
                config.method,
                config.backend_path,
                fields=[*hosts, ("Accept", "application/json"), *fields],
                body=body,
                timeout=config.timeout,
                max_reply=config.max_reply,
            )
        except BackendFailed as failed:
            _log.warning("a renewal failed: %s", failed.refusal.reason)
            raise RenewalFailed from None
        if reply.status >= 300:
            _log.warning("the backend answered %d to a renewal", reply.status)
            raise RenewalRefused if reply.status in _REFUSED else RenewalFailed
        return await self._renewed(session, reply, EchoDetector("", fields, body))

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
            _, renewed = await self._replacement(
                session, reply, self._config.token, asked=True, sent=sent
            )
        except (OtherSubject, OtherKind):
            _log.error("a renewed token is of another subject, issuer or algorithm")
            raise RenewalRefused from None
        except (NoToken, BadToken, KeysUnavailable, UnreadableReply) as error:
            reason = str(error) or type(error).__name__
            _log.error("a backend's reply to a renewal holds no usable token: %s", reason)
            raise RenewalFailed from None
        return renewed

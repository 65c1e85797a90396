"""Back-channel logout: a provider ends sessions.

OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gateway.core.http import media_types
from gateway.core.logins.replies import Reply
from gateway.core.tokens import id_tokens
from gateway.core.tokens.claims import NotVerified
from gateway.core.tokens.id_tokens import LogoutToken
from gateway.logins import Attempt
from gateway.logins.oidc.provider import Provider
from gateway.observe.events import of_sessions
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.logins.oidc import OidcSection

_log = logging.getLogger("gateway.logins")

# A form with a logout token has one field, or a few more.
_MAX_FIELDS = 10


class BackchannelLogout:
    """End the sessions that a logout token names."""

    def __init__(self, config: OidcSection, provider: Provider, sessions: Sessions) -> None:
        self._config = config
        self._provider = provider
        self._sessions = sessions

    async def __call__(self, attempt: Attempt) -> Reply:
        """Answer the provider.

        After `BackendFailed` or `StoreUnavailable`, it may ask again.
        """
        try:
            logout = await self._read(attempt)
        except NotVerified as error:
            _log.warning("a logout token of %s is refused: %s", self._config.issuer, error)
            return _json(400, {"error": "invalid_request"})
        found = await self._sessions.directory.named(self._session_name(logout))
        ended = await self._sessions.revoke(*found)
        # Claimed last: if ending the sessions fails, the provider may send the token again.
        lifetime = id_tokens.LOGOUT_LIFE + 2 * self._sessions.skew
        await self._sessions.replay_guard.claim(self._replay_id(logout), lifetime)
        for event in of_sessions(
            "logout", ended, reason="backchannel", request_id=attempt.request_id, by="provider"
        ):
            self._sessions.report(event)
        return _json(200, {})

    async def _read(self, attempt: Attempt) -> LogoutToken:
        token = _token(attempt)
        claims = await self._provider.verified(token)
        logout = id_tokens.read_logout_token(
            token, claims.payload, now=time.time(), leeway=self._sessions.skew
        )
        if await self._sessions.replay_guard.is_claimed(self._replay_id(logout)):
            raise NotVerified("used")
        return logout

    def _session_name(self, logout: LogoutToken) -> str:
        if logout.sid is not None:
            return session_name(self._config, "sid", logout.sid)
        return session_name(self._config, "sub", logout.subject or "")

    def _replay_id(self, logout: LogoutToken) -> str:
        # One token may be for several clients of the provider: each one uses it once.
        return f"logout\n{self._config.issuer}\n{self._config.client_id}\n{logout.jti}"


def session_name(config: OidcSection, kind: str, value: str) -> str:
    """A provider's name for sessions: by its session `sid` or its user `sub`.

    Names are those of one client: another client of the provider has sessions of its own.
    """
    return f"{kind}\n{config.issuer}\n{config.client_id}\n{value}"


def _token(attempt: Attempt) -> str:
    """The logout token in a form. Raises `NotVerified`."""
    kinds = [value for field, value in attempt.fields if field.lower() == "content-type"]
    if [media_types.essence(kind) for kind in kinds] != [media_types.FORM]:
        raise NotVerified("no_form")
    try:
        form = parse_qs(attempt.body.decode("ascii"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise NotVerified("no_form") from None
    tokens = form.get("logout_token", [])
    if len(tokens) != 1:
        raise NotVerified("no_token")
    return tokens[0]


def _json(status: int, data: dict[str, str]) -> Reply:
    fields = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Reply(status, fields, json.dumps(data).encode())

"""Renewal at a provider's token endpoint."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.logins import token_response
from gateway.core.logins.token_response import BadTokenResponse, TokenResponse
from gateway.core.sessions.session import Session, Token, renewal_time
from gateway.core.tokens.claims import Claims, NotVerified
from gateway.logins.oidc.provider import Provider, TokenRequestRefused
from gateway.outbound.backends import BackendFailed
from gateway.store.renewals import RenewalFailed, RenewalRefused
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.logins.oidc import OidcSection

_log = logging.getLogger("gateway.logins")


class OidcRenewal:
    """Get a new token for a session's refresh token.

    RFC 6749 §6, OpenID Connect Core §12.
    """

    def __init__(
        self,
        config: OidcSection,
        provider: Provider,
        *,
        is_subject: Callable[[str, Claims], bool],
        skew: float,
    ) -> None:
        """`is_subject` compares an ID token with a subject.

        `skew` is that of clocks (seconds).
        """
        self._config = config
        self._provider = provider
        self._is_subject = is_subject
        self._skew = skew

    async def __call__(self, session: Session) -> Renewed:
        """Renew a session's token. Raises `RenewalRefused` and `RenewalFailed`."""
        stored = token_response.load(session.refresh)
        if stored.refresh_token is None:
            raise RenewalRefused
        try:
            tokens = await self._provider.refresh(stored.refresh_token)
            claims = await self._id_claims(tokens, session)
            now = time.time()
            token, expiry = token_response.token_of(
                tokens, self._config.token, claims, now=now, skew=self._skew
            )
        except TokenRequestRefused as refused:
            _log.warning("%s answered %s to a renewal", self._config.issuer, refused.error)
            # Any other error is about the gateway, and not about the user.
            ended = refused.error == "invalid_grant"
            raise (RenewalRefused if ended else RenewalFailed) from None
        except BackendFailed:
            raise RenewalFailed from None
        except (BadTokenResponse, NotVerified) as error:
            # The refresh token has been used up, so a second request gives nothing better.
            _log.error("%s renewed what cannot be used: %s", self._config.issuer, error)
            raise RenewalRefused from None
        if stored.id_token is not None and tokens.id_token is not None:
            stored = replace(stored, id_token=tokens.id_token)
        stored = replace(stored, refresh_token=tokens.refresh_token or stored.refresh_token)
        expires = math.inf if expiry is None else expiry
        return Renewed(
            Token(token.encode("ascii")),
            expires,
            renewal_time(now, expires, self._config.renew_before),
            token_response.dump(stored),
        )

    async def _id_claims(self, tokens: TokenResponse, session: Session) -> Claims | None:
        """The claims of the new ID token, if one came.

        It names the same subject (Core §12.2).
        """
        if tokens.id_token is None:
            return None
        claims = await self._provider.id_claims(tokens.id_token, tokens.access_token)
        if not self._is_subject(session.subject, claims):
            raise NotVerified("another_subject")
        return claims

"""Asking a backend whose token this is, at a userinfo path (as OpenID Connect Core §5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.core.logins import said_claims
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found
from gateway.core.tokens.claims import BadToken
from gateway.logins import LoginServices
from gateway.logins._asking import naming

if TYPE_CHECKING:
    from gateway.config.token_sections import UserinfoSection


class Userinfo:
    """Asks about the tokens of one login."""

    def __init__(self, config: UserinfoSection, upstream: str, services: LoginServices) -> None:
        """`upstream` is the login's own, which is asked unless `config` names another."""
        self._config = config
        self._upstream = config.upstream or upstream
        self._backends = services.backends

    async def __call__(self, reply: Reply, found: Found, host: str) -> dict[str, Any]:
        """What the backend says of a token's user.

        reply, found: the reply that handed the token out, and its place there
        host: of the realm's tenant; "" if there is none

        Raises `BadToken` if it says nothing, and `BackendFailed`.
        """
        config = self._config
        answer = await self._backends.call(
            self._upstream,
            config.method,
            config.path,
            fields=[
                *(naming(host) if host else []),
                ("Accept", "application/json"),
                ("Authorization", f"Bearer {found.token}"),
            ],
            body=b"",
            timeout=config.timeout,
            max_reply=config.max_reply,
        )
        said = said_claims.document(answer)
        if not said:
            raise BadToken(f"userinfo_answered_{answer.status}, without a JSON object")
        return said

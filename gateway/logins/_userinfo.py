"""Asks a backend whose token it is (like OpenID Connect Core §5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gateway.core.logins import opaque_claims, reply_rewriting, reply_tokens, token_sending
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found
from gateway.core.logins.token_sending import Request
from gateway.core.tokens.claims import BadToken
from gateway.logins import LoginServices
from gateway.outbound.backends import Fields

if TYPE_CHECKING:
    from gateway.config.token_sections import UserinfoSection


class Userinfo:
    """Asks about the tokens of one login."""

    def __init__(self, config: UserinfoSection, upstream: str, services: LoginServices) -> None:
        """`upstream` is the login's own. It is asked unless `config` names one."""
        self._config = config
        self._upstream = config.upstream or upstream
        self._sending = services.token_sendings.get(self._upstream)
        self._backends = services.backends

    async def __call__(self, reply: Reply, found: Found, of_client: Fields) -> dict[str, Any]:
        """The claims that the backend has of a token's user.

        reply, found: the reply that handed the token out, and its place there
        of_client: the fields about the client and the host that it asked

        Raises `BadToken` if it says nothing, `BackendFailed` and `UnreadableReply`.
        """
        config, request = self._config, self._request(reply, found)
        answer = await self._backends.call(
            self._upstream,
            config.method,
            request.target.decode("ascii"),
            fields=[
                *of_client,
                ("Accept", "application/json"),
                *_fields(request.token_lines),
            ],
            body=b"",
            timeout=config.timeout,
            max_reply=config.max_reply,
        )
        claims = opaque_claims.document(reply_rewriting.scrub(answer, found.token))
        if not claims:
            raise BadToken(f"userinfo_answered_{answer.status}, without a JSON object")
        return claims

    def _request(self, reply: Reply, found: Found) -> Request:
        """The target and the field lines with the token, as the upstream gets it."""
        token, target = found.token.encode("ascii"), self._config.path.encode("ascii")
        if self._sending is not None:
            return token_sending.put(self._sending, token, target, [])
        came = reply_tokens.sending(reply, found)
        return token_sending.put_as_it_came(came, token, target, [], by_cookie=True)


def _fields(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.decode("ascii").partition(":")
        yield name, value.strip()

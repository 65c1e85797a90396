"""Sessions with tokens that the gateway mints.

They are those of the kinds `mint` and `users`, and of named keys.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.core.http import refusals
from gateway.core.json_text import pointed
from gateway.core.logins.replies import UnreadableReply
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Device, Session, Token, renewal_time
from gateway.core.tokens.claims import MINTED, RENEWED_BEFORE
from gateway.logins import Attempt, LoginServices
from gateway.logins._events import end_replaced, report, subject_of
from gateway.outbound.backends import BackendFailed
from gateway.store.issuer import Issued
from gateway.store.renewals import RenewalRefused
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.core.tokens.minting import Minted

_log = logging.getLogger("gateway.logins")


class SessionMinter:
    """Issue the sessions of one login, and mint their tokens."""

    def __init__(self, login: str, services: LoginServices) -> None:
        """`login` is the login's path, or `session.NAMED`."""
        assert services.minter is not None
        self.realm = services.realms.get(login, Realm())
        self._login = login
        self._minter = services.minter
        self._sessions = services.sessions

    async def issue(self, attempt: Attempt, name: str, claims: Mapping[str, Any]) -> Issued:
        """Issue a session for the user of this `name` in the login's realm.

        Raises `BackendFailed` and `StoreUnavailable`.
        """
        subject = subject_of(self.realm, attempt, name, claims)
        if subject is None:
            _log.error("login %s: the subject is too long", attempt.request_id)
            raise BackendFailed(refusals.NO_CLAIMS)
        await end_replaced(self._sessions, attempt)
        minted = self._mint(subject, claims)
        issued = await self._sessions.issue(
            token=minted.token,
            subject=subject,
            login=self._login,
            device=Device(attempt.device, attempt.address),
            token_expiry=minted.expires,
            refresh=MINTED,
            renew_before=RENEWED_BEFORE,
            life=attempt.life,
            in_lasting_cookie=attempt.is_remembered and attempt.cookie is not None,
        )
        report(self._sessions, "login", attempt, issued.session)
        return issued

    def renewed(self, session: Session, claims: Mapping[str, Any]) -> Renewed:
        """Mint a session's next token with these claims. Raises `RenewalRefused`."""
        if session.refresh != MINTED:
            # Another kind of login had this path, so nothing vouches for the session's claims.
            raise RenewalRefused
        minted = self._mint(session.subject, claims)
        return Renewed(
            Token(minted.token.encode("ascii")),
            minted.expires,
            renewal_time(time.time(), minted.expires, RENEWED_BEFORE),
            MINTED,
        )

    def _mint(self, subject: str, claims: Mapping[str, Any]) -> Minted:
        return self._minter.mint(subject, claims, now=time.time(), jti=secrets.token_hex(16))


class MintedRenewal:
    """Mint a session's next token with the claims of the last one."""

    def __init__(self, minter: SessionMinter) -> None:
        self._minter = minter

    async def __call__(self, session: Session) -> Renewed:
        """Renew a session's token. Raises `RenewalRefused`."""
        return self._minter.renewed(session, session.claims)


def response_fields(issued: Issued) -> dict[str, Any]:
    """The members of a reply beside a new key (as in RFC 6749 §5.1)."""
    lasts = int(issued.session.ends_at - time.time())
    return {"token_type": "Bearer", "expires_in": lasts}


def with_key(data: dict[str, Any], pointer: str, key: str) -> bytes:
    """JSON of an object with the key at a pointer. Raises `UnreadableReply`."""
    *outer, name = pointed(pointer)
    inner = data
    for part in outer:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UnreadableReply
    inner[name] = key
    try:
        return json.dumps(data, allow_nan=False).encode()
    except ValueError:
        raise UnreadableReply from None

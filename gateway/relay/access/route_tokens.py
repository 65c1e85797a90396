"""Tokens for one upstream alone, with the claims that it may know.

Signing may take a millisecond (RSA), so a token is kept and serves many requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.core.sessions import claim_names
from gateway.core.sessions.session import renewal_time
from gateway.core.tokens.claims import RENEWED_BEFORE
from gateway.store.near_cache import make_room
from gateway.store.resolved_session import ResolvedSession

if TYPE_CHECKING:
    from gateway.core.tokens.minting import Minter

# The sessions whose tokens are kept in each worker, for all routes with the same `token`: about 1
# KiB each. The near cache is no place for them, because its sessions come and go more often.
_MAX_KEPT = 10_000


class RouteTokens:
    """Makes and keeps the tokens of one route."""

    def __init__(
        self,
        minter: Minter,
        *,
        audience: Sequence[str],
        claims: Sequence[str] | None,
        lifetime: float | None,
    ) -> None:
        """Take the route's `token`.

        claims: the names of the claims in a token beside `sub`; None: all claims of the session
        lifetime: seconds; None: the minter's own
        """
        self._minter = minter
        self._audience = audience
        self._claims = claims
        self._lifetime = lifetime
        self._kept: dict[str, ResolvedSession] = {}  # by session id

    def applied(self, resolved: ResolvedSession, now: float) -> ResolvedSession:
        """The session with the route's token in place of its own minted one."""
        kept = self._kept.get(resolved.session.id)
        if kept is None or kept.expires <= now or kept.session.token.raw != resolved.token:
            if len(self._kept) >= _MAX_KEPT:
                make_room(self._kept, _MAX_KEPT)
            kept = self._kept[resolved.session.id] = self._minted(resolved, now)
        return kept

    def _minted(self, resolved: ResolvedSession, now: float) -> ResolvedSession:
        session = resolved.session
        claims = session.claims
        minted = self._minter.mint(
            session.subject,
            claims if self._claims is None else claim_names.chosen(claims, self._claims),
            now=now,
            jti=secrets.token_hex(16),
            audience=self._audience,
            lifetime=self._lifetime,
        )
        until = renewal_time(now, minted.expires, RENEWED_BEFORE)
        return ResolvedSession(session, resolved.lines, minted.token.encode("ascii"), until)

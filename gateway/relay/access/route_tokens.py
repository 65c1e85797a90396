"""Tokens for one upstream alone: what a session's own token says, as far as that upstream may know.

Signing may take a millisecond (RSA), so a token is kept and serves many requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.core.sessions.session import renewal_time
from gateway.core.tokens.claims import RENEWED_BEFORE
from gateway.store.near_cache import make_room
from gateway.store.resolved_session import ResolvedSession

if TYPE_CHECKING:
    from gateway.core.tokens.minting import Minter

# Of how many sessions a token is kept, in each worker, for all routes that ask for the same one: 1
# KiB or so each. They are kept here and not with the near cache's entries, which come and go more.
_MAX_KEPT = 10_000


class RouteTokens:
    """The tokens that go upstream by one route."""

    def __init__(
        self,
        minter: Minter,
        *,
        audience: Sequence[str],
        claims: Sequence[str] | None,
        lifetime: float | None,
    ) -> None:
        """`claims` are the names of those that the upstream is told, beside `sub`; None: all."""
        self._minter = minter
        self._audience = audience
        self._claims = claims
        self._lifetime = lifetime
        self._kept: dict[str, ResolvedSession] = {}  # by session id

    def entry(self, entry: ResolvedSession, now: float) -> ResolvedSession:
        """The entry with the route's token in place of its own, which was minted here as well."""
        kept = self._kept.get(entry.session.id)
        if kept is None or kept.expires <= now or kept.session.token.raw != entry.token:
            if len(self._kept) >= _MAX_KEPT:
                make_room(self._kept, _MAX_KEPT)
            kept = self._kept[entry.session.id] = self._minted(entry, now)
        return kept

    def _minted(self, entry: ResolvedSession, now: float) -> ResolvedSession:
        session = entry.session
        claims = session.claims
        names = (
            claims if self._claims is None else [name for name in self._claims if name in claims]
        )
        minted = self._minter.mint(
            session.subject,
            {name: claims[name] for name in names},
            now=now,
            jti=secrets.token_hex(16),
            audience=self._audience,
            lifetime=self._lifetime,
        )
        until = renewal_time(now, minted.expires, RENEWED_BEFORE)
        return ResolvedSession(session, entry.lines, minted.token.encode("ascii"), until)

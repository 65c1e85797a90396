"""Claims of a session's token that config.yaml lets its client read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.sessions import claim_names
from gateway.core.sessions.session import SUBJECT, Session


def chosen(session: Session, names: Sequence[str]) -> dict[str, Any]:
    """The named claims, at their places, as the backend wrote them.

    A name may point into a claim (`/realm_access/roles`): then nothing else of it is shown. `sub`
    is the session's subject if the token has no such claim.
    """
    claims = session.claims
    if SUBJECT in names and claims.get(SUBJECT) is None:
        claims = {**claims, SUBJECT: session.claim(SUBJECT)}
    return claim_names.chosen(claims, names)

"""Claims of a session's token that its client may read, as config.yaml chooses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.sessions import claim_names
from gateway.core.sessions.session import SUBJECT, Session


def chosen(session: Session, names: Sequence[str]) -> dict[str, Any]:
    """The claims of these names, at their places in the token, as the backend wrote them.

    A name may point into a claim (`/realm_access/roles`): then nothing else of it is shown. `sub`
    is the session's subject if the token has no such claim.
    """
    shown: dict[str, Any] = {}
    for name in names:
        value = claim_names.find(session.claims, name)
        if value is None and name == SUBJECT:
            value = session.claim(SUBJECT)
        if value is not None:
            path = (name,) if name in session.claims else claim_names.path_of(name)
            _put(shown, path, value)
    return shown


def _put(shown: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *outer, last = path
    for part in outer:
        inner = shown.get(part)
        if not isinstance(inner, dict):
            inner = shown[part] = {}
        shown = inner
    shown[last] = value

"""Keys as clients get them: as they are, or in the shape of a JWT."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence

from gateway.core.sessions import jwt_shape
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Session

_log = logging.getLogger("gateway.store")


class KeyTexts:
    """Writes keys, each in the form that its session's login has."""

    def __init__(self, logins: Collection[str] = (), claims: Sequence[str] = ()) -> None:
        """Take the settings `keys.form` and `keys.claims`.

        logins: the paths of the logins whose keys have the shape of a JWT
        claims: the names of the claims in it, the most important one first
        """
        self._logins = frozenset(logins)
        self._claims = claims
        self._has_warned = False

    def of(self, key: Key, session: Session) -> str:
        """The text that a client gets for a key."""
        if session.login not in self._logins:
            return key.reveal()
        text, left_out = jwt_shape.spelled(key, session, self._claims, time.time())
        if left_out and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "keys.claims are too long for a key: %s left out", ", ".join(sorted(left_out))
            )
        return text

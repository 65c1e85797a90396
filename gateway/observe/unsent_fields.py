"""A warning about fields of `identity` that sessions cannot have."""

from __future__ import annotations

import logging

_log = logging.getLogger("gateway.identity")


class UnsentFields:
    """Warns once of each field."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, field: str, why: str) -> None:
        """Take note that a session goes without a field."""
        if field not in self._known:
            self._known.add(field)
            _log.warning("identity: %s is left out of requests of some sessions: %s", field, why)

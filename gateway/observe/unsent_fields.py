"""A warning about fields with values that no field can hold."""

from __future__ import annotations

import logging

_log = logging.getLogger("gateway.identity")


class UnsentFields:
    """Warns once of each field."""

    def __init__(self, setting: str = "identity") -> None:
        """`setting` is where the fields are configured."""
        self._setting = setting
        self._known: set[str] = set()

    def __call__(self, field: str, why: str) -> None:
        """Take note that a request or an answer goes without a field."""
        if field not in self._known:
            self._known.add(field)
            _log.warning("%s: %s is left out where %s", self._setting, field, why)

"""The sessions that may have changed, for readers that poll."""

from __future__ import annotations

# How many changed sessions are noted one by one.
_MAX_IDS = 10_000


class Changes:
    """The sessions that may have changed since the last look."""

    __slots__ = ("all", "ids")

    def __init__(self) -> None:
        self.all = False  # any session may have changed
        self.ids: set[str] = set()

    def note(self, session_id: str) -> None:
        if len(self.ids) < _MAX_IDS:
            self.ids.add(session_id)
        else:
            self.all = True

    def clear(self) -> None:
        self.all = False
        self.ids.clear()

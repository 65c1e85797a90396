"""Which events get a line in the audit log, and which are summed up.

Events that a client can cause at will could fill the disk and hide what matters. So the first ones
in a window get lines, and further ones are summed up at its end. They are counted by client and by
session, so a flood hides nothing of other clients.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from gateway.core.http.networks import network
from gateway.observe.events import REPEATABLE, Event

_WINDOW_SECONDS = 60.0  # seconds

# Lines in a window: of the same event, and of all events of one client.
_MAX_ALIKE = 20
_MAX_OF_CLIENT = 100

# Clients and kinds that are remembered in a window, about 500 bytes each; further ones share a sum.
_MAX_REMEMBERED = 10_000

_Kind = tuple[str, ...]


class Repeats:
    """The events of the present window of one worker."""

    def __init__(self) -> None:
        self._ends = 0.0
        self._lines: Counter[_Kind] = Counter()
        self._sums: dict[_Kind, Event] = {}
        self._repeated: Counter[_Kind] = Counter()

    def has_line(self, event: Event, now: float) -> bool:
        """Whether an event gets a line; otherwise it is summed up.

        `now` is in seconds.
        """
        if event.kind not in REPEATABLE:
            return True
        if not self._lines:
            self._ends = now + _WINDOW_SECONDS
        client = network(event.address) or event.address
        alike = (event.kind, event.reason, client, event.session_id)
        if self._lines[alike] >= _MAX_ALIKE:
            self._sum_up(alike, replace(event, request_id=""))
        elif self._lines[client,] >= _MAX_OF_CLIENT:
            known = Event(event.kind, address=event.address, reason=event.reason)
            self._sum_up((event.kind, event.reason, client), known)
        elif len(self._lines) >= _MAX_REMEMBERED:
            self._sum_up((event.kind, event.reason), Event(event.kind, reason=event.reason))
        else:
            self._lines.update([alike, (client,)])
            return True
        return False

    def sums(self, now: float) -> list[tuple[Event, int]]:
        """The sums of an ended window: events, and how often each happened."""
        if not self._lines or now < self._ends:
            return []
        sums = [(event, self._repeated[kind]) for kind, event in self._sums.items()]
        for table in (self._lines, self._sums, self._repeated):
            table.clear()
        return sums

    def _sum_up(self, kind: _Kind, event: Event) -> None:
        self._sums.setdefault(kind, event)
        self._repeated[kind] += 1

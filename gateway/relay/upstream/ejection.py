"""Ejection: a server that fails too often gets no requests for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from gateway.core.http.balancing import EjectionRules, ServerLoad


class Ejection:
    """Judges one server by its failures, beside the others of its upstream."""

    __slots__ = ("_all", "_in_a_row", "_load", "_log", "_name", "_rules", "_successes", "count")

    def __init__(self, load: ServerLoad, rules: EjectionRules, *, name: str, upstream: str) -> None:
        """Whose failures are judged, and how.

        name, upstream: for the log
        """
        self.count = 0  # ejections so far, for metrics
        self._load = load
        self._rules = rules
        self._name = f"upstream {upstream}: {name}"
        self._all: Sequence[ServerLoad] = (load,)  # of the upstream's servers
        self._in_a_row = 0  # failures
        self._successes = 0  # at the last failure
        # One logger for each upstream: repeated lines about one do not suppress those about others.
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    def join(self, loads: Sequence[ServerLoad]) -> None:
        """Be judged beside these servers from now on."""
        self._all = loads

    def counts(self, status: int) -> bool:
        """Whether an answer with this status is a failure."""
        return status in self._rules.statuses

    def answered(self, status: int) -> None:
        """Take the server back: it has answered over a new connection."""
        if self._load.ejected_until and not self.counts(status):
            self._load.reinstate(time.monotonic())
            self._log.info("%s answers again", self._name)

    def failed(self, why: str, successes: int) -> None:
        """Eject the server if it fails too often, and enough others are left.

        The only server of an upstream is never ejected.

        why: for the log
        successes: how many requests have ended there without a failure, so far
        """
        if self._load.is_probed:  # it has been ejected again, for longer
            self._load.is_probed = False
            self.count += 1
        if (
            len(self._all) == 1
            or self._load.ejected_until
            or self._row(successes) < self._rules.after
            or not self._rules.allows_one_more(self._all)
        ):
            self._log.warning("%s: %s", self._name, why)
            return
        self._in_a_row = 0
        self.count += 1
        self._load.eject(time.monotonic(), self._rules)
        self._log.warning("%s is passed over for a while: %s", self._name, why)

    def _row(self, successes: int) -> int:
        """Count one more failure, and say how many there are in a row.

        Requests that have ended without one show that the row has ended. So a good answer costs
        nothing here.
        """
        self._in_a_row = 1 if successes > self._successes else self._in_a_row + 1
        self._successes = max(successes, self._successes)
        return self._in_a_row

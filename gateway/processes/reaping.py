"""Reaping processes that have ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Protocol


class Reaper(Protocol):
    """A part that notes the end of its own process."""

    @property
    def pid(self) -> int | None: ...

    def reap(self) -> None: ...


def reaped(reapers: Iterable[Reaper | None]) -> Iterator[tuple[int, int]]:
    """Reap ended processes: their ids and exit codes (negative: a signal).

    Process 1 also inherits the orphans of its descendants.

    reapers: whose processes are left to them
    """
    owners = [reaper for reaper in reapers if reaper is not None]
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        owner = next((owner for owner in owners if owner.pid == ended.si_pid), None)
        if owner is not None:
            owner.reap()
            continue
        _, status = os.waitpid(ended.si_pid, 0)
        yield ended.si_pid, os.waitstatus_to_exitcode(status)

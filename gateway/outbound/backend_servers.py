"""Which server of an upstream a call goes to."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator

from gateway.core.http import balancing
from gateway.core.http.addresses import ServerUrl
from gateway.core.http.balancing import Standing


class BackendServers:
    """The servers of one upstream. One that fails is ejected, as the relay does with its own."""

    def __init__(self, servers: Iterable[ServerUrl]) -> None:
        self._standings = {server: Standing() for server in servers}
        self._turns = itertools.count()

    def __len__(self) -> int:
        """How many there are; one that config.yaml names twice counts once."""
        return len(self._standings)

    def pick(self, tried: Iterable[ServerUrl]) -> ServerUrl:
        """The least busy server of those that are not `tried`.

        A login is sent once, so it does not find out whether an ejected server is back.
        """
        turn = next(self._turns)
        left = [server for server in self._standings if server not in tried]
        standings = [self._standings[server] for server in left]
        return left[balancing.pick(standings, turn, time.monotonic(), probes=False)]

    @contextlib.contextmanager
    def calling(self, server: ServerUrl) -> Iterator[None]:
        """Counts a call that is under way."""
        standing = self._standings[server]
        standing.busy += 1
        try:
            yield
        finally:
            standing.busy -= 1

    def answered(self, server: ServerUrl) -> None:
        self._standings[server].reinstate()

    def failed(self, server: ServerUrl) -> None:
        self._standings[server].eject(time.monotonic())

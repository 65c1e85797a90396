"""Which server of an upstream a call goes to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator

from gateway.core.http import balancing
from gateway.core.http.addresses import ServerUrl
from gateway.core.http.balancing import ServerLoad


class BackendServers:
    """The servers of one upstream. One that fails is ejected, as in the relay."""

    def __init__(self, servers: Iterable[ServerUrl]) -> None:
        self._loads = {server: ServerLoad(weight=server.weight) for server in servers}
        self._turn = 0.0

    def __len__(self) -> int:
        """How many there are; one that config.yaml names twice counts once."""
        return len(self._loads)

    def pick(self, tried: Iterable[ServerUrl]) -> ServerUrl:
        """The least busy server of those that are not `tried`.

        A login is sent once, so it does not find out whether an ejected server is back.
        """
        now = time.monotonic()
        left = [server for server in self._loads if server not in tried]
        loads = [self._loads[server] for server in left]
        index = balancing.pick(loads, self._turn, now, probes=False)
        self._turn = balancing.take_turn(loads[index], self._turn, now)
        return left[index]

    @contextlib.contextmanager
    def calling(self, server: ServerUrl) -> Iterator[None]:
        """Counts a call that is under way."""
        load = self._loads[server]
        load.busy += 1
        try:
            yield
        finally:
            load.busy -= 1

    def answered(self, server: ServerUrl) -> None:
        self._loads[server].reinstate(time.monotonic())

    def failed(self, server: ServerUrl) -> None:
        self._loads[server].eject(time.monotonic())

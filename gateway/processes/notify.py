"""Tells systemd of the gateway's state (sd_notify(3))."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Sends states to the socket that NOTIFY_SOCKET names; silent without one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path  # abstract (unix(7))
        self.beat_seconds = _watchdog_seconds(environ) / 2 if path else math.inf
        self._next_beat = 0.0  # monotonic seconds

    def ready(self, status: str) -> None:
        """Tell that the gateway serves: after its start and each reload, even a failed one."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=draining")

    def beat(self, *, lives: Callable[[], bool]) -> None:
        """Tell the watchdog that the gateway lives, at half of the time that it waits."""
        now = time.monotonic()
        if now >= self._next_beat and self.beat_seconds < math.inf and lives():
            self._next_beat = now + self.beat_seconds
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
            sock.sendto(state.encode(errors="replace"), self._address)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """How long the watchdog waits; infinity without one (sd_watchdog_enabled(3))."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not is_ours or not microseconds.isdecimal() or int(microseconds) == 0:
        return math.inf
    return int(microseconds) / 1e6

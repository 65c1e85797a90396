"""What paths mean to the upstream of a route."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.http.paths import BackendPaths
from gateway.relay.http1.request_head import SAFE_METHODS

_NO_PATHS = BackendPaths(())


@dataclass(frozen=True, slots=True)
class BackendLogout:
    """The logouts of backends by one method.

    They end the gateway's session as well.
    """

    paths: BackendPaths
    method: bytes

    def is_asked(self, method: bytes) -> bool:
        """Whether a request of this method logs out. Other safe methods only look.

        Backends answer HEAD as GET, and do the same for it (wire-rules.md#C7).
        """
        meant = b"GET" if method == b"HEAD" else method
        return meant == self.method or method not in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class UpstreamPaths:
    """What paths mean to the upstream of a route."""

    read_loosely: bool = True  # its backend may take other spellings for a path
    guarded: BackendPaths = _NO_PATHS  # where it hands out tokens: no route leads there
    logouts: tuple[BackendLogout, ...] = ()

"""Requests, as the pool of an upstream and its servers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.core.http.refusals import Refusal
from gateway.relay.upstream.policy import Sticky
from gateway.relay.upstream.server import Holder, Server

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a request waits for a server that cannot be reached, and until when.

    until: the end of its time (monotonic seconds)
    server: the server that was tried last
    cause: what was wrong there, for the log
    """

    until: float
    server: Server
    cause: str


class Request(Protocol):
    """A request that needs a server."""

    asked: frozenset[Server]  # servers that were sent the request in vain
    tried: frozenset[Server]  # those, and servers that could not be reached
    outage: Outage | None  # if it waits for a restart

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice."""

    def affinity(self, sticky: Sticky) -> bytes:
        """The key by which its server is chosen; empty if there is none."""


class Waiter(Request, Holder, Protocol):
    """A request that needs a connection, as servers and pools see it."""

    server: Server | None  # the server at which it has, or had, a place
    queued: bool  # it waits in a queue of the pool

    @property
    def waits(self) -> bool:
        """Whether it still needs a connection."""

    @property
    def is_answered(self) -> bool:
        """Whether the head of an answer has come, and has gone on."""

    @property
    def uploading(self) -> bool:
        """Whether it has a body that is still to come."""

    def postpones(self) -> bool:
        """Wait for the body first, and ask again when it has begun.

        False: the request goes on now.
        """

    def send(self, upstream: UpstreamConnection) -> None:
        """Send the request over this connection."""

    def fail(self, refusal: Refusal) -> None:
        """Refuse the request: it gets no connection."""

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """Refuse the request: no server could be reached. `server` was tried last."""

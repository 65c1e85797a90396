"""The second phase of a decision: whether the gateway takes the request."""

from __future__ import annotations

from gateway.core.http import refusals
from gateway.core.http.shares import Shares
from gateway.core.http.shedding import Shedding
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.http1 import websocket
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

# The methods that the server of the endpoints knows: RFC 9110 §9, without those that are never
# served, and RFC 5789.
_KNOWN = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})

# Fields of requests that have one value (RFC 9110 §5.3).
_SINGLE = (
    b"content-type",
    b"user-agent",
    b"content-location",
    b"content-range",
    b"etag",
    b"max-forwards",
    b"server",
)

# Fewer than any number of requests, so that each one is looked at.
_ALWAYS_CROWDED = -1


class Load:
    """The requests in flight in this worker, with their limit and shares."""

    __slots__ = ("crowded", "limit", "requests", "shares", "shedding")

    def __init__(self, limit: int, shares: Shares, shedding: Shedding | None = None) -> None:
        self.limit = limit
        self.shares = shares
        self.shedding = shedding
        self.requests = 0
        self.crowded = shares.crowded  # up to so many, each request is admitted

    def measured(self, delay: float) -> None:
        """Take note of how late the event loop was (seconds), and shed load if need be."""
        assert self.shedding is not None
        self.shedding.measured(delay)
        self.crowded = _ALWAYS_CROWDED if self.shedding.percent else self.shares.crowded


def admit(route: Route, head: RequestHead, peer: Peer, load: Load) -> None:
    """Raises `Refused` for a request too many, too large or unfit."""
    if load.requests > load.crowded:
        _admit_to_share(load, head, peer)
    if head.length > route.action.body_limit:
        raise Refused(refusals.BODY_TOO_LARGE)
    if head.upgrade is not None:
        choose_upgrade(head.upgrade, route, head)
    if route.in_process:
        _admit_to_endpoints(head)


def choose_upgrade(wanted: bytes, route: Route, head: RequestHead) -> None:
    """Choose the first protocol that the route upgrades to (RFC 9110 §7.8).

    Raises `Refused` for a body that could be read as bytes of the tunnel (wire-rules.md#E9). One
    that is read as a whole before cannot; a WebSocket never has any.
    """
    chosen = next((token for token in wanted.split(b", ") if token in route.action.upgrades), None)
    if chosen is None:
        return  # it passes as an ordinary request
    head.upgrade = chosen
    is_whole = route.action.buffer_request is not None and chosen != websocket.PROTOCOL
    if head.has_body and not is_whole:
        raise Refused(refusals.MALFORMED)


def _admit_to_share(load: Load, head: RequestHead, peer: Peer) -> None:
    """Raises `Refused` for one request too many, of all or of this client."""
    if load.shedding is not None and load.shedding.refuses():
        raise Refused(refusals.OVERLOADED)
    if load.requests > load.limit:
        raise Refused(refusals.BUSY)
    if not load.shares.allows(peer.network(head), load.requests - 1):
        raise Refused(refusals.OVER_SHARE)


def _admit_to_endpoints(head: RequestHead) -> None:
    """Refuse requests that the endpoints' own server would refuse.

    It would repeat the request in its answer (wire-rules.md#E6). Of a field that came twice, the
    gateway and a backend might read different ones.
    """
    if head.method not in _KNOWN:
        raise Refused(refusals.UNKNOWN_METHOD)
    names = [line.partition(b":")[0].lower() for line in head.passed]
    if any(names.count(name) > 1 for name in _SINGLE):
        raise Refused(refusals.MALFORMED)

"""The record that a request leaves for the access log and other sinks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from gateway.observe.access_record import AccessRecord
from gateway.relay.access.decision import Forward
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.relay.exchange.upload import Upload
    from gateway.relay.upstream.server import Server


class Ended(Protocol):
    """An exchange that has ended, and how."""

    client: ClientSide
    head: RequestHead
    forward: Forward | None
    upload: Upload | None
    request_id: bytes
    began: float  # monotonic seconds
    status: int
    reason: str  # of a refusal or of a cut; else ""
    cause: str  # what the upstream did wrong, or the setting that has refused; else ""
    stopped_at: bytes  # the label of the route where the decision ended it; else b""
    unreached_server: Server | None


def record_of(exchange: Ended) -> AccessRecord:
    """The record of an exchange that ends now."""
    head, peer = exchange.head, exchange.client.peer
    forward, upload = exchange.forward, exchange.upload
    server = (
        exchange.unreached_server if upload is None or upload.upstream is None else upload.server
    )
    meant = head.described or head
    delivery = None if upload is None else upload.delivery
    fields = (
        time.time(),
        peer.client(head).address.encode() if peer.trusted else peer.name,
        meant.method,
        exchange.stopped_at or (b"" if forward is None else forward.route.label),
        meant.path,
        exchange.status,
        0 if upload is None else upload.size,
        0 if delivery is None else delivery.size,
        time.monotonic() - exchange.began,
        0.0 if delivery is None else delivery.upstream_duration,
        b"" if server is None else server.label,
        b""
        if forward is None or forward.resolved is None
        else forward.resolved.session.id.encode(),
        exchange.request_id,
        exchange.reason,
        exchange.cause,
    )
    return tuple.__new__(AccessRecord, fields)

"""The events that a request causes, as the audit log gets them."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from gateway.observe.events import Event
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.http1.request_head import RequestHead


class Cause(Protocol):
    """The request that causes an event."""

    client: ClientSide
    head: RequestHead
    request_id: bytes


def of_request(event: Event, request: Cause) -> Event:
    """The event, with the client's address and the request's id."""
    address = request.client.peer.client(request.head).address
    return replace(event, address=address, request_id=request.request_id.decode("ascii"))

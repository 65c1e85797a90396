"""Keys in queries and among subprotocols, on routes that take them there.

`RequestReader` has cut them out already, so they go upstream on no route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import refusals, subprotocols
from gateway.relay.http1 import request_fields
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.relay.access.route import Route
    from gateway.store.resolved_session import ResolvedSession


def take(route: Route, head: RequestHead) -> None:
    """Take the keys that the route allows there.

    Raises `Refused` for another key in the query: it stands in logs and histories already. So it
    does for one that a proxy describes, since the proxy would send it on.
    """
    if head.query_key is not None:
        name, key = head.query_key
        if route.access.key_in_query != name or head.description is not None:
            raise Refused(refusals.KEY_IN_URL)
        _take(head, key)
    offer = head.subprotocols
    if offer is not None and route.access.key_in_subprotocol:
        for key in offer.keys:
            _take(head, key)


def _take(head: RequestHead, key: bytes) -> None:
    request_fields.take(head, key, ())
    # Caches are told that the answer is one caller's, though no field had the key.
    head.key_fields = head.key_fields or (b"Authorization",)


def subprotocol_line(head: RequestHead, route: Route, resolved: ResolvedSession | None) -> bytes:
    """The subprotocols for the upstream.

    They have the token in the key's place, unless `send_token` says where it goes.
    """
    offer = head.subprotocols
    if offer is None:
        return b""
    is_swapped = route.access.key_in_subprotocol and route.action.send_token is None
    if resolved is None or not is_swapped:
        return subprotocols.joined(offer.others)
    return subprotocols.joined(offer.swapped(resolved.token))

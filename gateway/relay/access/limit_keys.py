"""What the requests of limits are counted by: a text that names their client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.http.rates import ADDRESS, CLAIM, ROUTE, SESSION

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.http1.request_head import RequestHead
    from gateway.store.resolved_session import ResolvedSession

# Names the client of a request, by its route's name, its head, its peer and its session.
KeyOf = Callable[[str, "RequestHead", "Peer", "ResolvedSession | None"], str]


def key_of(per: str) -> KeyOf:
    """The function for a setting `per`."""
    if per == ADDRESS:
        return _by_address
    if per == ROUTE:
        return _by_route
    if per == SESSION:
        return _by_session
    return _by_claim(per.removeprefix(CLAIM)) if per.startswith(CLAIM) else _by_subject


def _by_address(_route: str, head: RequestHead, peer: Peer, _entry: ResolvedSession | None) -> str:
    """The client's network. Clients that cannot be told apart count together."""
    return peer.network(head)


def _by_route(route: str, _head: RequestHead, _peer: Peer, _entry: ResolvedSession | None) -> str:
    return route


def _by_session(route: str, head: RequestHead, peer: Peer, resolved: ResolvedSession | None) -> str:
    """The session. A JWT in place of a key has none, and counts for its subject."""
    session_id = "" if resolved is None else resolved.session.id
    return session_id or _by_subject(route, head, peer, resolved)


def _by_subject(
    _route: str, head: RequestHead, peer: Peer, resolved: ResolvedSession | None
) -> str:
    """The subject. A caller without one counts by its address, which is no name of a subject."""
    subject = "" if resolved is None else resolved.session.subject
    return subject or f"\0{peer.network(head)}"


def _by_claim(name: str) -> KeyOf:
    def by_claim(
        route: str, head: RequestHead, peer: Peer, resolved: ResolvedSession | None
    ) -> str:
        """The value of the claim. A caller without it counts by its subject."""
        value = None if resolved is None else resolved.session.claim(name)
        if value is None:
            return f"\0{_by_subject(route, head, peer, resolved)}"
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    return by_claim

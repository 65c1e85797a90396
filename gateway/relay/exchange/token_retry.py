"""Another token for a request whose token an upstream has refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.core.tokens.claims import MINTED
from gateway.observe.events import Event
from gateway.relay.loop import eager

if TYPE_CHECKING:
    from gateway.core.sessions.session import Session
    from gateway.relay.access.decision import Forward
    from gateway.relay.access.peer import Peer
    from gateway.relay.exchange.context import Context
    from gateway.relay.http1.request_head import RequestHead
    from gateway.relay.loop.settings import Settings


def seek(
    context: Context,
    forward: Forward,
    head: RequestHead,
    peer: Peer,
    own_id: bytes,
    *,
    is_first: bool,
) -> eager.Suspended[Forward | None] | None:
    """Ask the store for another token, for a request that can be repeated.

    Returns the running question, whose result is the request with that token, or None without one.
    Returns None if there is nothing to ask, or no other token.

    is_first: whether no token has been sought for this request before; it is done once
    """
    resolved, settings = forward.resolved, context.settings
    if resolved is None or forward.route.is_endpoint:
        return None
    session = resolved.session
    if not is_first or head.has_body or not (session.refresh or settings.captures):
        _refused_for_good(session, context)
        return None
    renew = _may_renew(session, settings)
    found = eager.begin(context.decide_again(forward, head, peer, own_id, renew=renew))
    return found if isinstance(found, eager.Suspended) else None


def _may_renew(session: Session, settings: Settings) -> bool:
    """Whether a refused token may be renewed.

    By default it may not: a backend that logs its user out by revoking the token would have that
    undone. A token that is about to expire is renewed, and so is one of the gateway's own, which no
    backend can revoke.
    """
    is_due = time.time() >= session.renew_at - settings.skew
    return is_due or settings.renew_on_401 or session.refresh == MINTED


def _refused_for_good(session: Session, context: Context) -> None:
    """End the session if config.yaml says so.

    Its token is refused, and there is no other.
    """
    if session.id and context.settings.end_on_401:
        context.ender.end([session.id], Event("revoke", reason="upstream_401", by="upstream"))

"""A token that an upstream refuses: whether the request goes once more, with another one."""

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
    from gateway.relay.context import Context
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
    """Asks the store for another token, if there may be one: for a request that can be repeated.

    What comes of it is the request with that token, or None. When it is None at once, there is no
    other token, for any would have come from the store.
    is_first: whether none has been sought for this request yet, which is done once
    """
    entry, settings = forward.entry, context.settings
    if entry is None or forward.route.is_endpoint:
        return None
    session = entry.session
    if not is_first or head.has_body or not (session.refresh or settings.captures):
        _refused_for_good(session, context)
        return None
    renew = _may_renew(session, settings)
    found = eager.begin(context.decider.decide_again(forward, head, peer, own_id, renew=renew))
    return found if isinstance(found, eager.Suspended) else None


def _may_renew(session: Session, settings: Settings) -> bool:
    """Whether a refused token is renewed: a backend that revokes one as it logs its user out would
    have that undone. A token that is about to expire by itself is renewed all the same, and of the
    gateway's own tokens no backend keeps account.
    """
    is_due = time.time() >= session.renew_at - settings.skew
    return is_due or settings.renew_on_401 or session.refresh == MINTED


def _refused_for_good(session: Session, context: Context) -> None:
    """The upstream refuses the session's token, and there is no other: so the session may end."""
    if session.id and context.settings.end_on_401:
        context.ender.end([session.id], Event("revoke", reason="upstream_401", by="upstream"))

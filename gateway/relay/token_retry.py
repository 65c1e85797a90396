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


def may_help(forward: Forward, head: RequestHead, settings: Settings) -> bool:
    """Whether there may be another token for a request that can be repeated."""
    assert forward.entry is not None
    return not head.has_body and bool(forward.entry.session.refresh or settings.captures)


def seek(
    context: Context, forward: Forward, head: RequestHead, peer: Peer, own_id: bytes
) -> eager.Suspended[Forward | None] | None:
    """Asks the store for another token; what comes of it is the request with that, or None.

    None at once when there is no other: any would have come from the store.
    """
    assert forward.entry is not None
    renew = _may_renew(forward.entry.session, context.settings)
    found = eager.begin(context.decider.decide_again(forward, head, peer, own_id, renew=renew))
    return found if isinstance(found, eager.Suspended) else None


def _may_renew(session: Session, settings: Settings) -> bool:
    """Whether a refused token is renewed: a backend that revokes one as it logs its user out would
    have that undone. A token that is about to expire by itself is renewed all the same, and of the
    gateway's own tokens no backend keeps account.
    """
    is_due = time.time() >= session.renew_at - settings.skew
    return is_due or settings.renew_on_401 or session.refresh == MINTED


def refused_for_good(forward: Forward, context: Context) -> None:
    """The upstream refuses the session's token, and there is no other: so the session may end."""
    assert forward.entry is not None
    session_id = forward.entry.session.id
    if session_id and context.settings.end_on_401:
        event = Event("revoke", reason="upstream_401", by="upstream")
        context.ender.end([session_id], event)

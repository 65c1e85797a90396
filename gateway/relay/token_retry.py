"""A token that an upstream refuses: the request goes once more with another, if there is one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from gateway.core.tokens.claims import MINTED
from gateway.observe.events import Event
from gateway.relay.loop import eager

if TYPE_CHECKING:
    from gateway.core.sessions.session import Session
    from gateway.relay.access.decision import Forward
    from gateway.relay.exchange import Exchange
    from gateway.relay.http1.response_head import ResponseHead
    from gateway.relay.loop.settings import Settings
    from gateway.store.resolved_session import ResolvedSession


def begin(exchange: Exchange, response: ResponseHead, rest: bytes) -> bool:
    """Whether this 401 (of whose body there is `rest`) is held back until there is another token.

    Only a request that can be repeated is worth one, and only once.
    """
    forward = exchange.forward
    if forward is None or forward.entry is None or forward.route.is_endpoint or exchange.logs_out:
        return False
    session, settings = forward.entry.session, exchange.context.settings
    may_differ = session.refresh or settings.captures
    if exchange.tried_again or exchange.head.has_body or not may_differ:
        _refused_for_good(exchange, forward.entry)
        return False
    exchange.tried_again = True
    decider, peer = exchange.context.decider, exchange.client.peer
    again = eager.begin(
        decider.decide_again(
            forward, exchange.head, peer, exchange.own_id, renew=_may_renew(session, settings)
        )
    )
    if not isinstance(again, eager.Suspended):
        return False  # there is none: any other would have come from the store
    _send_when_there(exchange, again, response, rest)
    return True


def _may_renew(session: Session, settings: Settings) -> bool:
    """Whether a refused token is renewed: a backend that revokes one as it logs its user out would
    have that undone. A token that is about to expire by itself is renewed all the same, and of the
    gateway's own tokens no backend keeps account.
    """
    is_due = time.time() >= session.renew_at - settings.skew
    return is_due or settings.renew_on_401 or session.refresh == MINTED


def _refused_for_good(exchange: Exchange, entry: ResolvedSession) -> None:
    if entry.session.id and exchange.context.settings.end_on_401:
        event = Event("revoke", reason="upstream_401", by="upstream")
        exchange.context.ender.end([entry.session.id], event)


def _send_when_there(
    exchange: Exchange, again: eager.Suspended[Forward | None], response: ResponseHead, rest: bytes
) -> None:
    """Sends the request once more; without another token, the answer is let go."""

    def done(forward: Forward | None) -> None:
        exchange.suspended = None
        upstream = exchange.upstream
        if exchange.ended or upstream is None:
            return
        if forward is None:
            upstream.release_answer(exchange, response, rest)
            return
        assert exchange.pool is not None
        exchange.pool.release(upstream, exchange, reusable=False)
        exchange.upstream = None
        exchange.go(forward)

    def failed(error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            exchange.context.log.error("a token cannot be renewed", exc_info=error)
            done(None)

    exchange.suspended = again
    again.then(done, failed)

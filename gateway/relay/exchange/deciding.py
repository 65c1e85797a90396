"""The first step of an exchange: whether its request passes.

It happens at once if the near cache knows the key, else when the store has answered.
"""

from __future__ import annotations

from functools import partial

from gateway.relay.access import concurrency
from gateway.relay.access.decision import Forward
from gateway.relay.exchange import logout
from gateway.relay.exchange.exchange import ENDED, PASSING, Exchange
from gateway.relay.exchange.stopping import stop
from gateway.relay.loop import eager
from gateway.relay.outcomes import Refused


def decide(exchange: Exchange) -> None:
    """Decide on the request, and pass it on, refuse it or answer it."""
    context, head, peer = exchange.context, exchange.head, exchange.client.peer
    load = context.load
    load.requests += 1
    if load.shares.counts:
        load.shares.take(exchange.network)
    try:
        decision = eager.begin(context.decide(head, peer, exchange.own_id))
    except Exception as outcome:
        stop(exchange, outcome)
        return
    if isinstance(decision, Forward):
        _passes(exchange, decision)
    else:
        exchange.suspended = decision
        decision.then(partial(_passes, exchange), partial(stop, exchange))


def _passes(exchange: Exchange, decision: Forward) -> None:
    """Let the request pass. If it logs out, its sessions end first."""
    exchange.suspended = None  # it refers to the exchange: a cycle would wait for the collector
    if exchange.state is ENDED:
        return
    exchange.state = PASSING
    exchange.forward = decision
    if decision.route.action.concurrency and not _may_join(exchange, decision):
        return
    if decision.ends:
        logout.log_out(exchange, decision.ends, "backend_path", then=exchange.pass_on)
    else:
        exchange.pass_on()


def _may_join(exchange: Exchange, decision: Forward) -> bool:
    """Whether the client may have one more request in flight. If not, it is refused."""
    limits, peer = decision.route.action.concurrency, exchange.client.peer
    try:
        exchange.permits = concurrency.take(limits, exchange.head, peer, decision.resolved)
    except Refused as refused:
        stop(exchange, refused)
        return False
    return True

"""The first step of an exchange: whether its request passes.

It happens at once if the near cache knows the key, else when the store has answered.
"""

from __future__ import annotations

import asyncio
from functools import partial

from gateway.core.http import refusals
from gateway.observe.events import Event
from gateway.relay.access import concurrency
from gateway.relay.access.decision import Forward
from gateway.relay.exchange import events, logout
from gateway.relay.exchange.exchange import ENDED, PASSING, Exchange
from gateway.relay.loop import eager
from gateway.relay.outcomes import Answered, Refused


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
        _stopped(exchange, outcome)
        return
    if isinstance(decision, Forward):
        _passes(exchange, decision)
    else:
        exchange.suspended = decision
        decision.then(partial(_passes, exchange), partial(_stopped, exchange))


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
        _stopped(exchange, refused)
        return False
    return True


def _stopped(exchange: Exchange, outcome: BaseException) -> None:
    """Refuse or answer the request here, unless the client has gone."""
    exchange.suspended = None
    if isinstance(outcome, Refused | Answered):
        exchange.stopped_at = outcome.route
        _report(exchange, outcome.event)
    if isinstance(outcome, Refused):
        exchange.cause = outcome.cause
        exchange.fail(outcome.refusal, outcome.fields)
    elif isinstance(outcome, Answered):
        exchange.answer(outcome)
    elif not isinstance(outcome, asyncio.CancelledError):
        exchange.context.log.error("the decision on a request failed", exc_info=outcome)
        exchange.fail(refusals.INTERNAL)


def _report(exchange: Exchange, event: Event | None) -> None:
    """Report a refused key to the audit log."""
    if event is not None and not exchange.is_over:
        exchange.context.report(events.of_request(event, exchange))

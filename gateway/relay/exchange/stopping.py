"""A decision that does not let a request pass."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.relay.exchange import events
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.observe.events import Event
    from gateway.relay.exchange.exchange_side import ExchangeSide


def stop(exchange: ExchangeSide, outcome: BaseException) -> None:
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


def _report(exchange: ExchangeSide, event: Event | None) -> None:
    """Report a refused key to the audit log."""
    if event is not None and not exchange.is_over:
        exchange.context.report(events.of_request(event, exchange))

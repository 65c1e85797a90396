"""Logouts with a request or its answer, which wait for the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.observe.events import Event
from gateway.relay.exchange import events
from gateway.relay.exchange.exchange_side import ExchangeSide


def log_out(
    exchange: ExchangeSide, session_ids: Sequence[str], reason: str, *, then: Callable[[], None]
) -> None:
    """End the sessions of the device, then call `then`.

    It is not called if the exchange has ended before. If the sessions cannot be ended, the exchange
    fails (wire-rules.md#E4).
    """

    def done() -> None:
        if not exchange.is_over:
            _forget_cookies(exchange)
            then()

    exchange.logs_out = True
    event = events.of_request(Event("logout", reason=reason), exchange)
    exchange.context.ender.log_out(session_ids, event, done, exchange.fail)


def _forget_cookies(exchange: ExchangeSide) -> None:
    """Have the answer delete the cookies with keys: their sessions have ended."""
    head, forward = exchange.head.described or exchange.head, exchange.forward
    resolved = None if forward is None else forward.resolved
    exchange.context.cookies.forget(head, exchange.client.peer, resolved)

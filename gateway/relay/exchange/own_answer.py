"""Writes what the gateway itself answers to a request, with all that belongs to its exchange."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.http.cors import Policy
from gateway.core.http.refusals import Refusal
from gateway.relay.answers import own_answers, response_shape
from gateway.relay.exchange.exchange_side import ExchangeSide
from gateway.relay.outcomes import Answered


def answer(exchange: ExchangeSide, answered: Answered) -> None:
    """Write an answer that the decision has given."""
    exchange.begin_answer(answered.status, close=False)
    written = own_answers.answered(
        answered,
        exchange.head,
        request_id=exchange.request_id,
        close=exchange.close,
        policy=None if exchange.forward is None else exchange.forward.route.access.cors,
        change=_change(exchange),
        protection=_protection(exchange),
    )
    _write(exchange, written)


def refuse(exchange: ExchangeSide, refusal: Refusal, fields: Mapping[str, str]) -> None:
    """Write a refusal. `fields` are further ones of the answer."""
    exchange.begin_answer(refusal.status, close=refusal.status == 400)
    written = own_answers.refusal(
        refusal,
        exchange.head,
        request_id=exchange.request_id,
        close=exchange.close,
        policy=_policy(exchange),
        fields=fields,
        change=_change(exchange),
        pages=exchange.context.pages,
        protection=_protection(exchange),
    )
    _write(exchange, written)


def _write(exchange: ExchangeSide, written: bytes) -> None:
    """Write an answer, with what the decision adds to answers."""
    lines = b"" if exchange.forward is None else exchange.forward.answer_lines
    if lines:
        written = written.replace(b"\r\n", b"\r\n" + lines, 1)
    exchange.client.write(written)


def _policy(exchange: ExchangeSide) -> Policy | None:
    """Who else may read a refusal. None where the decision has said it, by the route's policy."""
    if exchange.forward is not None:
        return exchange.forward.route.access.cors
    return None if exchange.stopped_at else exchange.context.cors


def _change(exchange: ExchangeSide) -> own_answers.Change | None:
    """The changes of a route without an upstream to its answers."""
    forward = exchange.forward
    if forward is None or forward.answer is None:
        return None
    return response_shape.of_own_answer(exchange.head, forward)


def _protection(exchange: ExchangeSide) -> own_answers.Protection | None:
    """The fields by which browsers protect the site."""
    forward = exchange.forward
    security = exchange.context.security if forward is None else forward.route.action.security
    if security is None:
        return None
    return security, exchange.client.peer.client(exchange.head).is_protected

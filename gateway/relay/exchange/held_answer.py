"""Answers that wait for another token, or for the end of sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.relay.access.decision import Forward
from gateway.relay.exchange import logout, token_retry
from gateway.relay.exchange.exchange_side import ExchangeSide
from gateway.relay.http1.response_head import ResponseHead
from gateway.relay.logouts import backend_logouts

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection


class HeldAnswer:
    """Has one answer wait, and releases it or has its request sent again."""

    def __init__(
        self, exchange: ExchangeSide, forward: Forward, upstream: UpstreamConnection
    ) -> None:
        """`upstream` is the connection over which the answer comes."""
        self._exchange = exchange
        self._forward = forward
        self._upstream = upstream

    def has_to_wait(self, response: ResponseHead) -> bool:
        """Whether the answer has to wait; then its end is under way."""
        exchange = self._exchange
        if exchange.logs_out:
            return False
        if response.status == 401 and self._seeks_token():
            return True
        return bool(exchange.head.key_cookies) and self._logs_out(response)

    def _seeks_token(self) -> bool:
        """Seek another token for a refused one, once a request.

        False if there can be none.
        """
        exchange = self._exchange
        is_first, exchange.has_sought_token = not exchange.has_sought_token, True
        exchange.suspended = token_retry.seek(
            exchange.context,
            self._forward,
            exchange.head,
            exchange.client.peer,
            exchange.own_id,
            is_first=is_first,
        )
        if exchange.suspended is None:
            return False
        exchange.suspended.then(self._token_found, self._token_failed)
        return True

    def _token_found(self, forward: Forward | None) -> None:
        """Send the request once more. Without another token, release the answer."""
        exchange = self._exchange
        exchange.suspended = None
        if exchange.is_over:
            return
        if forward is None:
            self._upstream.release_answer()
        else:
            exchange.send_again(forward)

    def _token_failed(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._exchange.context.log.error("a token cannot be renewed", exc_info=error)
            self._token_found(None)

    def _logs_out(self, response: ResponseHead) -> bool:
        """End the sessions of all keys that came, if the answer logs out.

        It does if it deletes a cookie with one of the keys. False if it does not.
        """
        exchange, head = self._exchange, self._exchange.head
        cookies = exchange.context.cookies
        deletions = backend_logouts.deletions(self._forward, head, response, cookies)
        if deletions is None:
            return False

        def release() -> None:
            head.cookie_settings = tuple(dict.fromkeys((*deletions, *head.cookie_settings)))
            self._upstream.release_answer()

        logout.log_out(exchange, head.session_ids, "cookie", then=release)
        return True

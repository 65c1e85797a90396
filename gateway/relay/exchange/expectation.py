"""A client that waits to be asked for its body.

It sends `Expect: 100-continue` (RFC 9110 §10.1.1).
"""

from __future__ import annotations

import asyncio

from gateway.relay.exchange.client_side import ClientSide

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Expectation:
    """Asks the client for its body, once."""

    __slots__ = ("_client", "_is_over", "_timer")

    def __init__(self, client: ClientSide) -> None:
        self._client = client
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def meet_after(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """Ask for the body after some seconds.

        It is not asked for if the upstream has asked for it, or has answered, before.
        """
        self._timer = loop.call_later(seconds, self.meet)

    def meet(self) -> None:
        """Ask for the body, once."""
        if not self._is_over:
            self._is_over = True
            self._client.write(_CONTINUE)

    def cancel(self) -> None:
        """Do not ask for the body any more.

        The answer has come, or the exchange has ended.
        """
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

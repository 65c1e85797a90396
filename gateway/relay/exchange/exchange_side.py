"""The exchange, as its upload and its delivery see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.http.refusals import Refusal
from gateway.relay.access.decision import Forward
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.loop import eager
from gateway.relay.upstream.server import Server

if TYPE_CHECKING:
    from gateway.relay.exchange.context import Context


class ExchangeSide(Protocol):
    """What the upload and the delivery need, and how they end."""

    client: ClientSide
    head: RequestHead
    context: Context
    own_id: bytes
    request_id: bytes
    close: bool  # the client's connection ends with this exchange
    has_interim: bool  # the upstream has answered with a 1xx
    has_sought_token: bool  # for one that the upstream refused
    tunnel: Tunnel | None  # once the protocol has been switched
    suspended: eager.Suspended[Any] | None  # what the store is asked for

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def logs_out(self) -> bool:
        """Whether its session ends with it."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    def ask_for_body(self) -> None:
        """The upstream wants the body that the client has not begun to send."""

    def begin_answer(self, status: int, *, close: bool) -> None:
        """The head of the answer leaves; with `close` the client's connection ends with it."""

    def end(self, *, reusable: bool) -> None:
        """The answer, or the tunnel, has ended; with `reusable` its connection has not."""

    def send_again(self, forward: Forward) -> None:
        """Sends the request once more, with another token."""

    def log_out(self, session_ids: Sequence[str], reason: str, then: Callable[[], None]) -> None:
        """Ends these sessions, and goes on by `then`."""

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """No server could be reached; `server` is the last one that was tried."""

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        """No whole head of an answer has come."""

    def broken(self, refusal: Refusal, cause: str) -> None:
        """The answer is malformed, or it does not go on."""

    def fail(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Refuses the request, or cuts the answer if it has begun."""

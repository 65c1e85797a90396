"""The exchange, as its upload and its delivery see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.http.refusals import Refusal
from gateway.relay.access.decision import Forward
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.exchange.event_stream import EventStream
from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.loop import eager
from gateway.relay.outcomes import Answered
from gateway.relay.upstream.server import Server

if TYPE_CHECKING:
    from gateway.relay.exchange.context import Context


class ExchangeSide(Protocol):
    """What the upload and the delivery need, and how they end."""

    client: ClientSide
    head: RequestHead
    context: Context
    forward: Forward | None  # the decision: the route and the session
    stopped_at: bytes  # the label of the route where the decision ended it; else b""
    own_id: bytes
    request_id: bytes
    close: bool  # the client's connection ends with this exchange
    logs_out: bool  # its session ends with it
    has_interim: bool  # the upstream has answered with a 1xx
    has_sought_token: bool  # for one that the upstream refused
    tunnel: Tunnel | None  # once the protocol has been switched
    events: EventStream | None  # once the answer is a stream that passes unchanged
    cause: str  # what the upstream did wrong, or the setting by which the gateway refused
    is_stream: bool  # it holds the place of a stream, and none of a request
    suspended: eager.Suspended[Any] | None  # a question to the store

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    def ask_for_body(self) -> None:
        """Ask the client for its body: the upstream wants it."""

    def buffer_body(self) -> None:
        """Read the whole body before the request takes a connection."""

    def begin_answer(self, status: int, *, close: bool) -> None:
        """Set the status, and whether the connection ends with the answer."""

    def becomes_stream(self) -> bool:
        """Take a place among the streams, and give back those of a request.

        False if there is none: then the exchange has ended.
        """

    def send_again(self, forward: Forward) -> None:
        """Send the request once more, with another token."""

    def answer(self, answered: Answered) -> None:
        """Answer without the upstream."""

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """Refuse the request: no server could be reached. `server` was tried last."""

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        """Send the request once more, or refuse it: no whole head has come."""

    def broken(self, refusal: Refusal, cause: str) -> None:
        """Refuse the request, or cut the answer: the upstream's answer is broken."""

    def fail(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Refuse the request, or cut the answer if it has begun."""

    def end(self, *, reusable: bool) -> None:
        """End with the answer or the tunnel.

        A `reusable` connection may carry another answer.
        """

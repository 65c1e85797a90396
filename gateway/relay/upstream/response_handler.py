"""The calls by which a connection passes an answer on, in their order."""

from __future__ import annotations

from typing import Protocol

from gateway.core.http.refusals import Refusal
from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead


class ResponseHandler(Protocol):
    """The exchange that an answer belongs to."""

    head: RequestHead

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def is_event_stream(self) -> bool:
        """Whether the answer is an event stream, which may be quiet for longer."""

    def update_reading(self) -> None:
        """The server does not take what is written to it, or takes it again."""

    def interim(self, head: ResponseHead) -> None:
        """A 1xx has come, and the answer is still to come."""

    def withholds(self, response: ResponseHead) -> bool:
        """Whether the answer is held back for now; `release_answer` lets it go."""

    def may_stream(self, response: ResponseHead) -> bool:
        """Whether an answer may go on whose body has no length, and is not whole.

        A stream needs a place of its own. If there is none, the exchange has ended.
        """

    def respond(self, response: ResponseHead, *, with_body: bool) -> None:
        """The answer has begun.

        Its head leaves with the first bytes that are delivered.
        """

    def deliver(self, pieces: list[bytes]) -> None:
        """Bytes of the body have come.

        It is called once without any if there is no body.
        """

    def goes_on(self, body: ChunkedBody) -> None:
        """The answer is not whole with what has been delivered; `body` reads the rest of it."""

    def answered(self, trailers: list[tuple[bytes, bytes]], *, reusable: bool) -> None:
        """The answer is complete. A `reusable` connection may carry another one."""

    def switches(self, response: ResponseHead) -> bool:
        """Whether a 101 answers what was asked for."""

    def switch(self, response: ResponseHead) -> None:
        """The connection is a tunnel from here on."""

    def tunnelled(self, data: bytes) -> None:
        """Bytes have come behind the 101."""

    def tunnel_ended(self) -> None:
        """The server has closed the tunnel, or it has been quiet for too long."""

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        """No whole head has come.

        A stale connection may have ended before the request came.
        """

    def broken(self, refusal: Refusal, cause: str) -> None:
        """The answer is malformed, or it does not go on."""

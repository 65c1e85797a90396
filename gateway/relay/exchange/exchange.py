"""One request and its answer, from the decision (`deciding.py`) to the record.

The upload brings the request to an upstream, the delivery brings the answer back. Each side is
paused while the other one is full. Every exchange ends once, in `end`, and leaves one record.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.relay.access import concurrency
from gateway.relay.access.concurrency import Permit
from gateway.relay.access.decision import Forward
from gateway.relay.exchange import own_answer
from gateway.relay.exchange.buffered_upload import BufferedUpload
from gateway.relay.exchange.delivery import Delivery
from gateway.relay.exchange.event_stream import EventStream
from gateway.relay.exchange.record import record_of
from gateway.relay.exchange.request_body import drop_body
from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.exchange.upload import Upload
from gateway.relay.http1 import request_ids, websocket
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.loop import eager
from gateway.relay.outcomes import Answered

if TYPE_CHECKING:
    from gateway.relay.exchange.client_side import ClientSide
    from gateway.relay.exchange.context import Context
    from gateway.relay.upstream.server import Server

# The status in the log of a client that went away before its answer began; the number is nginx's.
_CLIENT_GONE = 499

# The reason in the log of a tunnel that was cut by a stop or a reload.
_ENDED_BY_GATEWAY = "gateway_ended"


class State(enum.Enum):
    """How far an exchange has come.

    Its upload and its delivery have states of their own.
    """

    DECIDING = enum.auto()  # whether the request passes; the store may be asked
    PASSING = enum.auto()  # it passes: an upstream is asked, unless the decision is an answer
    ENDED = enum.auto()


# As names of the module: a look-up in an Enum takes ten times as long on CPython 3.11.
DECIDING, PASSING, ENDED = State


class Exchange:
    """One request on its way: decide → pass on → answer → end.

    Defaults of what is unusual stand on the class. What each exchange sets or reads is set in
    `__init__`: CPython 3.11 gives an instance a dict of its own for a name that its class has not
    met in the first thirty instances, which costs 0.3 µs.
    """

    events: EventStream | None = None  # once the answer is a stream that passes unchanged
    logs_out = False  # its session ends with it
    has_interim = False  # the upstream has answered with a 1xx
    has_sought_token = False  # for one that the upstream refused
    stopped_at = b""  # the label of the route where the decision ended it
    unreached_server: Server | None = None

    def __init__(self, client: ClientSide, head: RequestHead, context: Context) -> None:
        self.state = DECIDING
        self.forward: Forward | None = None  # the decision: the route and the session
        self.upload: Upload | None = None  # the request on its way to an upstream
        self.suspended: eager.Suspended[Any] | None = None  # a question to the store
        self.tunnel: Tunnel | None = None  # once the protocol has been switched
        self.is_stream = False  # it holds the place of a stream, and none of a request
        self.permits: tuple[Permit, ...] = ()  # on a route that limits its requests at once
        self.status = 0
        self.reason = ""  # of a refusal or of a cut
        self.cause = ""  # what the upstream did wrong, or the setting by which the gateway refused
        self.client = client
        self.head = head
        self.context = context
        self.own_id = self.request_id = context.request_ids.new()
        if head.forwarding and client.peer.trusted:
            self.request_id = request_ids.given_id(head) or self.own_id
        self.began = time.monotonic()
        # whether the client's connection ends with this exchange
        self.close = head.close or (head.old and not head.keep_alive)

    @cached_property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""
        return self.client.peer.network(self.head)

    @property
    def delivery(self) -> Delivery | None:
        """The answer on its way back, once the request has been sent."""
        return None if self.upload is None else self.upload.delivery

    @property
    def uploading(self) -> bool:
        """Whether the body of the request is still to come."""
        return self.head.has_body if self.upload is None else self.upload.uploading

    @property
    def is_sent(self) -> bool:
        """Whether an upstream has the request, or a part of it."""
        return self.upload is not None and self.upload.upstream is not None

    @property
    def body_idle(self) -> float:
        """How long the body of the request may pause (seconds)."""
        forward = self.forward
        if forward is None:
            return self.context.settings.body_idle
        return forward.route.action.request_body_idle

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state is ENDED

    @property
    def is_endless(self) -> bool:
        """Whether it may last for days: a tunnel, or a stream of events."""
        delivery = self.delivery
        return self.tunnel is not None or (delivery is not None and delivery.is_event_stream)

    @property
    def activity(self) -> tuple[int, int]:
        """The bytes that show a live client: received from it and delivered to it."""
        return (0, 0) if self.upload is None else self.upload.activity

    # Pass on.

    def pass_on(self) -> None:
        """Send the request upstream, unless the decision is an answer itself."""
        forward = self.forward
        assert forward is not None
        if forward.answer is None:
            pool = forward.route.pool
            assert pool is not None
            upload = self.upload = Upload(self, forward, pool)
            pool.acquire(upload)
        elif isinstance(forward.answer, Refusal):
            self.fail(forward.answer)
        else:
            self.answer(forward.answer)

    def buffer_body(self) -> None:
        """Read the whole body before the request takes a connection."""
        forward = self.forward
        assert forward is not None
        pool, size = forward.route.pool, forward.route.action.buffer_request
        assert pool is not None
        assert size is not None
        upload = self.upload = BufferedUpload(self, forward, pool, size)
        upload.begin()

    def ask_for_body(self) -> None:
        """Ask the client for its body: the upstream wants it."""
        if self.upload is not None:
            self.upload.ask_for_body()

    def send_again(self, forward: Forward) -> None:
        """Send the request once more, with another token."""
        assert self.upload is not None
        self.forward = forward
        self.upload.send_again(forward)

    # Answer.

    def begin_answer(self, status: int, *, close: bool) -> None:
        """Set the status, and whether the connection ends with the answer.

        The client's connection ends if the body has not come as a whole, and with a refused upgrade
        (wire-rules.md#A13, #E9).
        """
        upload = self.upload
        self.status = status
        self.close = (
            close
            or self.close
            or (not drop_body(self.head, self.client) if upload is None else upload.uploading)
            or self.head.upgrade is not None
            or self.context.draining
        )
        if upload is not None and upload.expectation is not None:
            upload.expectation.cancel()

    def becomes_stream(self) -> bool:
        """Take a place among the streams, and give back those of a request."""
        assert self.upload is not None
        refusal = self.upload.becomes_stream()
        if refusal is not None:
            self.cause = refusal.title
            self.fail(refusal)
            return False
        self.is_stream = True
        load = self.context.load
        load.requests -= 1
        if load.shares.counts:
            load.shares.give_back(self.network, load.requests)
        return True

    def answer(self, answered: Answered) -> None:
        """Answer without the upstream."""
        if self.state is not ENDED:
            self.stopped_at = answered.route
            own_answer.answer(self, answered)
            self.end(reusable=False)

    # Fail.

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """Refuse the request: no server could be reached. `server` was tried last."""
        self.cause, self.unreached_server = cause, server
        self.fail(refusal)

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        """Send the request once more, or refuse it: no whole head has come."""
        assert self.upload is not None
        if not self.upload.goes_again(refusal, cause, is_stale=is_stale):
            self.cause = cause
            self.fail(refusal)

    def broken(self, refusal: Refusal, cause: str) -> None:
        """Refuse the request, or cut the answer: the upstream's answer is broken."""
        assert self.upload is not None
        self.upload.was_broken(refusal, cause)
        self.cause = cause
        self.fail(refusal)

    def fail(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Refuse the request, or cut the answer if it has begun."""
        if self.state is ENDED:
            return
        self.reason = refusal.reason
        self.context.refused(refusal)
        delivery = self.delivery
        if delivery is not None and delivery.has_begun:
            # A body that is not whole must not look so.
            self.client.cut(reset=delivery.ends_by_close)
        else:
            own_answer.refuse(self, refusal, fields or {})
        self.end(reusable=False)

    def client_gone(self) -> None:
        """End: the client has gone.

        The upstream's work is cancelled at once (wire-rules.md#D5). What has come of the body is
        no next request (#A12).
        """
        if self.state is ENDED:
            return
        self.close = True
        if self.tunnel is None:
            self.reason = "client_gone"
            if self.delivery is None or not self.delivery.has_begun:
                self.status = _CLIENT_GONE
        if self.suspended is not None:
            self.suspended.cancel()
        self.end(reusable=False)

    def session_ended(self) -> None:
        """End: the session has ended, and with it all that it holds open."""
        if self.tunnel is None:
            self.fail(refusals.BAD_KEY)
        elif self.state is not ENDED:
            self.reason = refusals.BAD_KEY.reason
            self.tunnel.close(websocket.POLICY_VIOLATION, "The session has ended.")
            self.end(reusable=False)

    def close_tunnel(self, status: int) -> bool:
        """End a tunnel with a close frame of this status: its worker ends.

        False if there is no tunnel, or if another frame is on its way; then it has to be cut.
        A tunnel of another protocol than WebSocket just ends.
        """
        if self.tunnel is None or not self.tunnel.close(status, "The gateway restarts."):
            return False
        self.reason = _ENDED_BY_GATEWAY
        self.end(reusable=False)
        return True

    # End.

    def end(self, *, reusable: bool) -> None:
        """The only end of an exchange: record it, give the connection back, go on."""
        if self.state is ENDED:
            return
        self.state = ENDED
        if not self.is_stream:
            # As in `becomes_stream`. Written out, since a call costs 0.1 µs.
            load = self.context.load
            load.requests -= 1
            if load.shares.counts:
                load.shares.give_back(self.network, load.requests)
        elif self.events is not None:
            self.events.leave()
            self.events = None  # it refers to this exchange: a cycle would wait for the collector
        if self.permits:
            concurrency.give_back(self.permits)
        if self.tunnel is not None:
            assert self.upload is not None
            self.upload.end_tunnel(self.tunnel)
        self.context.record(record_of(self))
        upload, self.upload = self.upload, None
        if upload is not None:
            upload.give_back(reusable=reusable)
        self.client.exchange_ended(close=self.close)

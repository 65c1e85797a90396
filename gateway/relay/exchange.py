"""One request and its answer, from the head to the record: what joins the two sides.

The client side feeds the request's body in, the upstream side the answer; each side is paused
while the other one is full. Every exchange ends once, in `_end`, and leaves one record.
"""

from __future__ import annotations

import asyncio
import enum
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe.access_record import AccessRecord
from gateway.observe.events import Event
from gateway.relay import backend_logouts, client_response, delivery, own_answers, token_retry
from gateway.relay.access.decision import Forward
from gateway.relay.delivery import Delivery
from gateway.relay.http1 import bodies, request_ids, websocket
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead
from gateway.relay.loop import eager
from gateway.relay.outcomes import Answered, Refused
from gateway.relay.tunnel import Tunnel
from gateway.relay.upload import Expectation, Upload

if TYPE_CHECKING:
    from gateway.relay.client_side import ClientSide
    from gateway.relay.context import Context
    from gateway.relay.upstream.connection import UpstreamConnection
    from gateway.relay.upstream.pool import Pool
    from gateway.relay.upstream.server import Outage, Server

# RFC 9110 §9.2.2: doing it twice is the same as doing it once.
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})

# A client that went away before its answer; nginx's number for it, seen in the log alone.
_CLIENT_GONE = 499

# Why a tunnel ended that was cut by a stop or a reload; seen in the log alone.
_ENDED_BY_GATEWAY = "gateway_ended"


class State(enum.Enum):
    """How far an exchange has come. A request that is sent once more goes back to `WAITING`."""

    DECIDING = enum.auto()  # whether the request passes; the store may have to be asked
    POSTPONED = enum.auto()  # its body has to begin before it takes a connection
    WAITING = enum.auto()  # for a connection
    SENT = enum.auto()  # over a connection: the answer's head is awaited, or it is held back
    RESPONDING = enum.auto()  # the answer's head has left
    TUNNELLING = enum.auto()  # the protocol has been switched: bytes pass in both directions
    ENDED = enum.auto()


# As names of the module they cost no look-up in the class, which takes 50 ns on CPython 3.11.
DECIDING, POSTPONED, WAITING, SENT, RESPONDING, TUNNELLING, ENDED = State


class Exchange:
    """One request on its way through the gateway.

    decide → connect → send → upload → respond → deliver → end. Defaults stand on the class: most
    exchanges need few of the unusual ones.
    """

    state = DECIDING
    forward: Forward | None = None  # the decision: by which route it passes, and as whose
    pool: Pool | None = None  # of the connections to its upstream
    upstream: UpstreamConnection | None = None
    server: Server | None = None  # at which it has, or had, a place
    asked: frozenset[Server] = frozenset()  # servers that were sent the request in vain
    tried: frozenset[Server] = frozenset()  # those, and the ones that could not be reached
    outage: Outage | None = None  # why it is dialled again for, if it is
    queued = False  # it waits in its pool, without a place
    uploading = False  # the request's body is still to come
    close = False  # the client's connection ends with this exchange
    logs_out = False  # its session ends with it
    tunnel: Tunnel | None = None
    status = 0
    _reason = ""  # why it ended otherwise than by an answer
    _cause = ""  # what the upstream did wrong, if that is why
    _unreached = b""  # the server that could not be reached, if that is why
    _suspended: eager.Suspended[Any] | None = None  # what the store is asked for
    _expectation: Expectation | None = None
    _upload: Upload | None = None
    _delivery: Delivery | None = None
    _response: ResponseHead | None = None
    _has_interim = False  # the upstream has answered with a 1xx
    _has_sought_token = False  # for a refused one, which is done once

    def __init__(self, client: ClientSide, head: RequestHead, context: Context) -> None:
        self.client = client
        self.head = head
        self.context = context
        self.own_id = self.request_id = context.request_ids.new()
        if head.forwarding and client.peer.trusted:
            self.request_id = request_ids.given_id(head) or self.own_id
        self.began = time.monotonic()
        self.close = head.close or (head.old and not head.keep_alive)
        if head.chunked or head.length:
            self.uploading = True
        if head.expects_continue:
            self._expectation = Expectation(client)

    @cached_property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""
        return self.client.peer.network(self.head)

    # The decision.

    def decide(self) -> None:
        """Decides; at once when the near cache knows the key, else when the store has answered."""
        load = self.context.load
        load.requests += 1
        if load.shares.counts:
            load.shares.take(self.network)
        coroutine = self.context.decider.decide(self.head, self.client.peer, self.own_id)
        try:
            decision = eager.begin(coroutine)
        except (Refused, Answered) as outcome:
            self._undecided(outcome)
            return
        if isinstance(decision, Forward):
            self._decided(decision)
        else:
            self._suspended = decision
            decision.then(self._decided, self._undecided)

    def _decided(self, decision: Forward) -> None:
        """The request passes; but where it logs out, its sessions end first."""
        self._suspended = None  # which knows us, and a cycle would wait for the collector
        if self.state is ENDED:
            return
        self.forward = decision
        if decision.ends:
            self._log_out(decision.ends, "backend_path", self._connect)
        else:
            self._connect()

    def _undecided(self, outcome: BaseException) -> None:
        """The request does not pass; or the client has gone."""
        self._suspended = None
        if isinstance(outcome, Refused):
            self._report(outcome.event)
            self.fail(outcome.refusal, outcome.fields)
        elif isinstance(outcome, Answered):
            self._report(outcome.event)
            self._answer(outcome)
        elif not isinstance(outcome, asyncio.CancelledError):
            self.context.log.error("the decision on a request failed", exc_info=outcome)
            self.fail(refusals.INTERNAL)

    def _report(self, event: Event | None) -> None:
        """Tells the audit log that a credential was refused."""
        if event is not None and self.state is not ENDED:
            self.context.report(self._of_request(event))

    def _of_request(self, event: Event) -> Event:
        """An event with what is known of its request."""
        address = self.client.peer.client(self.head).address
        return replace(event, address=address, request_id=self.request_id.decode("ascii"))

    # A connection for it.

    def _connect(self) -> None:
        """Asks for a connection, unless the decision is an answer itself."""
        assert self.forward is not None
        answer = self.forward.answer
        if answer is None:
            self.pool = self.forward.route.pool
            self._acquire()
        elif isinstance(answer, Refusal):
            self.fail(answer)
        else:
            self._answer(answer)

    def _acquire(self) -> None:
        assert self.pool is not None
        self.state = WAITING
        self.pool.acquire(self)

    @property
    def waits(self) -> bool:
        """Whether it waits for a connection."""
        return self.state is WAITING

    def postpones(self) -> bool:
        """Whether the body has to begin before there is a connection, which others may need.

        With an expectation the client asks whether to begin, and the upstream decides that.
        """
        if self.client.buffer or self.head.expects_continue:
            return False
        self.state = POSTPONED
        self.client.await_body(0)
        return True

    @property
    def awaits_body(self) -> bool:
        """Whether the first part of its body has to come now."""
        return self.state is POSTPONED

    def body_began(self) -> None:
        """The first part of the body is there."""
        self.client.deadline = math.inf
        self._acquire()

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice: doing it again changes nothing, and no body has gone."""
        return self.head.method in _IDEMPOTENT and not self.head.has_body

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """No server could be reached; `server` is the last one that was tried."""
        self._cause, self._unreached = cause, server.label
        self.fail(refusal)

    # The request, over that connection.

    def send(self, upstream: UpstreamConnection) -> None:
        """Sends the head, in one write with what is there of the body."""
        forward = self.forward
        assert forward is not None
        self.state = SENT
        self.upstream = upstream
        upstream.carry(self, forward.route.action.timeouts)
        if not self.uploading:
            upstream.send(forward.head)
            upstream.await_answer()
            return
        self._upload = Upload(
            self.head,
            limit=forward.route.action.body_limit,
            may_trail=self._may_trail,
            secret=client_response.hidden_token(forward),
        )
        if self._expectation is not None and not self.client.buffer:
            self._expectation.meet_after(self.context.settings.continue_, self.context.loop)
        self._send_body(self.client.take(), [forward.head])

    @property
    def takes_body(self) -> bool:
        """Whether bytes from the client are this exchange's and can be passed on now."""
        return self.upstream is not None and (self.uploading or self.tunnel is not None)

    def upload(self, data: bytes) -> None:
        """Passes bytes from the client on; those behind the body go back to the client side."""
        if self.tunnel is not None:
            self.tunnel.upload(data)
        else:
            self._send_body(data, [])

    def _send_body(self, data: bytes, out: list[bytes]) -> None:
        """Sends a part of the body, behind what is in `out`."""
        upload, upstream = self._upload, self.upstream
        assert upload is not None
        assert upstream is not None
        try:
            out += upload.frame(data)
        except Refused as refused:
            self.fail(refused.refusal)
            return
        if out:
            upstream.send(b"".join(out))
        if upload.done:
            self.uploading = False
            self.client.body_ended(upload.rest)
            upstream.await_answer()
        else:
            self.client.await_body(len(data))

    @property
    def _may_trail(self) -> Callable[[bytes], bool] | None:
        """Which trailers may pass; none where the client does not read any."""
        return self.context.may_trail if self.head.trailers else None

    def upstream_blocked(self) -> None:
        self.client.update_reading()

    def upstream_resumed(self) -> None:
        self.client.update_reading()

    # The answer.

    def interim(self, head: ResponseHead) -> None:
        """A 1xx: 100 answers an expectation, others go on to clients that know them."""
        self._has_interim = True
        if head.status == 100:
            if self._expectation is not None:
                self._expectation.meet()
        elif not self.head.old:
            assert self.forward is not None
            self.client.write(client_response.interim_head(head, self.head, self.forward))

    def respond(self, response: ResponseHead, *, with_body: bool) -> None:
        """The answer has begun: its head leaves with the first bytes of its body."""
        forward, head = self.forward, self.head
        assert forward is not None
        self.state, self.status = RESPONDING, response.status
        self._response = response
        if self._expectation is not None:
            self._expectation.cancel()
        framing, line = delivery.framing(response, with_body=with_body, old=head.old)
        self.close = self._closes or framing is delivery.CLOSE
        rendered = client_response.final_head(
            response, head, forward, request_id=self.request_id, framing=line, close=self.close
        )
        self._delivery = Delivery(self.client, rendered, framing)

    @property
    def _closes(self) -> bool:
        """Whether the client's connection ends with this answer: which it does after an answer
        before the body's end, or after a refused upgrade (wire-rules.md#A13, #E9).
        """
        return (
            self.close or self.uploading or self.head.upgrade is not None or self.context.draining
        )

    def deliver(self, pieces: list[bytes]) -> None:
        """Writes bytes of the answer's body to the client."""
        assert self._delivery is not None
        self._delivery.write(pieces)

    def answered(self, trailers: list[tuple[bytes, bytes]], *, reusable: bool) -> None:
        """The answer is complete."""
        assert self._delivery is not None
        if self._delivery.is_chunked:
            assert self.forward is not None
            secret = client_response.hidden_token(self.forward)
            self.client.write(bodies.last_chunk(trailers, self._may_trail, secret))
        self._end(reusable=reusable and not self.uploading)

    def client_blocked(self) -> None:
        """The client does not take what is written to it."""
        if self.upstream is not None:
            self.upstream.pause()

    def client_resumed(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()

    # Answers that are held back.

    def withholds(self, response: ResponseHead) -> bool:
        """Whether an answer is held back: until there is another token for the request, or until
        the session has ended by it.
        """
        forward = self.forward
        if forward is None or self.logs_out:
            return False
        if response.status == 401 and self._seeks_token(forward):
            return True
        return bool(self.head.key_cookies) and self._logs_out_by(forward, response)

    def _seeks_token(self, forward: Forward) -> bool:
        """Whether another token is sought for one that the upstream refuses."""
        is_first, self._has_sought_token = not self._has_sought_token, True
        self._suspended = token_retry.seek(
            self.context, forward, self.head, self.client.peer, self.own_id, is_first=is_first
        )
        if self._suspended is None:
            return False
        self._suspended.then(self._token_found, self._token_failed)
        return True

    def _token_found(self, forward: Forward | None) -> None:
        """Sends the request once more; without another token, lets the answer go."""
        self._suspended = None
        if self.state is ENDED or self.upstream is None:
            return
        if forward is None:
            self.upstream.release_answer()
            return
        self._give_back(reusable=False)
        self._decided(forward)

    def _token_failed(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self.context.log.error("a token cannot be renewed", exc_info=error)
            self._token_found(None)

    def _logs_out_by(self, forward: Forward, response: ResponseHead) -> bool:
        """Whether this answer logs out by a cookie in which a key came: then the sessions of all
        keys that came end first.
        """
        head = self.head
        deletions = backend_logouts.deletions(forward, head, response, self.context.cookies)
        if deletions is None:
            return False

        def release() -> None:
            head.deletions = tuple(dict.fromkeys((*deletions, *head.deletions)))
            assert self.upstream is not None
            self.upstream.release_answer()

        self._log_out(head.session_ids, "cookie", release)
        return True

    def _log_out(self, session_ids: Sequence[str], reason: str, then: Callable[[], None]) -> None:
        """Ends the sessions of a device that logs out with this request, and goes on by `then`."""

        def done() -> None:
            if self.state is not ENDED:
                self._forget_cookies()
                then()

        self.logs_out = True
        event = self._of_request(Event("logout", reason=reason))
        self.context.ender.log_out(session_ids, event, done, self.fail)

    def _forget_cookies(self) -> None:
        """The session has ended, so the answer has the browser forget the key's cookie."""
        head, forward = self.head.described or self.head, self.forward
        entry = None if forward is None else forward.entry
        self.context.cookies.forget(head, self.client.peer, entry)

    # Upgrades.

    def switches(self, response: ResponseHead) -> bool:
        """Whether this 101 is an answer to what the client asked for and the route allows."""
        return (
            self.forward is not None
            and self.forward.route.action.websocket
            and self.head.upgrade is not None
            and response.upgrade == self.head.upgrade
        )

    def switch(self, response: ResponseHead) -> None:
        """From here on both directions are bytes."""
        if self.client.buffer:
            # A client that does not wait for the 101 may mean something else (wire-rules.md#E9).
            self.fail(refusals.MALFORMED)
            return
        assert self.forward is not None
        assert self.upstream is not None
        context = self.context
        self.state, self.status, self.close = TUNNELLING, 101, True
        self.tunnel = Tunnel(
            self.client, self.upstream, context.clock, context.settings.tunnel_idle
        )
        self.client.write(client_response.upgraded_head(response, self.head, self.forward))
        self.client.update_reading()

    def tunnelled(self, data: bytes) -> None:
        """Passes bytes from the upstream on."""
        if self.tunnel is not None:
            self.tunnel.deliver(data)

    def tunnel_ended(self) -> None:
        self._end(reusable=False)

    def close_tunnel(self, status: int) -> bool:
        """Ends a tunnel because its worker ends, with a close frame of this status.

        False when this is no tunnel, or a frame is on its way: then only a cut is left.
        """
        if self.tunnel is None or not self.tunnel.close(status, "The gateway restarts."):
            return False
        self._reason = _ENDED_BY_GATEWAY
        self._end(reusable=False)
        return True

    # What moves, and whose session it is.

    @property
    def received(self) -> int:
        """How many bytes have come from the client, behind the head."""
        if self.tunnel is not None:
            return self.tunnel.received
        return 0 if self._upload is None else self._upload.size

    @property
    def delivered(self) -> int:
        """How many bytes have gone to the client, behind the head."""
        if self.tunnel is not None:
            return self.tunnel.delivered
        return 0 if self._delivery is None else self._delivery.size

    @property
    def is_event_stream(self) -> bool:
        return self._response is not None and self._response.is_event_stream

    def session_ended(self) -> None:
        """The session has ended, and with it what it holds open."""
        if self.state is ENDED:
            return
        if self.tunnel is None:
            self.fail(refusals.BAD_KEY)
            return
        self._reason = refusals.BAD_KEY.reason
        self.tunnel.close(websocket.POLICY_VIOLATION, "The session has ended.")
        self._end(reusable=False)

    # Ends.

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        """The upstream has closed, or the time is over, without a whole head of an answer.

        A request that can be repeated, of which no body was sent, goes once more: over a new
        connection where a pooled one may have been stale, else to another server
        (wire-rules.md#D6, #D8).
        """
        upstream, pool, server = self.upstream, self.pool, self.server
        assert upstream is not None
        assert pool is not None
        assert server is not None
        is_first = not self.asked
        if is_stale:
            server.was_stale(is_lost=not self.is_repeatable)
        else:
            server.failed(cause)
            self.asked |= {server}
            self.tried |= {server}
        goes_elsewhere = is_first and pool.has_other_than(self.tried)
        if not self.is_repeatable or self._has_interim or not (is_stale or goes_elsewhere):
            self._cause = cause
            self.fail(refusal)
        elif is_stale:
            self.upstream, self.state = None, WAITING
            pool.replace(self, upstream)
        else:
            self._give_back(reusable=False)
            self._acquire()

    def broken(self, refusal: Refusal, cause: str) -> None:
        """The upstream's answer failed: before its head that is a refusal, after it a cut."""
        assert self.server is not None
        if refusal is not refusals.UPSTREAM_SILENT or self.state is not RESPONDING:
            # A body that does not go on may be a stream with nothing to tell.
            self.server.failed(cause)
        self._cause = cause
        self.fail(refusal)

    def client_gone(self) -> None:
        """The client went away: the upstream's work is cancelled at once (wire-rules.md#D5)."""
        if self.state is ENDED:
            return
        if self.tunnel is None:
            self.status, self._reason = _CLIENT_GONE, "client_gone"
        if self._suspended is not None:
            self._suspended.cancel()
        self._end(reusable=False)

    def fail(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Refuses the request, or cuts the answer if it has begun."""
        if self.state is ENDED:
            return
        self._reason = refusal.reason
        self.context.refused(refusal)
        if self.state is RESPONDING or self.state is TUNNELLING:
            self._cut()
            return
        self.status = refusal.status
        self.close = self._closes or refusal.status == 400
        self.client.write(
            own_answers.refusal(
                refusal,
                self.head,
                request_id=self.request_id,
                close=self.close,
                policy=None if self.forward is None else self.forward.route.access.cors,
                fields=fields or {},
                pages=self.context.pages,
            )
        )
        self._end(reusable=False)

    def _cut(self) -> None:
        """Ends the connection so that a truncated body is not mistaken for a whole one."""
        self.client.cut(reset=self._delivery is not None and self._delivery.ends_by_close)
        self._end(reusable=False)

    def _answer(self, answered: Answered) -> None:
        """Answers without the upstream, and without a body."""
        if self.state is ENDED:
            return
        self.status, self.close = answered.status, self._closes
        self.client.write(
            own_answers.bodiless(answered, self.head, request_id=self.request_id, close=self.close)
        )
        self._end(reusable=False)

    def _end(self, *, reusable: bool) -> None:
        """The one end of every exchange: the record, the connection back, the next request."""
        if self.state is ENDED:
            return
        self.state = ENDED
        load = self.context.load
        load.requests -= 1
        if load.shares.counts:
            load.shares.give_back(self.network, load.requests)
        if self._expectation is not None:
            self._expectation.cancel()
        self._record()
        self._give_back(reusable=reusable)
        self.client.exchange_ended(close=self.close)

    def _record(self) -> None:
        """Writes the access log's record."""
        head, peer, forward = self.head, self.client.peer, self.forward
        meant = head.described or head
        self.context.record(
            AccessRecord(
                time.time(),
                peer.client(head).address.encode() if peer.trusted else peer.name,
                meant.method,
                b"" if forward is None else forward.route.label,
                meant.path,
                self.status,
                self.received,
                self.delivered,
                time.monotonic() - self.began,
                self._unreached
                if self.upstream is None or self.server is None
                else self.server.label,
                b"" if forward is None or forward.entry is None else forward.entry.label,
                self.request_id,
                self._reason,
                self._cause,
            )
        )

    def _give_back(self, *, reusable: bool) -> None:
        """Gives the connection back to the pool, or the place in its queue."""
        pool, upstream = self.pool, self.upstream
        if pool is None:
            return
        if upstream is not None:
            self.upstream = None
            pool.release(upstream, self, reusable=reusable)
        elif self.queued:
            pool.leave(self)

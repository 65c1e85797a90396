"""One request and its answer, from the head to the record: what joins the two sides.

The client side feeds the request's body in, the upstream side the answer; each side is paused
while the other one is full. Every exchange ends once, in `_end`, and leaves one record.
"""

from __future__ import annotations

import asyncio
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
from gateway.pages.refusals import RefusalPage
from gateway.relay import backend_logouts, own_answers, token_retry
from gateway.relay.access import browsers, upstream_request
from gateway.relay.access.decision import Forward
from gateway.relay.http1 import bodies, websocket
from gateway.relay.http1.bodies import ChunkedBody, SizedBody
from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.request_head import Answered, Refused, RequestHead
from gateway.relay.http1.response_head import ResponseHead
from gateway.relay.http1.websocket import Frames
from gateway.relay.loop import eager

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
_ENDED = "gateway_ended"


class Exchange:
    """One request on its way through the gateway.

    Defaults stand on the class: most exchanges need few of the unusual ones.
    """

    forward: Forward | None = None
    pool: Pool | None = None  # of the connections to its upstream
    upstream: UpstreamConnection | None = None
    server: Server | None = None  # at which it has, or had, a place
    asked: frozenset[Server] = frozenset()  # servers that were sent the request in vain
    tried: frozenset[Server] = frozenset()  # those, and the ones that could not be reached
    outage: Outage | None = None  # why it is dialled again for, if it is
    close = False  # the client's connection ends with this exchange
    responding = False  # the answer's head has left
    uploading = False  # the request's body is still to come
    tunnelling = False
    waits = False  # for an upstream connection
    queued = False  # it waits in its pool, while there is none that could be opened for it
    awaits_body = False  # whose first part has to come before that
    ended = False
    logs_out = False  # its session ends with it
    tried_again = False  # another token has been sought, which is done once
    suspended: eager.Suspended[Any] | None = None  # what the store is asked for
    status = 0
    received = 0  # bytes of the request's body
    delivered = 0  # bytes of the answer's body
    reason = ""  # why it ended otherwise than by an answer
    cause = ""  # what the upstream did wrong, if that is why
    _unreached = b""  # the server that could not be reached, if that is why
    _body: ChunkedBody | SizedBody | None = None  # of the request
    _rechunked = False  # the answer's body goes out in chunks
    _until_close = False  # the answer's body ends with the connection
    _silent = False  # the answer's body is read but not sent (205)
    _continued = False  # the client has been told to go on with the body
    _interim = False  # the upstream has spoken already
    _frames: Frames | None = None  # of the upstream's side of a tunnel
    _response: ResponseHead | None = None
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, client: ClientSide, head: RequestHead, context: Context) -> None:
        self.client = client
        self.head = head
        self.context = context
        self.own_id = self.request_id = context.names.request_id()
        if head.forwarding and client.peer.trusted:
            self.request_id = upstream_request.given_id(head) or self.own_id
        self.began = time.monotonic()
        self.close = head.close or (head.old and not head.keep_alive)
        if head.chunked:
            self.uploading, self._body = True, ChunkedBody()
        elif head.length:
            self.uploading, self._body = True, SizedBody(head.length)

    @cached_property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""
        return self.client.peer.network(self.head)

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice: doing it again changes nothing, and no body has gone."""
        return self.head.method in _IDEMPOTENT and not self.head.has_body

    # From the head to an upstream connection.

    def start(self) -> None:
        """Decides; at once when the near cache knows the key, else when the store has answered."""
        load = self.context.load
        load.requests += 1
        if load.shares.counts:
            load.shares.take(self.network)
        if self.head.path == b"*":
            self.answer(own_answers.OPTIONS)
            return
        decide = self.context.decider.decide(self.head, self.client.peer, self.own_id)
        try:
            decision = eager.begin(decide)
        except Refused as refused:
            self._refuse(refused)
            return
        except Answered as answered:
            self.answer(answered)
            return
        if isinstance(decision, Forward):
            self.go(decision)
        else:
            self.suspended = decision
            decision.then(self._decided, self._undecided)

    def _decided(self, decision: Forward) -> None:
        """The store has answered, and the request may pass."""
        self.suspended = None  # which knows us, and a cycle would wait for the collector
        if not self.ended:
            self.go(decision)

    def _undecided(self, error: BaseException) -> None:
        """The store has answered, and the request may not pass; or the client has gone."""
        self.suspended = None
        if isinstance(error, Refused):
            self._refuse(error)
        elif isinstance(error, Answered):
            self.answer(error)
        elif not isinstance(error, asyncio.CancelledError):
            self.context.log.error("the decision on a request failed", exc_info=error)
            self.fail(refusals.INTERNAL)

    def _refuse(self, refused: Refused) -> None:
        """The decision was no; a credential that was refused is told to the audit log."""
        self._tell(refused.event)
        self.fail(refused.refusal, refused.fields)

    def _tell(self, event: Event | None) -> None:
        if event is not None and not self.ended:
            self.context.report(self._of_request(event))

    def _of_request(self, event: Event) -> Event:
        """An event with what is known of its request."""
        address = self.client.peer.client(self.head).address
        return replace(event, address=address, request_id=self.request_id.decode("ascii"))

    def go(self, decision: Forward) -> None:
        """The request may pass; but where it logs out, its sessions end first."""
        self.forward = decision
        if decision.ends:
            self._log_out(decision.ends, "backend_path", self._connect)
        else:
            self._connect()

    def _connect(self) -> None:
        """Sends the request on, as soon as there is a connection for it; or answers it here."""
        assert self.forward is not None
        pool, answer = self.forward.route.pool, self.forward.answer
        self.pool = pool
        if isinstance(answer, Answered):
            self.answer(answer)
        elif isinstance(answer, Refusal):
            self.fail(answer)
        elif pool is not None:
            self.waits = True
            pool.acquire(self)

    def postpones(self) -> bool:
        """Whether the body has to begin before there is a connection, which others may need.

        With an expectation the client asks whether to begin, and the upstream decides that.
        """
        if self.client.buffer or self.head.expects_continue:
            return False
        self.awaits_body = True
        self.client.await_body(0)
        return True

    def body_began(self) -> None:
        """The first part of the body is there."""
        assert self.pool is not None
        self.awaits_body, self.client.deadline = False, math.inf
        self.pool.acquire(self)

    def begin(self, upstream: UpstreamConnection) -> None:
        """The pool's answer: the head leaves, in one write with what is there of the body."""
        forward = self.forward
        assert forward is not None
        self.waits = False
        self.upstream = upstream
        upstream.carry(self, forward.route.timeouts)
        if not self.uploading:
            upstream.send(forward.head)
            upstream.await_answer()
            return
        if self.head.expects_continue and not self.client.buffer:
            self._timer = self.context.loop.call_later(
                self.context.settings.continue_, self._ask_for_body
            )
        self._upload(self.client.take(), [forward.head])

    # The request's body.

    @property
    def takes_body(self) -> bool:
        """Whether bytes from the client are this exchange's and can be passed on now."""
        return self.upstream is not None and (self.uploading or self.tunnelling)

    def upload(self, data: bytes) -> None:
        """Passes bytes from the client on; those behind the body go back to the client side."""
        self._upload(data, [])

    def _upload(self, data: bytes, out: list[bytes]) -> None:
        upstream, forward = self.upstream, self.forward
        assert upstream is not None
        assert forward is not None
        if self.tunnelling:
            self.received += len(data)
            upstream.deadline = self.context.clock.now + self.context.settings.tunnel_idle
            upstream.send(data)
            return
        body = self._body
        assert body is not None
        try:
            pieces = body.feed(data)
        except Malformed:
            self.fail(refusals.MALFORMED)
            return
        self.received += sum(map(len, pieces))
        if self.received > forward.route.body_limit:
            self.fail(refusals.BODY_TOO_LARGE)
            return
        if self.head.chunked:
            out += bodies.chunk(pieces)
            if body.done:
                out.append(self._last_chunk(body.trailers))
        else:
            out += pieces
        if out:
            upstream.send(b"".join(out))
        if body.done:
            self.uploading = False
            self.client.body_ended(body.rest)
            upstream.await_answer()
        else:
            self.client.await_body(len(data))

    def _ask_for_body(self) -> None:
        """The upstream neither asks for the body nor answers: so we ask (RFC 9110 §10.1.1)."""
        if not (self._continued or self.responding or self.ended):
            self._continued = True
            self.client.write(upstream_request.CONTINUE)

    def upstream_blocked(self) -> None:
        self.client.update_reading()

    def upstream_resumed(self) -> None:
        self.client.update_reading()

    # The answer.

    def interim(self, head: ResponseHead) -> None:
        """A 1xx: 100 answers an expectation, others go on to clients that know them."""
        self._interim = True
        if head.status == 100:
            if not self.head.expects_continue or self._continued:
                return
            self._continued = True
            self.client.write(upstream_request.CONTINUE)
        elif not self.head.old:
            self.client.write(upstream_request.interim_head(head, *self._hidden))

    def respond(self, response: ResponseHead, *, with_body: bool) -> bytes:
        """The answer's head, ready to be written, with its framing chosen for the client."""
        self.responding = True
        self._response = response
        self.status = response.status
        if self.uploading or self.head.upgrade is not None:
            # An answer before the body's end, or a refused upgrade (wire-rules.md#A13, #E9).
            self.close = True
        framing = b""
        if response.status == 205:
            self._silent, framing = True, b"Content-Length: 0\r\n"
        elif response.length is not None:
            if response.status != 204:
                framing = b"Content-Length: %d\r\n" % response.length
        elif with_body:
            if self.head.old:
                self.close = self._until_close = True
            else:
                self._rechunked, framing = True, b"Transfer-Encoding: chunked\r\n"
        self.close = self.close or self.context.draining
        forward = self.forward
        if forward is not None:
            if forward.route.cors is not None:
                upstream_request.put_cors(response, self._cors_fields)
            if self.head.key_fields or forward.route.varies:
                self._confine(forward, response)
        return upstream_request.response_head(
            response, self.head, *self._hidden, self.request_id, framing, close=self.close
        )

    def _confine(self, forward: Forward, response: ResponseHead) -> None:
        """Tells shared caches which callers the answer is for."""
        route, entry, key_fields = forward.route, forward.entry, self.head.key_fields
        if entry is None:
            if route.varies:
                # An answer by which one browser forgets a cookie is for that one alone.
                private = bool(self.head.deletions)
                upstream_request.confine(response, route.varies, None, private=private)
        elif key_fields and not route.is_endpoint:
            upstream_request.confine(
                response, route.varies or key_fields, entry.token, private=True
            )

    def withholds(self, response: ResponseHead, rest: bytes) -> bool:
        """Whether an answer, of whose body there is `rest`, is held back: until there is another
        token for the request, or until the session has ended by it.
        """
        if self.forward is None or self.logs_out:
            return False
        if response.status == 401 and self._seeks_token(self.forward, response, rest):
            return True
        return bool(self.head.key_cookies) and self._logs_out_by(self.forward, response, rest)

    def _seeks_token(self, forward: Forward, response: ResponseHead, rest: bytes) -> bool:
        """Whether a 401 is held back until there is another token; which is done once."""
        if forward.entry is None or forward.route.is_endpoint:
            return False
        if self.tried_again or not token_retry.may_help(forward, self.head, self.context.settings):
            token_retry.refused_for_good(forward, self.context)
            return False
        self.tried_again = True
        again = token_retry.seek(self.context, forward, self.head, self.client.peer, self.own_id)
        if again is None:
            return False

        def done(forward: Forward | None) -> None:
            self.suspended = None
            if not self.ended and self.upstream is not None:
                self._repeat(forward, self.upstream, response, rest)

        def failed(error: BaseException) -> None:
            if not isinstance(error, asyncio.CancelledError):
                self.context.log.error("a token cannot be renewed", exc_info=error)
                done(None)

        self.suspended = again
        again.then(done, failed)
        return True

    def _repeat(
        self,
        forward: Forward | None,
        upstream: UpstreamConnection,
        response: ResponseHead,
        rest: bytes,
    ) -> None:
        """Sends the request once more; without another token, the answer is let go."""
        if forward is None:
            upstream.release_answer(self, response, rest)
            return
        assert self.pool is not None
        self.pool.release(upstream, self, reusable=False)
        self.upstream = None
        self.go(forward)

    def _logs_out_by(self, forward: Forward, response: ResponseHead, rest: bytes) -> bool:
        """Whether this answer logs out by a cookie in which a key came: then it is held back until
        the sessions of all keys that came have ended.
        """
        head = self.head
        deletions = backend_logouts.deletions(forward, head, response, self.context.cookies)
        if deletions is None:
            return False

        def release() -> None:
            head.deletions = tuple(dict.fromkeys((*deletions, *head.deletions)))
            assert self.upstream is not None
            self.upstream.release_answer(self, response, rest)

        self._log_out(head.session_ids, "cookie", release)
        return True

    def _log_out(self, session_ids: Sequence[str], reason: str, then: Callable[[], None]) -> None:
        """Ends the sessions of a device that logs out with this request, and goes on by `then`."""

        def done() -> None:
            if not self.ended:
                self._forget_cookies()
                then()

        self.logs_out = True
        event = self._of_request(Event("logout", reason=reason))
        self.context.ender.log_out(session_ids, event, done, self.fail)

    def deliver(self, out: list[bytes], pieces: list[bytes]) -> None:
        """Writes body bytes to the client, behind the head if it is in `out`."""
        if not self._silent:
            for piece in pieces:
                self.delivered += len(piece)
            out += bodies.chunk(pieces) if self._rechunked else pieces
        if out:
            self.client.write(b"".join(out))

    def answered(self, trailers: list[tuple[bytes, bytes]], *, reusable: bool) -> None:
        """The answer is complete."""
        if self._rechunked:
            self.client.write(self._last_chunk(trailers))
        self._end(reusable=reusable and not self.uploading)

    def _last_chunk(self, trailers: list[tuple[bytes, bytes]]) -> bytes:
        """The end of a body, of either side, with those trailers that may pass."""
        may_trail = self.context.may_trail if self.head.trailers else None
        return bodies.last_chunk(trailers, may_trail, self._hidden[0])

    def client_blocked(self) -> None:
        """The client does not take what is written to it."""
        if self.upstream is not None:
            self.upstream.pause()

    def client_resumed(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()

    # Upgrades.

    def switches(self, response: ResponseHead) -> bool:
        """Whether this 101 is an answer to what the client asked for and the route allows."""
        return (
            self.forward is not None
            and self.forward.route.websocket
            and self.head.upgrade is not None
            and response.upgrade == self.head.upgrade
        )

    def tunnel(self, response: ResponseHead) -> None:
        """From here on both directions are bytes."""
        if self.client.buffer:
            # A client that does not wait for the 101 may mean something else (wire-rules.md#E9).
            self.fail(refusals.MALFORMED)
            return
        self.responding = self.tunnelling = self.close = True
        self.status = 101
        self._frames = Frames()
        self.client.write(upstream_request.upgraded_head(response, *self._hidden))
        self.client.update_reading()

    def tunnelled(self, data: bytes) -> None:
        assert self.upstream is not None
        self.upstream.deadline = self.context.clock.now + self.context.settings.tunnel_idle
        self.delivered += len(data)
        if self._frames is not None:
            self._frames.feed(data)
        self.client.write(data)

    def tunnel_ended(self) -> None:
        self._end(reusable=False)

    # The session behind the request, as long as this is in flight.

    @property
    def is_event_stream(self) -> bool:
        return self._response is not None and self._response.is_event_stream

    def session_ended(self) -> None:
        """The session has ended, and with it what it holds open."""
        if self.ended:
            return
        if not self.tunnelling:
            self.fail(refusals.BAD_KEY)
            return
        self.reason = refusals.BAD_KEY.reason
        self._close_tunnel(websocket.POLICY_VIOLATION, "The session has ended.")

    def close_tunnel(self, status: int) -> bool:
        """Ends a tunnel because its worker ends, with a close frame of this status.

        False when this is no tunnel, or a frame is on its way: then only a cut is left.
        """
        if not self.tunnelling or self._frames is None or not self._frames.between:
            return False
        self.reason = _ENDED
        self._close_tunnel(status, "The gateway restarts.")
        return True

    def _close_tunnel(self, status: int, reason: str) -> None:
        if self._frames is not None and self._frames.between:
            self.client.write(websocket.close(status, reason))
        self._end(reusable=False)

    def _forget_cookies(self) -> None:
        """The session has ended, so the answer has the browser forget the key's cookie."""
        head, forward = self.head.described or self.head, self.forward
        entry = None if forward is None else forward.entry
        self.context.cookies.forget(head, self.client.peer, entry)

    # Ends that are no answers.

    def fail(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Refuses the request, or cuts the answer if it has begun."""
        if self.ended:
            return
        self.reason = refusal.reason
        self.context.refused(refusal)
        if self.responding:
            self._cut()
            return
        self.status = refusal.status
        self.close = (
            self.close
            or self.uploading
            or self.head.upgrade is not None
            or self.context.draining
            or refusal.status == 400
        )
        self.client.write(
            own_answers.refusal(
                refusal,
                request_id=self.request_id,
                head_only=self.head.method == b"HEAD",
                close=self.close,
                fields={**self._cors_fields, **(fields or {})},
                cookies=self._deletions,
                page=self._page(refusal),
            )
        )
        self._end(reusable=False)

    def _page(self, refusal: Refusal) -> RefusalPage | None:
        """What a person reads; None for programs."""
        if not browsers.wants_page(self.head):
            return None
        wanted = self.head.passed_list(b"accept-language") or ""
        return self.context.pages.page(refusal, wanted)

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """No server could be reached; `server` is the last one that was tried."""
        self.cause, self._unreached = cause, server.label
        self.fail(refusal)

    def broken(self, refusal: Refusal, cause: str) -> None:
        """The upstream's answer failed: before its head that is a refusal, after it a cut."""
        assert self.server is not None
        if refusal is not refusals.UPSTREAM_SILENT or not self.responding:
            # A body that does not go on may be a stream with nothing to tell.
            self.server.failed(cause)
        self.cause = cause
        self.fail(refusal)

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
        if not self.is_repeatable or self._interim or not (is_stale or goes_elsewhere):
            self.cause = cause
            self.fail(refusal)
            return
        self.upstream, self.waits = None, True
        if is_stale:
            pool.replace(self, upstream)
        else:
            pool.release(upstream, self, reusable=False)
            pool.acquire(self)

    def client_gone(self) -> None:
        """The client went away: the upstream's work is cancelled at once (wire-rules.md#D5)."""
        if self.ended:
            return
        if not self.tunnelling:
            self.status, self.reason = _CLIENT_GONE, "client_gone"
        if self.suspended is not None:
            self.suspended.cancel()
        self._end(reusable=False)

    def _cut(self) -> None:
        """Ends the connection so that a truncated body is not mistaken for a whole one."""
        self.client.cut(reset=self._until_close)
        self._end(reusable=False)

    def answer(self, answered: Answered) -> None:
        """Answers without the upstream, and without a body."""
        if self.ended:
            return
        self._tell(answered.event)
        self.status = answered.status
        self.close = (
            self.close
            or self.uploading
            or self.head.upgrade is not None  # wire-rules.md#E9: no answer here opens a tunnel
            or self.context.draining
        )
        self.client.write(
            own_answers.bodiless(
                answered, cookies=self._deletions, request_id=self.request_id, close=self.close
            )
        )
        self._end(reusable=False)

    def _end(self, *, reusable: bool) -> None:
        """The one end of every exchange: the record, the connection back, the next request."""
        if self.ended:
            return
        self.ended, self.waits = True, False
        context, upstream, server = self.context, self.upstream, self.server
        forward = self.forward
        load = context.load
        load.requests -= 1
        if load.shares.counts:
            load.shares.give_back(self.network, load.requests)
        if self._timer is not None:
            self._timer.cancel()
        head, peer = self.head, self.client.peer
        meant = head.described or head
        context.record(
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
                self._unreached if upstream is None or server is None else server.label,
                b"" if forward is None or forward.entry is None else forward.entry.label,
                self.request_id,
                self.reason,
                self.cause,
            )
        )
        if self.pool is not None and upstream is not None:
            self.pool.release(upstream, self, reusable=reusable)
        elif self.pool is not None and self.queued:
            self.pool.leave(self)
        self.client.exchange_ended(close=self.close)

    @property
    def _cors_fields(self) -> dict[str, str]:
        """What the answer says of who may read it, by the route's policy."""
        policy = None if self.forward is None else self.forward.route.cors
        return {} if policy is None else browsers.cors_fields(self.head, policy)

    @property
    def _deletions(self) -> tuple[str, ...]:
        """Set-Cookie values for cookies that the request was decided without."""
        return (self.head.described or self.head).deletions

    @property
    def _hidden(self) -> tuple[bytes | None, bytes | None]:
        """The token that an answer must not show, and the cookie that it must not set.

        The gateway's own endpoints know what they do.
        """
        forward = self.forward
        if forward is None or forward.route.in_process:
            return None, None
        entry = forward.entry
        return None if entry is None else entry.token, self.head.cookie

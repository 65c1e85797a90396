"""A connection to an upstream server, and the answers that come over it."""

from __future__ import annotations

import asyncio
import enum
import math
from typing import TYPE_CHECKING, Protocol

from gateway.core.http import refusals
from gateway.core.http.balancing import FAILURES
from gateway.observe import causes
from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.response_head import ResponseHead, ResponseReader
from gateway.relay.upstream.response_body import ResponseBody
from gateway.relay.upstream.response_heads import ResponseHeads
from gateway.relay.upstream.unread import unread

if TYPE_CHECKING:
    from gateway.core.http.refusals import Refusal
    from gateway.relay.loop.deadlines import Clock
    from gateway.relay.loop.settings import AnswerTimeouts, Settings
    from gateway.relay.loop.write_batch import WriteBatch
    from gateway.relay.upstream.response_handler import ResponseHandler


class State(enum.Enum):
    """What is read from the connection now."""

    IDLE = enum.auto()  # nothing: it carries no exchange
    HEAD = enum.auto()  # the answer's head, behind interim ones
    HELD = enum.auto()  # nothing: the answer is held back
    BODY = enum.auto()  # the answer's body
    TUNNEL = enum.auto()  # nothing: the tunnel reads it


# As names of the module: a look-up in an Enum takes ten times as long on CPython 3.11.
IDLE, HEAD, HELD, BODY, TUNNEL = State


class Owner(Protocol):
    """The server at the other end: it is told what happens to its connections."""

    @property
    def idle_timeout(self) -> float:
        """How long a connection that carries nothing is kept (seconds)."""

    def opened(self, connection: UpstreamConnection) -> None: ...

    def closed(self, connection: UpstreamConnection) -> None: ...

    def answered(self, status: int) -> None:
        """The first answer has come over a new connection."""

    def erred(self, connection: UpstreamConnection, status: int) -> None:
        """An answer with a status of failure has come."""


class UpstreamConnection(asyncio.Protocol):
    """Sends requests and reads their answers, one exchange at a time."""

    __slots__ = (
        "_body",
        "_clock",
        "_heads",
        "_held",
        "_idle_limit",
        "_owner",
        "_state",
        "_timeouts",
        "_write_batch",
        "blocked",
        "deadline",
        "exchange",
        "fresh",
        "paused",
        "stall",
        "transport",
        "usable",
    )

    _timeouts: AnswerTimeouts

    def __init__(
        self,
        owner: Owner,
        reader: ResponseReader,
        settings: Settings,
        clock: Clock,
        write_batch: WriteBatch,
    ) -> None:
        self.exchange: ResponseHandler | None = None
        self.transport: asyncio.Transport | None = None
        self.usable = False  # open: a request can be sent over it
        self.fresh = True  # has brought no answer yet, and has not been idle
        self.paused = False  # not read, since the client does not take what has come
        self.blocked = False  # the server does not take what is written
        self.stall: tuple[int, float] | None = None  # see `loop/deadlines.py`
        self.deadline = math.inf
        self._owner = owner
        self._clock = clock
        self._write_batch = write_batch
        self._state = IDLE
        self._heads = ResponseHeads(reader, settings.response_head_size)
        self._body = ResponseBody()
        self._held: tuple[ResponseHead, bytes] | None = None  # with the bytes behind it
        self._idle_limit = math.inf  # how long a started answer may be quiet (seconds)

    # What the exchange and the pool call.

    def carry(
        self, exchange: ResponseHandler, timeouts: AnswerTimeouts, *, uploading: bool = False
    ) -> None:
        """Begin an exchange: its request is sent next, and its answer comes next.

        uploading: parts of the body are still to come; while they do, the client's deadline counts
        """
        self.exchange = exchange
        self._timeouts = timeouts
        self._state = HEAD
        if self.paused:
            self.resume()
        self.deadline = math.inf if uploading else self._clock.now + timeouts.response

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self._write_batch.write(self.transport, data)

    def await_answer(self) -> None:
        """Start the time for the answer: the end of the body has been sent."""
        if self._state is HEAD:
            self.deadline = self._clock.now + self._timeouts.response

    def rest(self) -> None:
        """Be idle in the pool until the next exchange."""
        self.exchange = None
        self._state = IDLE
        if self.paused:
            self.resume()
        self.deadline = self._clock.now + self._owner.idle_timeout

    def release_answer(self) -> None:
        """Pass on the answer that was held back."""
        exchange, held = self.exchange, self._held
        assert exchange is not None
        assert held is not None
        self._held = None
        if not self.usable:
            exchange.broken(refusals.UPSTREAM_CLOSED, "closed while its answer was held back")
            return
        self._state = HEAD
        self.resume()
        try:
            self._begin_answer(exchange, *held)
        except Malformed as malformed:
            exchange.broken(refusals.UPSTREAM_BROKEN, malformed.rule)

    def abort(self) -> None:
        """End the connection at once. The last bytes of a tunnel still leave."""
        transport, state = self.transport, self._state
        self.exchange = None
        self._state = IDLE
        self.deadline = math.inf
        self.usable = False
        if transport is None:
            return
        if state is TUNNEL:
            self._write_batch.flush()
            transport.close()
        else:
            transport.abort()

    def pause(self) -> None:
        """Stop reading: the client does not take what has come."""
        if self.usable and not self.paused:
            assert self.transport is not None
            self.paused = True
            self.transport.pause_reading()
            self.deadline = math.inf

    def resume(self) -> None:
        if self.paused and self.usable:
            assert self.transport is not None
            self.paused = False
            self.transport.resume_reading()
            self.deadline = self._clock.now + self._idle_limit

    def may_be_quiet(self, seconds: float) -> None:
        """Have what has begun end after so much time without a byte, from now on."""
        self._idle_limit = seconds
        if not self.paused:
            self.deadline = self._clock.now + seconds

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.usable = True
        self._clock.upstreams.add(self)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # These bytes must not become the next request's answer (wire-rules.md#A14).
            self.abort()
            return
        state = self._state
        try:
            if state is HEAD:
                self._read_heads(exchange, data)
            elif state is BODY:
                self.deadline = self._clock.now + self._idle_limit
                self._body.feed(exchange, data)
            elif self._held is not None:
                head, held = self._held
                self._held = head, held + data
        except Malformed as malformed:
            exchange.broken(refusals.UPSTREAM_BROKEN, malformed.rule)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        self._clock.upstreams.discard(self)
        self._owner.closed(self)
        if error is not None and self._state in (HEAD, BODY) and not self.paused:
            assert self.transport is not None
            if rest := unread(self.transport):
                self.data_received(rest)
        exchange, state = self.exchange, self._state
        if state is HELD:
            return  # `release_answer` finds out
        self.exchange, self._state = None, IDLE
        how = "closed" if error is None else causes.cause(error)
        if exchange is None:
            return
        if state is BODY and error is None and self._body.ends_by_close:
            exchange.answered([], reusable=False)
        elif state is TUNNEL:
            exchange.tunnel_ended()
        elif state is HEAD:
            self._unanswered(exchange, refusals.UPSTREAM_CLOSED, how)
        else:
            exchange.broken(refusals.UPSTREAM_CLOSED, f"{how}, in the answer's body")

    def pause_writing(self) -> None:
        self.blocked = True
        if self.exchange is not None:
            self.exchange.update_reading()

    def resume_writing(self) -> None:
        self.blocked = False
        self.stall = None
        if self.exchange is not None:
            self.exchange.update_reading()

    def expire(self) -> None:
        """End what the connection is doing: its deadline has passed."""
        exchange = self.exchange
        if exchange is None:
            self.abort()
        elif self._state is TUNNEL:
            exchange.tunnel_ended()
        elif self.blocked:
            exchange.broken(refusals.UPSTREAM_SILENT, "timed out: it takes no more of the request")
        elif self._state is HEAD:
            self._unanswered(exchange, refusals.UPSTREAM_SILENT, "timed out")
        elif not self._may_stay_quiet(exchange):
            exchange.broken(refusals.UPSTREAM_SILENT, "timed out, in the answer's body")

    def _unanswered(self, exchange: ResponseHandler, refusal: Refusal, how: str) -> None:
        """Tell the exchange that no whole head has come."""
        has_begun = self._heads.has_begun
        where = "in the answer's head" if has_begun else "without a byte of an answer"
        # A pooled connection may have ended before the request came.
        is_stale = refusal is refusals.UPSTREAM_CLOSED and not (self.fresh or has_begun)
        exchange.unanswered(refusal, f"{how}, {where}", is_stale=is_stale)

    def _may_stay_quiet(self, exchange: ResponseHandler) -> bool:
        """Give a body the longer time of its kind, once. False if it has had that.

        Only an answer that would be cut now is looked at, so that others cost nothing.
        """
        timeouts = self._timeouts
        limit = timeouts.stream_idle if exchange.is_event_stream else timeouts.body_idle
        left = limit - self._idle_limit
        if left <= 0:
            return False
        self._idle_limit += left
        self.deadline = self._clock.now + left
        return True

    # How an answer is read.

    def _read_heads(self, exchange: ResponseHandler, data: bytes) -> None:
        """Read interim heads and the final one, which may come together."""
        while (found := self._heads.feed(data)) is not None:
            head, data = found
            if head.status == 101:
                self._switch(exchange, head, data)
                return
            if head.status >= 200:
                self._begin_answer(exchange, head, data)
                return
            exchange.interim(head)

    def _begin_answer(self, exchange: ResponseHandler, head: ResponseHead, data: bytes) -> None:
        if self.fresh:
            self.fresh = False
            self._owner.answered(head.status)
        concerns_key = head.status == 401 or head.set_cookies or head.clears_cookies
        if concerns_key and exchange.withholds(head):
            self.pause()
            self._state, self._held = HELD, (head, data)
            return
        if head.status in FAILURES:
            self._owner.erred(self, head.status)
        self._state = BODY
        self._idle_limit = self._timeouts.either_idle
        self.deadline = self._clock.now + self._idle_limit
        self._body.begin(exchange, head, data)

    def _switch(self, exchange: ResponseHandler, head: ResponseHead, rest: bytes) -> None:
        """Become a tunnel, if the request asked for one (RFC 9110 §15.2.2)."""
        if not exchange.switches(head):
            raise Malformed(causes.UNASKED_SWITCH)
        self._owner.answered(head.status)
        self._state = TUNNEL
        self._idle_limit = self._timeouts.tunnel_idle
        self.deadline = self._clock.now + self._idle_limit
        exchange.switch(head)
        if rest:
            exchange.tunnelled(rest)

"""What all connections of one worker share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.core.http.cors import Policy
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.security_fields import SecurityFields
from gateway.core.http.shares import Shares
from gateway.observe.access_record import AccessRecord
from gateway.observe.events import Report
from gateway.pages.refusals import RefusalPages
from gateway.relay.access.admission import Load
from gateway.relay.access.decision import Decide, DecideAgain, DecideLate
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.peer import Peer
from gateway.relay.exchange.body_buffer import BufferRoom
from gateway.relay.http1.request_ids import RequestIds
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.logouts.session_ender import SessionEnder
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import Settings
from gateway.relay.loop.write_batch import WriteBatch


@dataclass(slots=True)
class Context:
    """The rules, numbers and sinks that a request meets on its way."""

    settings: Settings
    clock: Clock
    requests: RequestReader
    decide: Decide
    decide_again: DecideAgain
    decide_late: DecideLate
    load: Load
    connections: Shares  # of clients
    request_ids: RequestIds
    record: Callable[[AccessRecord], None]  # takes the record of each request that has ended
    instance: str
    proxies: Trusted  # their forwarding fields are believed
    describing: Trusted  # they may ask the verify endpoint
    write_batch: WriteBatch
    buffer_room: BufferRoom  # for bodies of requests
    loop: asyncio.AbstractEventLoop  # asking for the running one costs a system call each time
    cookies: TrustedCookies
    ender: SessionEnder
    report: Report  # gets the events of sessions
    refused: Callable[[Refusal], None]  # is called with each refusal
    pages: RefusalPages  # what a person reads instead of JSON
    security: SecurityFields | None = None  # of answers that no route gives
    cors: Policy | None = None  # of refusals where no route was found
    sends_via: bool = True
    draining: bool = False
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("gateway.relay"))

    def peer(self, peername: Any, scheme: str = "http") -> Peer:
        """The other end of a client's connection; `peername` is the socket's."""
        return Peer(
            peername,
            instance=self.instance if self.sends_via else "",
            proxies=self.proxies,
            describing=self.describing,
            scheme=scheme,
        )

    def may_trail(self, name: bytes) -> bool:
        return self.requests.may_trail(name)

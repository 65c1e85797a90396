"""The ids of requests: X-Request-Id and traceparent."""

from __future__ import annotations

import re
from binascii import hexlify
from random import Random
from typing import TYPE_CHECKING

from gateway.core.sessions.keys import KEY_PATTERN

if TYPE_CHECKING:
    from gateway.relay.http1.request_head import RequestHead

# An id that a trusted peer has given. It goes into logs and answers, so few bytes are allowed.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")


class RequestIds:
    """Makes request ids."""

    def __init__(self, random: Random) -> None:
        """`random` is seeded by the operating system, and no secret is made of it."""
        self._bits = random.getrandbits

    def new(self) -> bytes:
        """128 random bits in hexadecimal: unique over all gateways."""
        return hexlify(self._bits(128).to_bytes(16, "big"))  # b"%032x" takes twice as long


def given_id(head: RequestHead) -> bytes | None:
    """The id that a trusted peer has given the request; None without one.

    One that holds a key is left out: a client may have written it, and logs have no keys.
    """
    for name, value in head.forwarding:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return None if KEY_PATTERN.search(value) else value
    return None


def traceparent(head: RequestHead, own_id: bytes) -> bytes:
    """The traceparent line: the caller's trace, or a new one.

    A new trace has the id of the request, so that one id finds logs and traces. It is marked as
    sampled: backends that sample "as the parent says" would otherwise record nothing (W3C Trace
    Context §3.2).

    own_id: this gateway's id of the request
    """
    if head.trace is None:
        return b"traceparent: 00-%b-%b-01\r\n" % (own_id, own_id[:16])
    return b"traceparent: 00-%b-%b-%b\r\n" % (head.trace[0], own_id[:16], head.trace[1])

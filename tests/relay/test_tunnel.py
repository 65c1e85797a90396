"""Tunnels (`gateway.relay.exchange.tunnel`)."""

import math

from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.http1 import websocket
from gateway.relay.loop.deadlines import Clock

IDLE = 5.0  # seconds
FRAME = b"\x82\x03abc"  # binary, unmasked: as a server sends it


class Side:
    """One end of a tunnel."""

    def __init__(self) -> None:
        self.written = b""
        self.deadline = math.inf

    def write(self, data: bytes) -> None:
        self.written += data

    send = write


def tunnel() -> tuple[Tunnel, Side, Side]:
    """A tunnel, its client and its upstream."""
    client, upstream = Side(), Side()
    clock = Clock((), 1.0, 0.0)
    clock.now = 100.0
    return Tunnel(client, upstream, clock, IDLE), client, upstream  # type: ignore[arg-type]


def test_bytes_pass_as_they_are_and_put_the_end_off() -> None:
    """In both directions."""
    line, client, upstream = tunnel()
    line.upload(b"\x00anything")
    assert (upstream.written, upstream.deadline) == (b"\x00anything", 100.0 + IDLE)
    upstream.deadline = math.inf
    line.deliver(FRAME)
    assert (client.written, upstream.deadline) == (FRAME, 100.0 + IDLE)


def test_a_close_frame_is_put_between_two_frames() -> None:
    """Within one it would be part of its payload."""
    line, client, _ = tunnel()
    line.deliver(FRAME[:-1])
    assert not line.close(websocket.GOING_AWAY, "bye")
    line.deliver(FRAME[-1:])
    assert line.close(websocket.GOING_AWAY, "bye")
    assert client.written == FRAME + websocket.close(websocket.GOING_AWAY, "bye")

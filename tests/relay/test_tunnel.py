"""Tunnels (`gateway.relay.exchange.tunnel`)."""

import asyncio
import gc
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.http1 import websocket
from gateway.relay.loop.deadlines import Clock

IDLE = 50.0  # seconds
NOW = 100.0
FRAME = b"\x82\x03abc"  # binary, unmasked: as a server sends it


class Connection(asyncio.Protocol):
    """A connection of the gateway, which notes what its tunnel hands on to it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


class Sides(SimpleNamespace):
    """A tunnel, the protocols of its connections, and the sockets of the peers."""

    tunnel: Tunnel
    connections: list[Connection]
    upstream: Any  # with the deadline
    client: socket.socket
    server: socket.socket


@asynccontextmanager
async def opened(protocol: bytes = b"websocket") -> AsyncIterator[Sides]:
    loop = asyncio.get_running_loop()
    clock = Clock((), 1.0, 0.0)
    clock.now = NOW
    connections, transports, peers = [Connection(), Connection()], [], []
    for connection in connections:
        ours, peer = socket.socketpair()
        peer.settimeout(20)
        peers.append(peer)
        transport, _ = await loop.create_connection(lambda made=connection: made, sock=ours)  # type: ignore[misc]
        transports.append(transport)
    client: Any = SimpleNamespace(transport=transports[0])
    upstream: Any = SimpleNamespace(transport=transports[1], deadline=math.inf, quiet=[])
    upstream.may_be_quiet = upstream.quiet.append
    tunnel = Tunnel(client, upstream, clock, idle_timeout=IDLE, protocol=protocol)
    yield Sides(
        tunnel=tunnel,
        connections=connections,
        upstream=upstream,
        client=peers[0],
        server=peers[1],
    )
    for transport in transports:
        transport.abort()
    for peer in peers:
        peer.close()


async def read(sock: socket.socket) -> bytes:
    return await asyncio.to_thread(sock.recv, 65536)


async def test_bytes_pass_as_they_are_and_put_the_end_off() -> None:
    """In both directions. They are counted, for the log."""
    async with opened() as sides:
        sides.client.sendall(b"\x00anything")
        assert await read(sides.server) == b"\x00anything"
        assert sides.upstream.deadline == NOW + IDLE
        sides.upstream.deadline = math.inf
        sides.server.sendall(FRAME)
        assert await read(sides.client) == FRAME
        assert sides.upstream.deadline == NOW + IDLE
        assert sides.tunnel.sizes == (9, 5)


async def test_a_close_frame_is_put_between_two_frames() -> None:
    """Within one it would be part of its payload."""
    async with opened() as sides:
        sides.tunnel.deliver(FRAME[:-1])
        assert not sides.tunnel.close(websocket.GOING_AWAY, "bye")
        sides.tunnel.deliver(FRAME[-1:])
        assert sides.tunnel.close(websocket.GOING_AWAY, "bye")
        await asyncio.sleep(0)
        assert await read(sides.client) == FRAME + websocket.close(websocket.GOING_AWAY, "bye")


async def test_no_frame_follows_a_close_frame() -> None:
    """RFC 6455 §5.5.1. Nor is one put into another protocol."""
    for protocol, sent in ((b"websocket", b"\x88\x00"), (b"tcp", FRAME[:-1])):
        async with opened(protocol) as sides:
            sides.tunnel.deliver(sent)
            assert sides.tunnel.close(websocket.GOING_AWAY, "bye")
            await asyncio.sleep(0)
            assert await read(sides.client) == sent


async def test_no_frame_follows_the_end_of_the_upstream() -> None:
    """The client has been told the end already, and can get nothing more."""
    async with opened() as sides:
        sides.server.shutdown(socket.SHUT_WR)
        assert await read(sides.client) == b""
        assert sides.tunnel.close(websocket.GOING_AWAY, "bye")


async def test_one_direction_may_end_before_the_other() -> None:
    """The end is passed on. The other direction may be silent for as long as before: what a command
    in a container writes may take longer than its input (docker-java issue 723).
    """
    async with opened(b"tcp") as sides:
        sides.client.sendall(b"last")
        sides.client.shutdown(socket.SHUT_WR)
        assert await read(sides.server) == b"last"
        assert await read(sides.server) == b""
        assert sides.upstream.quiet == [IDLE]
        sides.server.sendall(b"answer")
        assert await read(sides.client) == b"answer"
        assert sides.connections[0].calls == sides.connections[1].calls == []
        sides.server.close()
        await asyncio.sleep(0.05)
        assert "lost" in sides.connections[1].calls


async def test_connections_get_their_own_protocols_back() -> None:
    async with opened() as sides:
        sides.tunnel.end()
        sides.client.close()
        await asyncio.sleep(0.05)
        assert "lost" in sides.connections[0].calls


async def test_an_ended_tunnel_leaves_nothing() -> None:
    """Not for the garbage collector either."""
    gc.collect()
    gc.disable()
    try:
        async with opened() as sides:
            sides.tunnel.end()
            assert isinstance(sides.tunnel._client_end.reader.get_protocol(), Connection)
        del sides
        assert not [left for left in gc.get_objects() if type(left) is Tunnel]
    finally:
        gc.enable()

"""Opens connections to the servers of upstreams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohappyeyeballs

from gateway.core.http.addresses import ServerUrl
from gateway.relay.upstream.server import Connect

if TYPE_CHECKING:
    from gateway.outbound.called_servers import ServerAddress
    from gateway.relay.upstream.connection import UpstreamConnection

# Another address of a name is tried beside the one before after so long (RFC 8305 §5).
_ATTEMPT_SECONDS = 0.25


def connects_to(server: ServerAddress) -> Connect:
    """A function that opens connections to one server.

    Without an address, each connection looks the name up, and tries all that it has.
    """
    url, address = server.url, server.address
    server.tls()  # made now: it reads files, which a request need not wait for

    async def connect(factory: Callable[[], UpstreamConnection]) -> object:
        loop = asyncio.get_running_loop()
        if url.scheme == "unix":
            return await loop.create_unix_connection(factory, url.path)
        ssl, server_name = server.tls()
        if address or not url.has_name:
            return await loop.create_connection(
                factory, address or url.host, url.port, ssl=ssl, server_hostname=server_name
            )
        connected = await _connected(url)
        try:
            return await loop.create_connection(
                factory, sock=connected, ssl=ssl, server_hostname=server_name
            )
        except BaseException:
            connected.close()
            raise

    return connect


async def _connected(url: ServerUrl) -> socket.socket:
    """A socket that is connected to one of the name's addresses (RFC 8305)."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is too long
        raise socket.gaierror(socket.EAI_NONAME, "it is no name") from None
    return await aiohappyeyeballs.start_connection(
        found, happy_eyeballs_delay=_ATTEMPT_SECONDS, interleave=1, loop=loop
    )

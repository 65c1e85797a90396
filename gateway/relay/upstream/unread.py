"""The end of an answer that a broken connection has left in its socket."""

from __future__ import annotations

import asyncio
import os

# A server that refuses an upload answers shortly.
_MAX_BYTES = 256 * 1024


def unread(transport: asyncio.Transport) -> bytes:
    """What the server sent before the connection broke; empty over TLS.

    A server that answers and closes within an upload sends a reset. That ends a write before the
    answer, which stands in the socket, has been read (wire-rules.md#A13).
    """
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return b""
    try:
        return os.read(sock.fileno(), _MAX_BYTES)
    except OSError:  # nothing has come
        return b""

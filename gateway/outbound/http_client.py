"""The HTTP client for calls that the gateway makes itself.

It sends no field of its own, keeps no cookie, and takes nothing from the environment. No call
follows a redirect: it would carry a password or a code to a place that config.yaml does not name.
"""

from __future__ import annotations

import aiohttp

# aiohttp's own limit for a line of a head and for a field (bytes).
_MAX_HEAD_BYTES = 8190

_PIECE_BYTES = 65536


class BodyTooLarge(ValueError):
    """The body of an answer is larger than the caller reads."""


def open_client(
    connector: aiohttp.BaseConnector | None = None,
    *,
    accept: str = "",
    connect_timeout: float | None = None,
    max_head_bytes: int = _MAX_HEAD_BYTES,
) -> aiohttp.ClientSession:
    """Open a client. The caller closes it, and bounds each call in time.

    connector: how connections are made; by default, kept ones over TCP
    accept: the media types to ask for; "" sends no Accept
    connect_timeout: for one address of a server (seconds)
    max_head_bytes: of a line of an answer's head, and of a field in it
    """
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": accept} if accept else None,
        skip_auto_headers=("User-Agent", "Accept"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        trust_env=False,
        max_line_size=max_head_bytes,
        max_field_size=max_head_bytes,
    )


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The decoded body, at most `max_bytes` long. Raises `BodyTooLarge`."""
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        body += piece
        if len(body) > max_bytes:
            raise BodyTooLarge
    return bytes(body)

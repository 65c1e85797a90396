"""A gateway as written in an afternoon: aiohttp in, Redis, aiohttp out.

It has all that helps it: uvloop, hiredis, a pool of upstream connections without a limit, and no
work for a request beyond the swap.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import uvloop
from aiohttp import ClientResponse, ClientSession, DummyCookieJar, TCPConnector, hdrs, web
from redis.asyncio import Redis
from yarl import URL

_HOP_BY_HOP = (
    hdrs.CONNECTION,
    hdrs.KEEP_ALIVE,
    hdrs.PROXY_AUTHENTICATE,
    hdrs.PROXY_AUTHORIZATION,
    hdrs.TE,
    hdrs.TRAILER,
    hdrs.TRANSFER_ENCODING,
    hdrs.UPGRADE,
)
_PIECE = 256 * 1024  # bytes read from the upstream at a time
_SCHEME = "Bearer "


class Naive:
    """One look-up and one upstream request for each request."""

    def __init__(self, upstream: str, store: Redis, client: ClientSession) -> None:
        self._upstream = upstream
        self._store = store
        self._client = client

    async def handle(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        token = await self._store.get("peer:" + given.removeprefix(_SCHEME))
        if not isinstance(token, str):
            return web.Response(status=401)
        headers = request.headers.copy()
        for name in _HOP_BY_HOP:
            headers.popall(name, None)
        headers[hdrs.AUTHORIZATION] = f"{_SCHEME}{token}"
        headers[hdrs.X_FORWARDED_FOR] = request.remote or ""
        headers[hdrs.X_FORWARDED_PROTO] = request.scheme
        headers[hdrs.X_FORWARDED_HOST] = request.host
        async with self._client.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as answer:
            return await _relay(request, answer)


async def _relay(request: web.Request, answer: ClientResponse) -> web.StreamResponse:
    headers = answer.headers.copy()
    for name in _HOP_BY_HOP:
        headers.popall(name, None)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for piece in answer.content.iter_chunked(_PIECE):
        await response.write(piece)
    await response.write_eof()
    return response


async def _application(upstream: str, redis_socket: str) -> web.Application:
    store = Redis(unix_socket_path=redis_socket, decode_responses=True)
    client = ClientSession(
        connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar(), auto_decompress=False
    )
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", Naive(upstream, store, client).handle)
    return application


def main() -> None:
    """Serve until SIGTERM, with the settings of a JSON file."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(filename=settings["access_log"], level=logging.INFO, format="%(message)s")
    loop = uvloop.new_event_loop()
    web.run_app(
        _application(settings["upstream"], settings["redis_socket"]),
        host="127.0.0.1",
        port=settings["port"],
        loop=loop,
        print=None,
    )


if __name__ == "__main__":
    main()

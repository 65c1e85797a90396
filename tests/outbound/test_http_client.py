"""The client of the gateway's own calls (`gateway.outbound.http_client`)."""

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.outbound.http_client import BodyTooLarge, open_client, read_body
from tests.support.endpoints import Backend, backend


@pytest.fixture
async def server() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


async def test_it_sends_what_it_is_told_and_no_more(server: Backend) -> None:
    """No field of its own says which software asks; no cookie comes back to its server."""
    server.answer = web.Response(headers={"Set-Cookie": "seen=1; Path=/"})
    async with open_client() as plain, open_client(accept="application/json") as asking:
        for client in (plain, plain, asking):
            await client.get(server.url)
    sent = [set(asked.headers) - {"Host", "Accept-Encoding"} for asked in server.asked]
    assert sent == [set(), set(), {"Accept"}]
    assert server.last.headers["Accept"] == "application/json"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_body_is_read_up_to_a_limit(server: Backend, coding: str) -> None:
    """It is counted as it is decoded: a small body may unpack to a large one."""
    body = b" " * 1_000_000
    packed = gzip.compress(body) if coding == "gzip" else body
    server.answer = web.Response(body=packed, headers={"Content-Encoding": coding})
    async with open_client() as client:
        async with client.get(server.url) as response:
            assert await read_body(response, len(body)) == body
        async with client.get(server.url) as response:
            with pytest.raises(BodyTooLarge):
                await read_body(response, len(body) - 1)

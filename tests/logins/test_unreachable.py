"""A backend that is away, slow, broken, or several, or on another kind of socket."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.conftest import token_of
from tests.support.endpoints import BODY, answer, backend, count, world
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.tls import self_signed

LOGIN = {"kind": "backend", "path": "/login", "upstream": "accounts"}


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(speak: Speak) -> AsyncIterator[str]:
    """A server that says what a test wants, HTTP or not."""

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def saying(data: bytes) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(BODY))
        writer.write(data)
        await writer.drain()

    return speak


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def refusal(redis: RedisServer, url: str | list[str], **login: object) -> tuple[int, str]:
    """How the gateway answers for a backend at this address; nothing is issued."""
    changes = {"upstreams": {"accounts": {"servers": url}}, "login": {**LOGIN, **login}}
    async with world(redis.url, timeouts={"connect": 0.2}, **changes) as place:
        status, _, body = await place.ask("POST", "/login", BODY)
        assert await count(place) == 0
        return status, json.loads(body)["reason"]


async def test_a_backend_that_is_away(redis: RedisServer) -> None:
    """An only server is waited for first; several ones are down."""
    away, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    assert await refusal(redis, away) == (502, "upstream_unreachable")
    assert await refusal(redis, [away, other]) == (503, "upstream_down")


async def test_a_silent_backend_is_a_504(redis: RedisServer) -> None:
    """The login's own timeout ends the wait."""
    async with raw_server(silent) as url:
        assert await refusal(redis, url, timeout=0.3) == (504, "upstream_timeout")


async def test_a_backend_that_trickles_is_a_504(redis: RedisServer) -> None:
    """The timeout is for the whole reply, not for each byte of it."""

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(trickle) as url:
        assert await refusal(redis, url, timeout=0.5) == (504, "upstream_timeout")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "upstream_closed"),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", "upstream_invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "upstream_invalid"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "upstream_invalid"),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n", "upstream_invalid"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"X-Token: %b\r\n\r\n" % token_of("alice").encode(),
            "upstream_invalid",
        ),
    ],
    ids=["closes", "no HTTP", "cut short", "a bad chunk", "an endless field", "another protocol"],
)
async def test_a_broken_reply_is_a_502(redis: RedisServer, data: bytes, reason: str) -> None:
    """What is no whole HTTP reply hands nothing out."""
    async with raw_server(saying(data)) as url:
        assert await refusal(redis, url) == (502, reason)


async def test_another_server_is_asked_when_one_cannot_be_reached(redis: RedisServer) -> None:
    """Nothing has been sent to the first, so the login is not sent twice."""
    async with backend() as server:
        server.answer = answer({"token": token_of("alice")})
        servers = [f"http://127.0.0.1:{free_port()}", server.url]
        async with world(redis.url, upstreams={"accounts": {"servers": servers}}) as place:
            for _ in range(4):
                assert (await place.ask("POST", "/login", BODY))[0] == 200
        assert len(server.asked) == 4


@pytest.mark.parametrize("several", [False, True], ids=["one server", "several, with try_for"])
async def test_a_backend_that_restarts(redis: RedisServer, *, several: bool) -> None:
    """A login waits while no server can be reached: nothing of it has been sent."""
    port = free_port()
    upstream: dict[str, object] = {"servers": [f"http://127.0.0.1:{port}"]}
    if several:
        other = f"http://127.0.0.1:{free_port()}"
        upstream = {"servers": [other, f"http://127.0.0.1:{port}"], "try_for": "20s"}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"token": token_of("alice")}).encode()
        fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        await saying(b"HTTP/1.1 200 OK\r\n" + fields + body)(reader, writer)
        writer.close()

    async with world(redis.url, upstreams={"accounts": upstream}) as place:
        login = asyncio.create_task(place.ask("POST", "/login", BODY))
        await asyncio.sleep(0.3)
        assert not login.done()
        async with await asyncio.start_server(serve, "127.0.0.1", port):
            assert (await login)[0] == 200


async def test_a_login_need_not_wait(redis: RedisServer) -> None:
    """With `try_for: 0s`, as any other request."""
    away = {"servers": f"http://127.0.0.1:{free_port()}", "try_for": "0s"}
    async with world(redis.url, upstreams={"accounts": away}) as place:
        began = asyncio.get_running_loop().time()
        assert (await place.ask("POST", "/login", BODY))[0] == 502
        assert asyncio.get_running_loop().time() - began < place.config.timeouts.connect


async def test_servers_take_turns(redis: RedisServer) -> None:
    """Logins are spread over the servers of an upstream."""
    async with backend() as one, backend() as two:
        one.answer = two.answer = answer({"token": token_of("alice")})
        servers = [one.url, two.url]
        async with world(redis.url, upstreams={"accounts": {"servers": servers}}) as place:
            for _ in range(4):
                await place.ask("POST", "/login", BODY)
        assert (len(one.asked), len(two.asked)) == (2, 2)


@pytest.mark.parametrize(
    "speak",
    [saying(b""), saying(b"no HTTP\r\n\r\n"), silent],
    ids=["closes", "no HTTP", "says nothing"],
)
async def test_a_server_that_fails_is_passed_over(redis: RedisServer, speak: Speak) -> None:
    """wire-rules.md#D8: one login is lost to it, and the next ones go to the other server."""
    async with backend() as good, raw_server(speak) as bad:
        good.answer = answer({"token": token_of("alice")})
        upstreams = {"accounts": {"servers": [good.url, bad]}}
        async with world(redis.url, upstreams=upstreams, login={**LOGIN, "timeout": 0.3}) as place:
            statuses = [(await place.ask("POST", "/login", BODY))[0] for _ in range(8)]
    assert statuses.count(200) >= 7


async def test_a_login_that_was_sent_is_not_sent_again(redis: RedisServer) -> None:
    """A server that closes after it got the login may have acted on it."""
    async with backend() as second, raw_server(saying(b"")) as first:
        second.answer = answer({"token": token_of("alice")})
        upstreams = {"accounts": {"servers": [first, second.url]}}
        async with world(redis.url, upstreams=upstreams) as place:
            assert (await place.ask("POST", "/login", BODY))[0] == 502
        assert second.asked == []


async def test_a_backend_on_a_unix_socket(redis: RedisServer, tmp_path: Path) -> None:
    """`unix:/path` names a server as well as an address does."""
    path = tmp_path / "backend.sock"

    async def visit(request: web.BaseRequest) -> web.Response:
        return answer({"token": token_of("alice"), "host": request.headers["Host"]})

    runner = web.ServerRunner(web.Server(visit))
    await runner.setup()
    await web.UnixSite(runner, path).start()
    try:
        upstreams = {"accounts": {"servers": [f"unix:{path}"], "host": "upstream"}}
        async with world(redis.url, upstreams=upstreams) as place:
            status, _, body = await place.ask("POST", "/login", BODY)
            assert (status, json.loads(body)["host"]) == (200, "localhost")
    finally:
        await runner.cleanup()


async def test_a_backend_over_tls_is_checked(redis: RedisServer, tmp_path: Path) -> None:
    """A certificate of an unknown authority is refused; `ca_file` names its authority."""
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with backend(ssl_context=context) as server:
        server.answer = answer({"token": token_of("alice")})
        for tls, expected in (
            ({}, 502),
            ({"ca_file": str(certificate)}, 200),
            ({"verify": False}, 200),
        ):
            upstreams = {"accounts": {"servers": [server.url], "tls": tls}}
            async with world(redis.url, upstreams=upstreams) as place:
                assert (await place.ask("POST", "/login", BODY))[0] == expected

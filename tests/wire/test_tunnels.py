"""wire-rules.md#B13, #E9: what a route upgrades to, and how its tunnels end."""

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.processes import HANG, resident_bytes
from tests.support.raw import OK, Client, Upstream, Visit, ask, fields_by_name, status
from tests.support.serving import serving

_LOGOUT = b"POST /logout HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer %b\r\n\r\n"


_CLOSE = aiohttp.WSMsgType.CLOSE


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Sends messages back, compressed, until it is asked to close."""
    server = web.WebSocketResponse(compress=True, max_msg_size=0)
    await server.prepare(request)
    assert server.compress
    async for message in server:
        if message.type is aiohttp.WSMsgType.TEXT:
            await server.close(code=4321, message=b"as asked")
        else:
            await server.send_bytes(message.data)
    return server


@pytest.fixture(scope="module")
def chat_server() -> Iterator[str]:
    application = web.Application()
    application.router.add_get("/chat/x", chat)
    with serving(application) as url:
        yield url


@pytest.fixture(scope="module")
def tunnels(
    start: Start, upstream: Upstream, login_upstream: Upstream, chat_server: str
) -> Gateway:
    login_upstream.clear(accounts)
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url, "chat": chat_server},
        login=LOGIN,
        routes=[
            {"path": "/chat/*", "upstream": "chat", "auth": "public", "websocket": True},
            {"path": "/ws/*", "upstream": "shop", "auth": "public", "websocket": True},
            {"path": "/tcp/*", "upstream": "shop", "auth": "public"}
            | {"upgrade": ["websocket", "TCP", "SPDY/3.1"]},
            {"path": "/mine/*", "upstream": "shop", "upgrade": ["websocket", "tcp"]},
            {"path": "/plain/*", "upstream": "shop", "auth": "public"},
            {"path": "/exec/*", "upstream": "shop", "auth": "public"}
            | {"upgrade": ["websocket", "tcp"], "buffer_request": 1000},
            {"path": "/shaped/*", "upstream": "shop", "auth": "public", "websocket": True}
            | {"response_headers": {"set": {"X-Set": "yes"}, "remove": ["X-Powered-By"]}}
            | {"security_headers": True, "strip_prefix": "/shaped"},
        ],
    )


def upgrade(path: str, protocol: str, *fields: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: a.example", "Connection: Upgrade", *fields)
    return "\r\n".join((*lines, f"Upgrade: {protocol}", "", "")).encode()


def switched(protocol: bytes) -> bytes:
    return b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol


def echo(protocol: bytes) -> Callable[[Visit], None]:
    """A server that switches, and sends back what comes until it ends."""

    def answer(visit: Visit) -> None:
        visit.head()
        visit.send(switched(protocol))
        while piece := visit.read():
            visit.send(piece)
        visit.send(b"bye")
        visit.finish()

    return answer


@pytest.mark.parametrize("protocol", ["tcp", "Tcp", "spdy/3.1", "websocket"])
def test_a_route_upgrades_to_the_protocols_that_it_names(
    tunnels: Gateway, shop: Upstream, protocol: str
) -> None:
    """wire-rules.md#B13: whatever their case. The bytes of both directions pass as they are."""
    shop.clear(echo(protocol.upper().encode()))
    with Client(tunnels.port) as client:
        client.send(upgrade("/tcp/x", protocol))
        assert f"\r\nUpgrade: {protocol.lower()}\r\n".encode() in client.head()
        assert f"\r\nUpgrade: {protocol.lower()}\r\n".encode() in shop.got
        for data in (b"GET /plain/ HTTP/1.1\r\n\r\n", b"\x00\xff" * 5000):
            client.send(data)
            assert client.exactly(len(data)) == data


def test_the_log_says_how_long_a_101_took(tunnels: Gateway, shop: Upstream) -> None:
    shop.clear(echo(b"websocket"))
    with Client(tunnels.port) as client:
        client.send(upgrade("/ws/logged", "websocket"))
        assert status(client.head()) == 101
    [record] = tunnels.records(path="/ws/logged", status=101)
    assert 0 < record["upstream_us"] < record["duration_us"]


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/plain/", "websocket"),
        ("/plain/", "tcp"),
        ("/ws/", "tcp"),
        ("/tcp/", "h2c"),
        ("/tcp/", "h2c, http/2"),
        ("/ws/", "tcp, h2c"),
        ("/tcp/", "spdy/3"),
        ("/tcp/", "tls/1.0"),
    ],
)
def test_another_upgrade_is_dropped(
    tunnels: Gateway, shop: Upstream, path: str, protocol: str
) -> None:
    """wire-rules.md#B13: above all `h2c`, whose requests would pass all rules by."""
    shop.clear(echo(protocol.encode()))
    settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    with Client(tunnels.port) as client:
        client.send(upgrade(path, protocol, settings))
        assert client.answer()[0] == 502  # the server switches without being asked to
    assert b"\r\nupgrade" not in shop.got.lower()


@pytest.mark.parametrize(
    ("path", "wanted", "chosen"),
    [
        ("/tcp/", "h2c, tcp, websocket", b"tcp"),
        ("/tcp/", "websocket\r\nUpgrade: tcp", b"websocket"),
        ("/ws/", "tcp, WebSocket", b"websocket"),
    ],
)
def test_of_several_upgrades_the_first_that_is_allowed_passes(
    tunnels: Gateway, shop: Upstream, path: str, wanted: str, chosen: bytes
) -> None:
    """wire-rules.md#B13, RFC 9110 §7.8: the upstream hears of no other one."""
    shop.clear(echo(chosen))
    with Client(tunnels.port) as client:
        client.send(upgrade(path, wanted))
        assert b"\r\nUpgrade: %b\r\n" % chosen in client.head()
    assert re.findall(rb"(?i)\r\nupgrade: ([^\r]*)", shop.got) == [chosen]


@pytest.mark.parametrize(
    "answer",
    [
        switched(b"websocket"),
        switched(b"h2c"),
        switched(b"tcp, h2c"),
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)
def test_a_switch_to_what_was_not_asked_for_is_502(
    tunnels: Gateway, shop: Upstream, answer: bytes
) -> None:
    """wire-rules.md#E9: another protocol, or none; no byte passes in either direction."""

    def switches(visit: Visit) -> None:
        visit.head()
        visit.send(answer + b"secret")
        visit.read()

    shop.clear(switches)
    with Client(tunnels.port) as client:
        client.send(upgrade("/tcp/x", "tcp"))
        answered = client.rest()
    assert status(answered) == 502
    assert b"secret" not in answered


def test_a_switch_is_shaped_as_any_answer(tunnels: Gateway, shop: Upstream) -> None:
    """By `response_headers`, `security_headers` and the paths of cookies; and it stays a switch."""
    fields = b"X-Powered-By: x\r\nX-Kept: 1\r\nSet-Cookie: a=b; Path=/chat\r\n"

    def switches(visit: Visit) -> None:
        visit.head()
        visit.send(switched(b"websocket")[:-2] + fields + b"\r\nhello")

    shop.clear(switches)
    with Client(tunnels.port) as client:
        client.send(upgrade("/shaped/x", "websocket"))
        head = client.head()
        assert client.exactly(5) == b"hello"
    found = fields_by_name(head)
    assert head.startswith(b"HTTP/1.1 101 Switching\r\n")
    assert (found["Connection"], found["Upgrade"]) == ("Upgrade", "websocket")
    assert (found["X-Set"], found["X-Kept"]) == ("yes", "1")
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Set-Cookie"] == "a=b; Path=/shaped/chat"
    assert "X-Powered-By" not in found


def test_an_ordinary_answer_to_an_upgrade_opens_no_tunnel(tunnels: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E9: it passes as usual, and then the connection closes."""
    with Client(tunnels.port) as client:
        client.send(upgrade("/tcp/x", "tcp") + b"GET /plain/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
        answer = client.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"\r\n\r\nok")
    assert b"GET /plain/" not in shop.got


def test_early_bytes_reach_no_server(tunnels: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E9: nor does a request with a body open a tunnel."""
    shop.clear(echo(b"tcp"))
    assert status(ask(tunnels.port, upgrade("/tcp/x", "tcp") + b"early")) == 400
    assert b"early" not in shop.got
    assert status(ask(tunnels.port, upgrade("/tcp/x", "tcp", "Content-Length: 2") + b"hi")) == 400


def test_a_body_that_is_read_first_may_come_with_an_upgrade(
    tunnels: Gateway, shop: Upstream
) -> None:
    """As of `docker exec`. One to WebSocket has none (RFC 6455 §4.1)."""

    def execute(visit: Visit) -> None:
        visit.request()
        visit.send(switched(b"tcp") + b"$ ")
        while piece := visit.read():
            visit.send(piece)

    shop.clear(execute)
    with Client(tunnels.port) as client:
        client.send(upgrade("/exec/x", "tcp", "Transfer-Encoding: chunked") + b"2\r\nhi\r\n")
        client.send(b"0\r\n\r\n")
        assert status(client.head()) == 101
        assert client.exactly(2) == b"$ "
        assert shop.got.endswith(b"\r\n\r\nhi")
        client.send(b"ls" * 2**20)  # more than the buffers on the way hold
        assert client.exactly(2**21) == b"ls" * 2**20
    bad = upgrade("/exec/x", "websocket", "Content-Length: 2") + b"hi"
    assert status(ask(tunnels.port, bad)) == 400


def test_a_switch_before_the_end_of_the_body_is_502(tunnels: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E9: the rest of the body would be read as bytes of the tunnel."""

    def hasty(visit: Visit) -> None:
        visit.head()
        visit.send(switched(b"tcp"))
        time.sleep(0.3)

    shop.clear(hasty)
    size = 16 * 2**20  # more than the buffers on the way hold
    with Client(tunnels.port) as client:
        client.send(upgrade("/exec/x", "tcp", f"Content-Length: {size}") + bytes(size))
        assert status(client.head()) == 502


@pytest.mark.parametrize("protocol", ["tcp", "websocket"])
def test_a_client_that_ends_gets_what_is_still_to_come(
    tunnels: Gateway, shop: Upstream, protocol: str
) -> None:
    """A half-close passes on, and the other direction goes on until it ends as well."""
    shop.clear(echo(protocol.encode()))
    with Client(tunnels.port) as client:
        client.send(upgrade("/tcp/x", protocol))
        client.head()
        client.send(b"last")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b"lastbye"
    [record] = tunnels.records(path="/tcp/x", status=101, bytes_in=4, bytes_out=7)[-1:]
    assert record.get("reason", "") == ""


def test_a_half_closed_websocket_ends_soon(tunnels: Gateway, shop: Upstream) -> None:
    """Also if its server does not care, so that clients that are gone hold no place."""

    def ignores(visit: Visit) -> None:
        visit.head()
        visit.send(switched(b"websocket"))

    shop.clear(ignores)
    with Client(tunnels.port) as client:
        client.send(upgrade("/ws/x", "websocket"))
        client.head()
    tunnels.records(path="/ws/x", status=101)


def test_a_server_that_ends_gets_what_is_still_to_come(tunnels: Gateway, shop: Upstream) -> None:
    """In the other direction as well."""

    def ends_first(visit: Visit) -> None:
        visit.head()
        visit.send(switched(b"tcp") + b"bye")
        visit.sock.shutdown(socket.SHUT_WR)
        while visit.read():
            pass

    shop.clear(ends_first)
    with Client(tunnels.port) as client:
        client.send(upgrade("/tcp/x", "tcp"))
        client.head()
        assert client.rest() == b"bye"
        client.send(b"still here")
        shop.wait(lambda: shop.got.endswith(b"still here"))
        client.sock.shutdown(socket.SHUT_WR)
        shop.wait(lambda: shop.visits[-1].ended)


def test_a_logout_ends_tunnels_of_any_protocol(tunnels: Gateway, shop: Upstream) -> None:
    """Without a frame of WebSocket, which other protocols would take for their own bytes."""
    shop.clear(echo(b"tcp"))
    key = log_in(tunnels.port)
    with Client(tunnels.port) as client:
        client.send(upgrade("/mine/x", "tcp", f"Authorization: Bearer {key}"))
        assert status(client.head()) == 101
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
        log_out(tunnels, key)
        assert client.rest() == b""
    shop.wait(lambda: shop.visits[-1].ended)
    assert tunnels.records(path="/mine/x", status=101, reason="invalid_key")


def test_a_logout_ends_a_tunnel_whose_server_has_ended(tunnels: Gateway, shop: Upstream) -> None:
    """Its client can be told nothing more; the session's other tunnels end as ever."""

    def switches(visit: Visit) -> None:
        is_ending = b"/mine/ending" in visit.head()
        visit.send(switched(b"websocket"))
        if is_ending:
            visit.finish()

    shop.clear(switches)
    key = log_in(tunnels.port)
    with Client(tunnels.port) as lasting, Client(tunnels.port) as ending:
        for client, path in ((lasting, "/mine/lasting"), (ending, "/mine/ending")):
            client.send(upgrade(path, "websocket", f"Authorization: Bearer {key}"))
            assert status(client.head()) == 101
        assert ending.sock.recv(1) == b""
        log_out(tunnels, key)
        assert lasting.rest().startswith(b"\x88")
    assert tunnels.records(path="/mine/lasting", status=101, reason="invalid_key")
    log = tunnels.log.read_text()
    assert "cannot be checked" not in log
    assert "did not end with its session" not in log


# Of all sizes that a frame can spell, and more than the buffers on the way hold.
_MESSAGES = (b"", b"x" * 125, b"y" * 126, bytes(65536), bytes(range(256)) * 8192)


async def test_compressed_messages_pass_as_they_are(tunnels: Gateway) -> None:
    """RFC 7692: both ends negotiate `permessage-deflate` through the gateway. Messages of many
    sizes, fragments, pings and close codes pass.
    """
    url = f"http://127.0.0.1:{tunnels.port}/chat/x"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=15, max_msg_size=0, autoping=False) as socket,
    ):
        assert socket.compress == 15
        for message in _MESSAGES:
            await socket.send_bytes(message)
            assert await socket.receive_bytes(timeout=HANG) == message
        await socket.ping(b"there?")
        pong = await socket.receive(timeout=HANG)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"there?")
        await socket.send_str("close with 4321")
        closed = await socket.receive(timeout=HANG)
        assert (closed.type, closed.data, closed.extra) == (_CLOSE, 4321, "as asked")


async def test_a_close_frame_stands_within_a_fragmented_message(
    tunnels: Gateway, shop: Upstream
) -> None:
    """RFC 6455 §5.4: the logout's close frame comes behind a compressed fragment, which promises
    more, and a client takes it for what it is. Its RSV bits are 0, and it has no mask.
    """
    shop.clear(begins_message)
    key = await asyncio.to_thread(log_in, tunnels.port)
    url = f"http://127.0.0.1:{tunnels.port}/mine/x"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.ws_connect(url, compress=15) as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=HANG) == "hello"
        await asyncio.to_thread(log_out, tunnels, key)
        closed = await socket.receive(timeout=HANG)
        assert (closed.type, closed.data) == (_CLOSE, 1008)


def begins_message(visit: Visit) -> None:
    """Accepts a WebSocket with compression, sends one message, and the beginning of another."""
    nonce = re.search(rb"(?i)sec-websocket-key: (\S+)", visit.head())
    assert nonce is not None
    accepted = hashlib.sha1(nonce[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    visit.send(
        switched(b"websocket")[:-2]
        + b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
        + b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(accepted)
    )
    assert visit.read()
    whole = zlib.compressobj(wbits=-15)
    text = whole.compress(b"hello") + whole.flush(zlib.Z_SYNC_FLUSH)
    visit.send(bytes([0xC1, len(text) - 4]) + text[:-4])  # FIN, RSV1, text
    more = whole.compress(bytes(1000)) + whole.flush(zlib.Z_SYNC_FLUSH)
    visit.send(bytes([0x41, len(more)]) + more)  # RSV1, text, not the last fragment
    while visit.read():
        pass


def log_out(running: Gateway, key: str) -> None:
    with Client(running.port) as client:
        client.send(_LOGOUT % key.encode())
        assert status(client.head()) == 204


def test_hostile_tunnels_harm_no_others(tunnels: Gateway, shop: Upstream) -> None:
    """A flood of upgrades that no server answers, and servers and clients that stop reading: the
    memory stays bounded, and others are served.
    """

    def switches_and_sends(visit: Visit) -> None:
        visit.head()
        if b"GET /tcp/" not in visit.got:
            visit.send(OK)
            return
        visit.send(switched(b"tcp"))
        with contextlib.suppress(OSError):
            visit.sock.settimeout(1)
            visit.sock.sendall(bytes(2**24))

    shop.clear(switches_and_sends)
    [worker] = tunnels.workers()
    before = resident_bytes(worker)
    with contextlib.ExitStack() as clients:
        flood = [clients.enter_context(Client(tunnels.port)) for _ in range(30)]
        for client in flood:
            client.send(upgrade("/tcp/x", "tcp"))
        for client in flood:
            assert status(client.head()) == 101
            client.sock.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                client.send(bytes(2**22))
        plain = b"GET /plain/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
        assert status(ask(tunnels.port, plain)) == 200
        assert resident_bytes(worker) - before < 30 * 2**20

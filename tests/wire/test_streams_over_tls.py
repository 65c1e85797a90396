"""Event streams and tunnels with TLS on both sides, where a connection ends as a whole."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.processes import free_port
from tests.support.raw import Answer, Client, Upstream, Visit, ask, status
from tests.support.tls import TlsClient, named, self_signed
from tests.wire.vectors import LOGOUT

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b"data: 1\n\n"
_CHUNK = b"9\r\n%b\r\n" % _EVENT
_SWITCHED = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"

# A frame (RFC 6455 §5.2) of 8 MiB, more than the buffers on the way hold.
_LARGE = b"\x82\x7f" + struct.pack(">Q", 2**23) + bytes(2**23)


class TlsUpstream(Upstream):
    """An upstream that speaks TLS."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        super().__init__()

    def _serve(self, visit: Visit, answer: Answer) -> None:
        with suppress(OSError):
            visit.sock = self._context.wrap_socket(visit.sock, server_side=True)
        super()._serve(visit, answer)


@dataclass
class Site:
    relay: Gateway
    server: TlsUpstream
    tls: int  # the port of the listener with TLS


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certificates")
    certificate = self_signed(folder)
    at, tls = free_port(), free_port()
    pair = named(folder, "a.example")
    with TlsUpstream(certificate) as server, Upstream(accounts) as logins:
        url = f"https://127.0.0.1:{server.port}"
        relay = start(
            at=at,
            listen=[f"127.0.0.1:{at}", {"address": f"127.0.0.1:{tls}", "tls": pair}],
            upstreams={
                "live": {"servers": url, "tls": {"ca_file": str(certificate)}},
                "accounts": logins.url,
            },
            login=LOGIN,
            routes=[{"path": "/live/*", "upstream": "live", "upgrade": ["websocket", "tcp"]}],
        )
        yield Site(relay, server, tls)


def ask_for(client: Client, key: str, protocol: str = "") -> None:
    lines = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n" if protocol else ""
    client.send(
        b"GET /live/x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer %b\r\n%b\r\n"
        % (key.encode(), lines.encode())
    )


def test_events_pass_and_end_with_the_session(site: Site) -> None:
    """In whatever pieces they come."""
    parts = [_CHUNK, _CHUNK[:5], _CHUNK[5:], _CHUNK + _CHUNK, b"9;a=b" + _CHUNK[1:]]

    def tells(visit: Visit) -> None:
        visit.request()
        visit.send(_HEAD)
        for part in parts:
            visit.send(part)
            time.sleep(0.005)

    site.server.clear(tells)
    key = log_in(site.relay.port)
    with TlsClient(site.tls) as client:
        ask_for(client, key)
        client.head()
        got = b""
        while len(got) < 5 * len(_EVENT):
            got += client.exactly(int(client.line(), 16))
            client.line()
        assert got == 5 * _EVENT
        assert status(ask(site.relay.port, LOGOUT % key.encode())) == 204
        assert client.rest() == b""
    site.server.wait(lambda: site.server.visits[0].ended)


@pytest.mark.parametrize("protocol", ["websocket", "tcp"])
def test_a_tunnel_waits_for_both_readers(site: Site, protocol: str) -> None:
    """What is more than the buffers hold arrives as a whole, both ways."""
    received = threading.Event()

    def floods(visit: Visit) -> None:
        visit.head()
        visit.send(_SWITCHED % protocol.encode() + _LARGE)
        seen = len(visit.got)
        while len(visit.got) < seen + len(_LARGE):
            assert visit.read()
        received.set()
        visit.send(b"bye")
        visit.close()

    site.server.clear(floods)
    with TlsClient(site.tls) as client:
        ask_for(client, log_in(site.relay.port), protocol)
        assert status(client.head()) == 101
        time.sleep(0.2)
        assert client.exactly(len(_LARGE)) == _LARGE
        client.send(_LARGE)
        assert client.rest() == b"bye"
    assert received.is_set()


def test_a_client_that_closes_ends_the_tunnel(site: Site) -> None:
    """No direction is left: asyncio closes a TLS connection as a whole."""

    def switches(visit: Visit) -> None:
        visit.head()
        visit.send(_SWITCHED % b"tcp" + b"hello")

    site.server.clear(switches)
    with TlsClient(site.tls) as client:
        ask_for(client, log_in(site.relay.port), "tcp")
        client.head()
        assert client.exactly(5) == b"hello"
        with suppress(OSError):
            client.tls.unwrap().shutdown(socket.SHUT_WR)
        site.server.wait(lambda: site.server.visits[0].ended)
    assert site.relay.records(path="/live/x", status=101, bytes_out=5)

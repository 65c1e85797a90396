"""Connections that begin with TLS or a PROXY header: their places, and how they begin and end."""

import os
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually, free_port
from tests.support.raw import OK, Client, Upstream, Visit, ask, fields_by_name, request, status
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsClient, named, trusting_all

GET = request("GET /")
_PROXY, _GREEDY, _OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
_PLACES = 400  # an address may have a half of them, and 64 connections wait in one turn
_HELLO = b"\x16\x03\x01\x02\x00\x01"  # the beginning of a handshake


@dataclass
class Site:
    relay: Gateway
    shop: Upstream
    tls: int
    proxied: int
    proxied_tls: int
    over_ipv6: int
    folder: Path  # of the unix sockets `tls` and `proxied`


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, start: Start) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certificates")
    tls = {"certificates": [named(folder, "first.example"), named(folder, "shop.example")]}
    at, over_tls, proxied, proxied_tls, over_ipv6 = (free_port() for _ in range(5))
    with Upstream() as shop:
        relay = start(
            at=at,
            listen=[
                f"127.0.0.1:{at}",
                {"address": f"127.0.0.1:{over_tls}", "tls": tls},
                {"address": f"127.0.0.1:{proxied}", "proxy_protocol": True},
                {"address": f"127.0.0.1:{proxied_tls}", "proxy_protocol": True, "tls": tls},
                {"address": f"[::1]:{over_ipv6}", "proxy_protocol": True},
                {"address": f"unix:{folder}/proxied", "proxy_protocol": True},
                {"address": f"unix:{folder}/tls", "tls": tls},
            ],
            upstreams={"shop": shop.url},
            routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
            trusted_proxies=[_PROXY, "::1", "unix"],
            limits={"connections": _PLACES},
            timeouts={"head": 5, "linger": 0.1},
        )
        yield Site(relay, shop, over_tls, proxied, proxied_tls, over_ipv6, folder)


@pytest.fixture(autouse=True)
def _fresh(site: Site) -> None:
    site.shop.clear()


def header(address: str) -> bytes:
    return f"PROXY TCP4 {address} 127.0.0.1 1234 80\r\n".encode()


def failures(site: Site) -> tuple[float, float]:
    """What has failed until now: TLS, and PROXY headers."""
    requests = 'latchkey_requests_total{method="GET",route="/*",status="2xx"}'
    before = site.relay.metrics().get(requests, 0)
    assert status(ask(site.relay.port, GET)) == 200
    eventually(lambda: site.relay.metrics().get(requests, 0) > before)  # those before are told too
    name = 'latchkey_openings_failed_total{cause="%s"}'
    found = site.relay.metrics()
    return found[name % "tls"], found[name % "proxy_protocol"]


def hello(name: str) -> bytes:
    """What a client begins TLS with."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting_all().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def ends_cleanly(client: TlsClient) -> None:
    """From now on, an end without close_notify is an error; else Python takes a cut for an end."""
    vars(client.tls)["suppress_ragged_eofs"] = False


# Places.


@pytest.mark.parametrize("first", [b"", _HELLO])
def test_handshakes_of_one_client_leave_places(site: Site, first: bytes) -> None:
    """wire-rules.md#D12: they count like other connections of its address."""
    with ExitStack() as stack:
        for _ in range(_PLACES):
            client = stack.enter_context(Client(site.tls, _GREEDY))
            with suppress(OSError):  # one over its share is closed
                client.send(first)
        with TlsClient(site.tls, source=_OTHER) as other:
            other.send(GET)
            assert other.answer()[0] == 200


@pytest.mark.parametrize(
    ("tls", "behind"), [(False, b""), (False, GET[:20]), (True, b""), (True, _HELLO)]
)
def test_one_client_of_a_proxy_leaves_places(site: Site, tls: bool, behind: bytes) -> None:
    """wire-rules.md#D12: the client that the header names holds them, before it does TLS as well;
    the proxy itself has no share.
    """
    port = site.proxied_tls if tls else site.proxied
    with ExitStack() as stack:
        for _ in range(_PLACES):
            client = stack.enter_context(Client(port, _PROXY))
            with suppress(OSError):
                client.send(header("203.0.113.7") + behind)
        first = header("203.0.113.8")
        other = TlsClient(port, source=_PROXY, first=first) if tls else Client(port, _PROXY)
        with other:
            other.send(GET if tls else first + GET)
            assert other.answer()[0] == 200
    if not tls:  # before a handshake there is no answer
        assert site.relay.records(reason="over_share", status=503, client="203.0.113.7")


# Beginnings.


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_plain_http_at_a_port_of_https(site: Site, method: str) -> None:
    """wire-rules.md#F4: 400, as at nginx and Caddy, and nothing of the request goes on."""
    tls, proxied = failures(site)
    site.shop.clear()
    head = ask(site.tls, request(f"{method} /", body="x" * 100_000 if method == "POST" else ""))
    assert status(head) == 400
    assert b'"plain_http"' in head
    assert b"Connection: close\r\n" in head
    assert site.shop.got == b""
    assert site.relay.records(reason="plain_http", status=400)
    assert failures(site) == (tls + 1, proxied)


def test_plain_http_behind_a_proxy_header(site: Site) -> None:
    """Where TLS comes behind the header."""
    assert b'"plain_http"' in ask(site.proxied_tls, header("203.0.113.9") + GET, _PROXY)
    assert site.relay.records(reason="plain_http", client="203.0.113.9")


def test_a_hello_byte_by_byte(site: Site) -> None:
    """So is a PROXY header before it."""
    with Client(site.proxied_tls, _PROXY) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header("203.0.113.7") + hello("shop.example"):
            client.send(bytes([byte]))
        assert client.exactly(1) == b"\x16"


_TO = socket.inet_pton(socket.AF_INET6, "::1") + b"\x04\xd2\x00\x50"
_TLVS = b"\x01\x00\x02h2" + b"\x20\x00\x05\x01\0\0\0\0"  # ALPN, and that the proxy did TLS


def binary(command: int, family: int, rest: bytes) -> bytes:
    """A header of version 2."""
    beginning = b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family])
    return beginning + len(rest).to_bytes(2, "big") + rest


def over_ipv6(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address) + _TO


@pytest.mark.parametrize("place", ["unix", "::1"])
@pytest.mark.parametrize(
    ("first", "client"),
    [
        (b"PROXY TCP6 2001:DB8:0::7 ::1 1 2\r\n", "2001:db8::7"),
        (binary(0x21, 0x21, over_ipv6("2001:db8::8")), "2001:db8::8"),
        (binary(0x21, 0x21, over_ipv6("2001:db8::9") + _TLVS), "2001:db8::9"),
        (binary(0x21, 0x21, over_ipv6("::ffff:203.0.113.7")), "203.0.113.7"),
        (binary(0x21, 0x31, b"/run/app".ljust(108, b"\0") * 2), None),  # a client at a unix socket
        (binary(0x20, 0x21, over_ipv6("2001:db8::8")), None),  # the proxy's own
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    ],
)
def test_proxies_over_ipv6_and_unix(
    site: Site, place: str, first: bytes, client: str | None
) -> None:
    """wire-rules.md#F2: the header's client, or else the proxy; what the request says is dropped."""
    own = ["X-Forwarded-For: 6.6.6.6", 'Forwarded: for="[2001:db8::66]:443"']
    family = socket.AF_UNIX if place == "unix" else socket.AF_INET6
    with socket.socket(family) as sock:
        sock.connect(f"{site.folder}/proxied" if place == "unix" else (place, site.over_ipv6))
        sock.sendall(first + request("GET /", *own))
        assert status(sock.recv(65536)) == 200
    fields = fields_by_name(site.shop.got)
    proxy = "unknown" if place == "unix" else place
    assert (fields["X-Forwarded-For"], fields["X-Real-IP"]) == (client or proxy, client or proxy)
    assert "Forwarded" not in fields
    assert site.relay.records(client=client or proxy)


def test_a_proxy_header_is_missing_at_a_unix_socket(site: Site) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{site.folder}/proxied")
        sock.sendall(GET)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert site.shop.got == b""


def test_tls_at_a_unix_socket(site: Site) -> None:
    """Its peer is a trusted proxy, which tells of its client."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{site.folder}/tls")
        with trusting_all().wrap_socket(sock) as tls:
            tls.sendall(request("GET /", "X-Forwarded-For: 2001:db8::7"))
            assert status(tls.recv(65536)) == 200
    fields = fields_by_name(site.shop.got)
    assert (fields["X-Real-IP"], fields["X-Forwarded-Proto"]) == ("2001:db8::7", "https")


@pytest.mark.parametrize("name", [b"\xff\xfe\xff.example", b"a\0\0.example"])
def test_a_name_that_cannot_be_read(site: Site, name: bytes) -> None:
    """The handshake is refused, and the client's bytes stand in no log."""
    tls, proxied = failures(site)
    log = site.relay.log.read_text()
    with Client(site.tls) as client:
        client.send(hello("aaa.example").replace(b"aaa.example", name))
        assert client.rest()[:1] in (b"", b"\x15")
    assert failures(site) == (tls + 1, proxied)
    assert site.relay.log.read_text() == log


def test_a_client_of_http_2_alone(site: Site) -> None:
    """No protocol is agreed on (RFC 7301 §3.2), and its preface is refused."""
    by = trusting_all()
    by.set_alpn_protocols(["h2"])
    with TlsClient(site.tls, by=by) as client:
        assert client.tls.selected_alpn_protocol() is None
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert status(client.head()) in (400, 505)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_ciphers_that_are_refused(site: Site, ciphers: str) -> None:
    """TLS 1.2 without forward secrecy, and without authenticated encryption (RFC 9325 §4.1)."""
    by = trusting_all(ssl.TLSVersion.TLSv1_2)
    by.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
        TlsClient(site.tls, by=by)


@pytest.mark.parametrize("port", ["tls", "proxied", "proxied_tls"])
def test_a_check_of_the_port(site: Site, port: str) -> None:
    """A balancer that connects and closes, or resets, is no failure, and is not logged."""
    before, log = failures(site), site.relay.log.read_text()
    for resets in (0, 1, 0, 1):
        with Client(getattr(site, port), _PROXY) as client:
            time.sleep(0.05)  # it is accepted
            client.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", resets, 0)
            )
    assert failures(site) == before
    assert site.relay.log.read_text() == log


# Ends.


def test_a_slow_reader_of_the_last_answer(site: Site) -> None:
    """wire-rules.md#F5: it gets all of it, also if that takes longer than `timeouts.linger`."""
    body = os.urandom(2**20) * 8

    def whole(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    site.shop.clear(whole)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # the gateway has the rest
    sock.connect(("127.0.0.1", site.tls))
    with trusting_all().wrap_socket(sock) as tls:
        tls.sendall(GET)
        got = b""
        while piece := tls.recv(65536):
            got += piece
            time.sleep(0.005 if len(got) > len(body) // 2 else 0)
    assert got.endswith(body)


def test_a_client_that_never_ends_tls(site: Site) -> None:
    """It is closed after `timeouts.linger`; its answer has come as a whole."""
    with TlsClient(site.tls) as client:
        client.send(GET)
        assert client.answer()[0] == 200
        with socket.socket(fileno=client.tls.detach()) as sock:
            eventually(lambda: site.relay.metrics()["latchkey_client_connections"] == 0)
            sock.close()


def test_a_cut_body_that_only_the_end_delimits(site: Site) -> None:
    """wire-rules.md#F5: over TLS too, a client of HTTP/1.0 sees that it is not whole."""

    def broken(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf")
        visit.close()

    site.shop.clear(broken)
    with TlsClient(site.tls) as client:
        ends_cleanly(client)
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            b"".join(iter(lambda: client.tls.recv(65536), b""))


def test_an_upload_that_tls_ends(site: Site) -> None:
    """A close_notify within a body is the client's end: the upstream request is cut."""
    with TlsClient(site.tls) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        site.shop.wait(lambda: site.shop.got.endswith(b"half"))
        with suppress(OSError):
            client.tls.unwrap()
        site.shop.wait(lambda: site.shop.visits[0].ended)


def test_a_stop_ends_tls_cleanly(tmp_path: Path, redis: RedisServer) -> None:
    """wire-rules.md#F5: idle connections, and one whose request is answered last, get a close_notify:
    a client that finds none could not tell a stop from an attack that cuts (RFC 8446 §6.1).
    """
    pair, at = named(tmp_path, "shop.example"), free_port()
    go_on: list[bool] = []

    def late(visit: Visit) -> None:
        visit.request()
        shop.wait(lambda: bool(go_on))
        visit.send(OK)

    with Upstream(late) as shop, ExitStack() as stack:
        relay = stack.enter_context(
            gateway(
                tmp_path,
                redis.url,
                listen={"address": f"127.0.0.1:{at}", "tls": pair},
                upstreams={"shop": shop.url},
                routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
            )
        )
        idle, busy = (stack.enter_context(TlsClient(at)) for _ in range(2))
        busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        shop.wait(lambda: shop.got != b"")
        os.kill(relay.pid, signal.SIGTERM)
        ends_cleanly(idle)
        ends_cleanly(busy)
        assert idle.tls.recv(1) == b""
        go_on.append(True)
        assert busy.answer()[0] == 200
        assert busy.tls.recv(1) == b""

"""Listeners: TLS, redirects to HTTPS, and PROXY headers before all else."""

import os
import resource
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import proxies
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, eventually, free_port, processor_time, running
from tests.support.raw import Client, Upstream, Visit, ask, fields_by_name, request, status
from tests.support.redis_server import RedisServer
from tests.support.tls import Certificates, TlsClient, certificates, trusting_all

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\r\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c\xcb\x00\x71\x07\x7f\x00\x00\x01\x04\xd2\x00\x50"
GET = request("GET /", "Connection: close")
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # handshake_failure (RFC 8446 §6)
_PROXY_PEER, _STRANGER = "127.0.0.2", "127.0.0.3"


@dataclass
class Site:
    relay: Gateway
    shop: Upstream
    files: Certificates
    tls: int
    named: int
    redirect: int
    proxied: int
    proxied_tls: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("listeners")
    files = certificates(folder / "tls")
    shown = folder / "shown"  # replaced during the tests
    shown.mkdir()
    shutil.copy(files.server, shown / "cert.pem")
    shutil.copy(files.server_key, shown / "key.pem")
    tls, named, redirect, proxied, proxied_tls = (free_port() for _ in range(5))
    pair = {"cert_file": "tls/server.pem", "key_file": "tls/server.key"}
    at = free_port()
    with Upstream() as shop:
        listen = [
            f"127.0.0.1:{at}",
            {
                "address": f"127.0.0.1:{tls}",
                "tls": {"cert_file": "shown/cert.pem", "key_file": "shown/key.pem"},
            },
            {
                "address": f"127.0.0.1:{named}",
                "tls": {
                    "certificates": [
                        pair,
                        {k: v.replace("server", "client") for k, v in pair.items()},
                    ]
                },
            },
            {"address": f"127.0.0.1:{redirect}", "redirect": f"https:{tls}"},
            {"address": f"127.0.0.1:{proxied}", "proxy_protocol": True},
            {"address": f"127.0.0.1:{proxied_tls}", "proxy_protocol": True, "tls": pair},
        ]
        routes = [{"path": "/*", "upstream": "shop", "auth": "public", "websocket": True}]
        with gateway(
            folder,
            redis.url,
            at=at,
            listen=listen,
            routes=routes,
            upstreams={"shop": shop.url},
            trusted_proxies=["127.0.0.2", "203.0.113.99"],
            timeouts={"head": 2},
        ) as relay:
            yield Site(relay, shop, files, tls, named, redirect, proxied, proxied_tls)


@pytest.fixture(autouse=True)
def _fresh(site: Site) -> None:
    site.shop.clear()


def test_tls_is_https(site: Site) -> None:
    """TLS 1.3, HTTP/1.1 by ALPN, and the upstream is told of https."""
    by = trusting_all()
    by.set_alpn_protocols(["h2", "http/1.1"])
    with TlsClient(site.tls, by=by) as client:
        assert client.tls.version() == "TLSv1.3"
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        client.send(GET)
        assert client.answer()[0] == 200
        assert client.rest() == b""
    assert fields_by_name(site.shop.got)["X-Forwarded-Proto"] == "https"


def test_old_versions_of_tls_are_refused(site: Site) -> None:
    before = site.relay.log.read_text()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context = trusting_all(ssl.TLSVersion.TLSv1_1)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
        TlsClient(site.tls, by=context)
    assert "Traceback" not in site.relay.log.read_text()[len(before) :]


def test_large_bodies_over_tls(site: Site) -> None:
    """Both directions at full speed, with a client that pauses."""
    body = os.urandom(2**20) * 8
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def swap(visit: Visit) -> None:
        visit.request()
        visit.send(answer)

    site.shop.clear(swap)
    with TlsClient(site.tls) as client:
        head = request("POST /", f"Content-Length: {len(body)}")
        client.send(head + body)
        code = client.head()
        assert status(code) == 200
        time.sleep(0.3)
        assert client.exactly(len(body)) == body
    assert site.shop.got.endswith(body)


def test_a_refusal_over_tls_closes_cleanly(site: Site) -> None:
    """The answer arrives, then close_notify; what the client still sends destroys neither."""
    with TlsClient(site.tls) as client:
        client.send(b"GET / HTTP/1.1\r\nbad line\r\n\r\n" + bytes(100_000))
        assert client.answer()[0] == 400
        assert client.rest() == b""


def test_a_tunnel_over_tls(site: Site) -> None:
    def echo(visit: Visit) -> None:
        visit.head()
        visit.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while data := visit.read():
            visit.send(data)

    site.shop.clear(echo)
    with TlsClient(site.tls) as client:
        client.send(
            request(
                "GET /",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
        )
        assert status(client.head()) == 101
        client.send(b"\x82\x03abc")
        assert client.exactly(5) == b"\x82\x03abc"


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01"])
def test_what_is_no_tls(site: Site, first: bytes) -> None:
    """Broken handshakes, and what is neither TLS nor HTTP, are closed."""
    with Client(site.tls) as client:
        client.send(first)
        with suppress(ConnectionResetError):
            assert client.rest() == (ALERT if first[0] == 0x16 else b"")
    with TlsClient(site.tls) as client:
        client.send(GET)
        assert client.answer()[0] == 200


def test_a_handshake_has_a_deadline(site: Site) -> None:
    """wire-rules.md#F3: that of a head; it counts among the connections meanwhile."""
    with Client(site.tls) as silent, Client(site.tls) as begun:
        begun.send(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        assert silent.rest() == b""
        with suppress(ConnectionResetError):
            begun.rest()
        assert time.monotonic() - began < HANG / 2


def test_certificates_are_chosen_by_name(site: Site) -> None:
    """An unknown name, and a client that sends none, get the first one."""
    with TlsClient(site.named, name="elsewhere.example") as client:
        assert client.shown() == "CN=server"


def test_a_changed_certificate_is_used(site: Site) -> None:
    """A broken pair leaves the old one in use, and says so; new connections get the new one."""
    shown = site.files.ca.parent.parent / "shown"
    (shown / "cert.pem").write_text("broken")
    eventually(lambda: "the old certificate stays in use" in site.relay.log.read_text())
    with TlsClient(site.tls) as client:
        assert client.shown() == "CN=server"
    shutil.copy(site.files.client_key, shown / "key.pem")
    shutil.copy(site.files.client, shown / "cert.pem")
    eventually(lambda: "the new certificate is in use" in site.relay.log.read_text())
    with TlsClient(site.tls) as client:
        assert client.shown() == "CN=client"
    names = [
        f'latchkey_certificate_reloads_total{{result="{result}"}}' for result in ("ok", "failed")
    ]
    eventually(lambda: all(site.relay.metrics()[name] >= 1 for name in names))


@pytest.mark.parametrize(("method", "code"), [("GET", 301), ("HEAD", 301), ("POST", 308)])
def test_redirects_to_https(site: Site, method: str, code: int) -> None:
    """To the host that was asked, at the port of HTTPS; nothing reaches an upstream."""
    head = ask(site.redirect, request(f"{method} /a?b=1", host="shop.example:80"))
    assert status(head) == code
    assert fields_by_name(head)["Location"] == f"https://shop.example:{site.tls}/a?b=1"
    assert site.shop.got == b""


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        (b"GET /a%2Fb?c=%20&d HTTP/1.1\r\nHost: shop.example", "shop.example:{}/a%2Fb?c=%20&d"),
        (b"GET /? HTTP/1.1\r\nHost: [2001:db8::1]:80", "[2001:db8::1]:{}/?"),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]", "[2001:db8::1]:{}/"),
        (b"GET http://other.example/a HTTP/1.1\r\nHost: shop.example", "other.example:{}/a"),
        (b"GET http://other.example:80 HTTP/1.1\r\nHost: shop.example", "other.example:{}/"),
        (b"GET //evil.example/ HTTP/1.1\r\nHost: shop.example", "shop.example:{}//evil.example/"),
        (b"GET /a%0d%0ab: c HTTP/1.1\r\nHost: shop.example", None),
        (b"GET /a%0d%0ab HTTP/1.1\r\nHost: shop.example", "shop.example:{}/a%0d%0ab"),
        (b"GET /a HTTP/1.0\r\nHost: shop.example:8080", "shop.example:{}/a"),
        (b"GET /a HTTP/1.0", None),
        (b"GET /a HTTP/1.1", None),
        (b"OPTIONS * HTTP/1.1\r\nHost: shop.example", None),
    ],
)
def test_where_a_redirect_leads(site: Site, asked: bytes, place: str | None) -> None:
    """wire-rules.md#F6: whatever port was asked; 400 if there is no such place."""
    fields = b"X-Forwarded-Host: evil.example\r\nConnection: close"
    head = ask(site.redirect, b"%b\r\n%b\r\n\r\n" % (asked, fields))
    if place is None:
        assert status(head) == 400
    else:
        assert fields_by_name(head)["Location"] == "https://" + place.format(site.tls)


@pytest.mark.parametrize("host", ["a.example@evil.example", "evil.example/x", "a b", "[::1"])
def test_a_redirect_needs_a_host(site: Site, host: str) -> None:
    head = ask(site.redirect, request("GET /", host=host))
    assert status(head) == 400
    assert b"evil" not in head


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("pieces", [1, 2, 100])
def test_a_proxy_header_names_the_client(site: Site, header: bytes, pieces: int) -> None:
    """Over plain TCP, however it is cut; the fields of that client are not believed."""
    data = header + request("GET /", "X-Forwarded-For: 6.6.6.6", "Connection: close")
    with Client(site.proxied, _PROXY_PEER) as client:
        step = len(header) // pieces + 1 if pieces > 1 else len(data)
        for at in range(0, len(header), step):
            client.send(data[at : at + step])
            time.sleep(0.005 if pieces > 1 else 0)
        client.send(data[-(-len(header) // step) * step :])
        assert client.answer()[0] == 200
    assert fields_by_name(site.shop.got)["X-Forwarded-For"] == "203.0.113.7"
    assert site.relay.records(client="203.0.113.7")


def test_a_proxy_that_the_header_names(site: Site) -> None:
    """If its address is in trusted_proxies itself, what it says of its clients is believed."""
    header = V1.replace(b"203.0.113.7", b"203.0.113.99")
    data = header + request("GET /", "X-Forwarded-For: 6.6.6.6", "Connection: close")
    assert status(ask(site.proxied, data, _PROXY_PEER)) == 200
    assert fields_by_name(site.shop.got)["X-Real-IP"] == "6.6.6.6"


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\0\0", SIGNATURE + b"\x21\x00\0\0"]
)
def test_a_proxy_that_names_no_client(site: Site, header: bytes) -> None:
    """Its request is served as its own, and forwarding fields in it are not believed."""
    data = header + request("GET /", "X-Forwarded-For: 6.6.6.6", "Connection: close")
    assert status(ask(site.proxied, data, _PROXY_PEER)) == 200
    assert fields_by_name(site.shop.got)["X-Forwarded-For"] == _PROXY_PEER


@pytest.mark.parametrize("header", [V1, V2])
def test_a_proxy_header_before_tls(site: Site, header: bytes) -> None:
    with TlsClient(site.proxied_tls, source=_PROXY_PEER, first=header) as client:
        client.send(GET)
        assert client.answer()[0] == 200
    fields = fields_by_name(site.shop.got)
    assert (fields["X-Forwarded-For"], fields["X-Forwarded-Proto"]) == ("203.0.113.7", "https")


@pytest.mark.parametrize(
    ("source", "first"),
    [
        (_STRANGER, V1 + GET),
        (_STRANGER, V2 + GET),
        (_PROXY_PEER, GET),
        (_PROXY_PEER, V1.replace(b"TCP4", b"TCP9") + GET),
        (_PROXY_PEER, SIGNATURE + b"\x21\x11\xff\xff"),
        (_PROXY_PEER, V1[:20]),
        (_PROXY_PEER, b""),
    ],
)
def test_no_proxy_header_no_request(site: Site, source: str, first: bytes) -> None:
    """wire-rules.md#F1: an untrusted peer, a missing, malformed or late header: closed, logged."""
    with Client(site.proxied, source) as client, suppress(ConnectionResetError, BrokenPipeError):
        client.send(first)
        assert client.rest() == b""
    assert site.shop.got == b""
    eventually(lambda: f"a PROXY header from {source} is refused" in site.relay.log.read_text())


def test_a_proxy_header_drop_by_drop(site: Site) -> None:
    """It has the time of a head in all, and not anew for each byte."""
    began = time.monotonic()
    with Client(site.proxied, _PROXY_PEER) as client, suppress(OSError):
        for byte in SIGNATURE + b"\x21\x11\x0f\xf0" + bytes(4080):
            client.send(bytes([byte]))
            time.sleep(0.1)
    assert time.monotonic() - began < HANG  # the whole header would take seven minutes
    assert site.shop.got == b""


def test_a_proxy_header_where_none_is_wanted(site: Site) -> None:
    """It is no request."""
    assert status(ask(site.relay.port, V1 + GET, _PROXY_PEER)) == 400


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("tls", [False, True])
def test_haproxy_sends_the_header(tmp_path: Path, site: Site, version: str, tls: bool) -> None:
    port, target = free_port(), site.proxied_tls if tls else site.proxied
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        f"listen a\n mode tcp\n bind 127.0.0.1:{port}\n source {_PROXY_PEER}\n"
        f" server s 127.0.0.1:{target} {version}\n"
    )
    command = [proxies.program("haproxy"), "-db", "-f", str(file)]
    with running(command, log=tmp_path / "haproxy.log", port=port):
        site.shop.clear()
        client = TlsClient(port, source="127.0.0.9") if tls else Client(port, "127.0.0.9")
        with client:
            client.send(GET)
            assert client.answer()[0] == 200
    assert fields_by_name(site.shop.got)["X-Forwarded-For"] == "127.0.0.9"


def test_a_worker_without_descriptors_pauses(site: Site) -> None:
    """wire-rules.md#D4: it does not spin, and serves what has waited when there are some again."""
    [worker] = site.relay.workers()
    limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with socket.create_connection(("127.0.0.1", site.proxied), source_address=(_PROXY_PEER, 0)):
            before = processor_time(worker)
            time.sleep(1.0)
            assert processor_time(worker) - before < 0.5
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
    with Client(site.proxied, _PROXY_PEER) as client:
        client.send(V1 + GET)
        assert client.answer()[0] == 200

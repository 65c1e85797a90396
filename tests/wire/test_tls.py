"""TLS at the listeners: names, resumed sessions, cookies, floods; and listeners over IPv6."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, accounts
from tests.support.gateway import Gateway, reload
from tests.support.processes import HANG, eventually, free_port
from tests.support.raw import (
    Again,
    Client,
    Upstream,
    Visit,
    ask,
    fields_by_name,
    request,
    set_cookies,
    status,
)
from tests.support.tls import TlsClient, named, trusting_all

GET = request("GET /", "Connection: close")
_FLOOD = 300


@dataclass
class Site:
    relay: Gateway
    shop: Upstream
    tls: int
    redirect: int
    over_ipv6: int
    dual: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, start: Start) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certificates")
    pairs = [
        named(folder, "first.example"),
        named(folder, "*.shop.example"),
        named(folder, "www.shop.example", "shop.example"),
    ]
    at, tls, redirect, over_ipv6, dual = (free_port() for _ in range(5))
    with Upstream(accounts) as shop:
        relay = start(
            at=at,
            workers=2,
            listen=[
                f"127.0.0.1:{at}",
                {"address": f"127.0.0.1:{tls}", "tls": {"certificates": pairs}},
                {"address": f"127.0.0.1:{redirect}", "redirect": "https"},
                f"[::1]:{over_ipv6}",
                f"[::]:{dual}",
            ],
            upstreams={"shop": shop.url},
            login={**LOGIN, "upstream": "shop", "carrier": "cookie"},
            routes=[
                {"path": "/mine/*", "upstream": "shop"},
                {"path": "/*", "upstream": "shop", "auth": "public"},
            ],
            logout={"path": "/logout"},
            security_headers={"hsts": {"max_age": "30d"}},
            timeouts={"head": 5},
        )
        yield Site(relay, shop, tls, redirect, over_ipv6, dual)


@pytest.fixture(autouse=True)
def _fresh(site: Site) -> None:
    site.shop.clear(accounts)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("www.shop.example", "www.shop.example"),  # exact before the wildcard
        ("SHOP.example", "www.shop.example"),
        ("a.shop.example", "*.shop.example"),
        ("a.b.shop.example", "first.example"),  # a wildcard is one label (RFC 9525 §6.3)
        ("elsewhere.example", "first.example"),
    ],
)
def test_the_certificate_of_a_name(site: Site, name: str, shown: str) -> None:
    with TlsClient(site.tls, name=name) as client:
        assert client.shown() == f"CN={shown}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_resume_at_every_worker(site: Site, version: ssl.TLSVersion) -> None:
    """Connections are spread over two workers, and none does a whole handshake again."""
    by = trusting_all(version)
    with TlsClient(site.tls, by=by) as client:
        client.send(GET)
        assert client.answer()[0] == 200
        session = client.tls.session  # tickets of TLS 1.3 come after the handshake
    for _ in range(12):
        with TlsClient(site.tls, by=by, session=session) as client:
            assert client.tls.session_reused
            client.send(GET)
            assert client.answer()[0] == 200


def test_cookies_of_a_login_over_tls(site: Site) -> None:
    """They are Secure, with the prefix that binds them to the host; the backend hears of https."""
    body = json.dumps({"username": "alice"})
    with TlsClient(site.tls) as client:
        fields = ("Content-Type: application/json", "Origin: https://a.example")
        client.send(request("POST /login", *fields, body=body))
        code, head, _ = client.answer()
    assert code == 200
    [cookie] = set_cookies(head)
    assert cookie.startswith("__Host-")
    assert "; Secure" in cookie
    assert fields_by_name(site.shop.got)["X-Forwarded-Proto"] == "https"


def test_strict_transport_security(site: Site) -> None:
    """Over TLS alone (RFC 6797 §7.2): neither in plain answers nor in redirects to HTTPS."""
    with TlsClient(site.tls) as client:
        client.send(GET)
        assert fields_by_name(client.answer()[1])["Strict-Transport-Security"] == "max-age=2592000"
    for port, code in ((site.relay.port, 200), (site.redirect, 301)):
        head = ask(port, GET)
        assert status(head) == code
        assert b"strict-transport-security" not in head.lower()


@pytest.mark.parametrize("ends", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_logout_cuts_a_stream_over_tls(site: Site, ends: bytes) -> None:
    """At once, and not as if it were whole."""

    def stream(visit: Visit) -> None:
        if b"POST" in visit.head()[:5]:
            accounts(Again(visit))
            return
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n\r\n" % ends)
        visit.send(b"4\r\nx: y\r\n" if ends.endswith(b"chunked") else b"x: y")
        while visit.read():
            pass

    site.shop.clear(stream)
    origin = "Origin: https://a.example"
    with TlsClient(site.tls) as client:
        body = json.dumps({"username": "alice"})
        client.send(request("POST /login", "Content-Type: application/json", origin, body=body))
        [cookie] = set_cookies(client.head())
    key = f"Cookie: {cookie.partition(';')[0]}"
    with TlsClient(site.tls) as reader, TlsClient(site.tls) as other:
        reader.send(request("GET /mine/a", key))
        reader.until(b"x: y")
        other.send(request("POST /logout", key, origin))
        assert other.answer()[0] == 204
        assert b"0\r\n\r\n" not in reader.rest()


def test_a_reload_with_a_broken_pair(site: Site) -> None:
    """The old configuration stays as a whole, and with it the certificate; log and metric say so."""
    [listen] = [address for address in site.relay.config["listen"] if "tls" in address]
    file = Path(listen["tls"]["certificates"][1]["key_file"])
    whole = file.read_text()
    file.write_text(whole[:100])
    try:
        reload(site.relay)
        eventually(lambda: "the old configuration stays" in site.relay.log.read_text())
        assert site.relay.metrics()["latchkey_config_last_reload_successful"] == 0
        for name in ("first.example", "*.shop.example"):
            with TlsClient(site.tls, name=name.replace("*", "a")) as client:
                assert client.shown() == f"CN={name}"
    finally:
        file.write_text(whole)
    reload(site.relay)
    eventually(lambda: site.relay.metrics()["latchkey_config_last_reload_successful"] == 1)
    with TlsClient(site.tls, name="a.shop.example") as client:
        assert client.shown() == "CN=*.shop.example"


def test_a_flood_of_handshakes(site: Site) -> None:
    """Hundreds that begin and go no further harm no other client, and end."""
    with ExitStack() as stack:
        flood = [stack.enter_context(Client(site.tls)) for _ in range(_FLOOD)]
        for client in flood:
            client.send(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        for _ in range(5):
            with TlsClient(site.tls) as client:
                client.send(GET)
                assert client.answer()[0] == 200
            assert status(ask_at(("127.0.0.1", site.relay.port))) == 200
        assert time.monotonic() - began < HANG / 4
        for client in flood:
            with suppress(ConnectionResetError):
                client.rest()  # ends, by the deadline of a head


def ask_at(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, HANG) as sock:
        sock.sendall(GET)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_listeners_over_ipv6(site: Site) -> None:
    """Of one address, and of all, which takes IPv4 too; upstreams are told the plain address."""
    assert status(ask_at(("::1", site.over_ipv6))) == 200
    assert fields_by_name(site.shop.got)["X-Forwarded-For"] == "::1"
    with pytest.raises(ConnectionRefusedError):
        ask_at(("127.0.0.1", site.over_ipv6))
    for host in ("::1", "127.0.0.1"):
        site.shop.clear()
        assert status(ask_at((host, site.dual))) == 200
        assert fields_by_name(site.shop.got)["X-Forwarded-For"] == host

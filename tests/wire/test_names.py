"""Names of servers that are looked up again: `resolve`."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import Start
from tests.support.dns_server import DnsServer
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Client, Upstream, always, ask, request

GET = b"GET /%b/ HTTP/1.1\r\nHost: a.example\r\n\r\n"


@dataclass
class Site:
    """A gateway, its DNS server, and servers at three addresses of one port."""

    gateway: Gateway
    dns: DnsServer
    servers: dict[str, Upstream]

    def asked(self, client: Client, path: bytes = b"shop") -> bytes:
        """The address that answers."""
        client.send(GET % path)
        _, _, body = client.answer()
        return body


@pytest.fixture(scope="module")
def site(start: Start) -> Iterator[Site]:
    with contextlib.ExitStack() as opened:
        dns = opened.enter_context(DnsServer())
        first = opened.enter_context(Upstream(host="127.0.0.2"))
        port = first.port
        servers = {
            "127.0.0.2": first,
            "127.0.0.3": opened.enter_context(Upstream(host="127.0.0.3", port=port)),
            "::1": opened.enter_context(Upstream(host="::1", port=port)),
        }
        dns.names = {
            "shop.test": ["127.0.0.2"],
            "both.test": ["127.0.0.2", "127.0.0.3", "::1"],
            "six.test": ["::1"],
        }
        resolve = {"every": "200ms", "resolver": dns.address}
        upstreams = {
            name: {"servers": f"http://{name}.test:{port}", "resolve": resolve}
            for name in ("shop", "both", "six", "late")
        }
        routes = [{"path": f"/{name}/*", "upstream": name, "auth": "public"} for name in upstreams]
        login = {"kind": "backend", "path": "/login", "upstream": "shop"}
        yield Site(start(upstreams=upstreams, routes=routes, login=login), dns, servers)


@pytest.fixture(autouse=True)
def _answering(site: Site) -> None:
    """Each server answers with its address."""
    for address, server in site.servers.items():
        body = address.encode()
        server.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))


def test_steady_traffic_moves_to_the_new_address(site: Site) -> None:
    """Over one client connection and kept ones: those to the old address are closed."""
    with Client(site.gateway.port) as client:
        eventually(lambda: site.asked(client) == b"127.0.0.2")
        site.dns.names["shop.test"] = ["127.0.0.3"]
        eventually(lambda: site.asked(client) == b"127.0.0.3")
        assert {site.asked(client) for _ in range(20)} == {b"127.0.0.3"}
        old = site.servers["127.0.0.2"]
        old.wait(lambda: all(visit.ended for visit in old.visits))
        site.dns.names["shop.test"] = ["127.0.0.2"]
        eventually(lambda: site.asked(client) == b"127.0.0.2")


def test_the_metrics_of_an_address_end_with_it(site: Site) -> None:
    """Those of other servers stay."""

    def series(address: str) -> int:
        return sum(f"({address})" in name for name in site.gateway.metrics())

    with Client(site.gateway.port) as client:
        site.dns.names["shop.test"] = ["127.0.0.4"]
        eventually(lambda: series("127.0.0.4"))
        site.dns.names["shop.test"] = ["127.0.0.2"]
        eventually(lambda: series("127.0.0.4") == 0)
        assert site.asked(client) == b"127.0.0.2"
        assert series("127.0.0.2") > series("127.0.0.3") > 0


def test_the_gateways_own_calls_ask_the_same_dns_server(site: Site) -> None:
    """A login goes to the address that the name has now."""
    server = site.servers["127.0.0.2"]
    ask(site.gateway.port, request("POST /login", "Content-Type: application/json", body="{}"))
    assert b"POST /login" in server.got


def test_the_gateways_own_calls_go_where_requests_go(site: Site) -> None:
    """To the addresses that have been found, of IPv6 as well."""
    login = request("POST /login", "Content-Type: application/json", body="{}")
    site.dns.names["shop.test"] = ["::1"]
    with Client(site.gateway.port) as client:
        eventually(lambda: site.asked(client) == b"::1")
        ask(site.gateway.port, login)
        assert b"POST /login" in site.servers["::1"].got
        site.dns.names["shop.test"] = ["127.0.0.2"]
        eventually(lambda: site.asked(client) == b"127.0.0.2")


def test_all_addresses_are_servers(site: Site) -> None:
    """A and AAAA records alike get their share."""
    with Client(site.gateway.port) as client:
        seen: set[bytes] = set()

        def has_seen_all() -> bool:
            seen.add(site.asked(client, b"both"))
            return len(seen) == 3

        eventually(has_seen_all)
        assert seen == {address.encode() for address in site.servers}


def test_a_name_may_have_ipv6_addresses_alone(site: Site) -> None:
    with Client(site.gateway.port) as client:
        assert site.asked(client, b"six") == b"::1"


def test_a_request_waits_for_an_address(site: Site) -> None:
    """Of a name that has none when the gateway starts, as of a container that is to come."""
    with Client(site.gateway.port) as client:
        client.send(GET % b"late")
        queries = site.dns.queries
        eventually(lambda: site.dns.queries > queries + 8)
        site.dns.names["late.test"] = ["127.0.0.3"]
        assert client.answer()[2] == b"127.0.0.3"


def test_the_last_answer_stays_while_a_name_cannot_be_resolved(site: Site) -> None:
    """Neither an error nor an empty answer takes servers away; the log says so once."""
    with Client(site.gateway.port) as client:
        eventually(lambda: site.asked(client) == b"127.0.0.2")
        site.dns.names["shop.test"] = []
        queries = site.dns.queries
        eventually(lambda: site.dns.queries > queries + 8)
        site.dns.broken = True
        eventually(lambda: "shop.test keeps its last addresses" in site.gateway.log.read_text())
        queries = site.dns.queries
        eventually(lambda: site.dns.queries > queries + 8)
        assert site.asked(client) == b"127.0.0.2"
        assert site.gateway.log.read_text().count("shop.test keeps its last addresses") == 1
        site.dns.broken = False
        site.dns.names["shop.test"] = ["127.0.0.2"]

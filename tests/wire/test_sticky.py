"""Requests that stick to a server: by session, whoever brings its key and however."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Client, Upstream, Visit

_SESSIONS = 14  # that all of them go to one of two servers happens once in 8,000 runs


class Server(Upstream):
    """Says by its port who has answered."""

    def __init__(self) -> None:
        super().__init__(self._answers)

    def _answers(self, visit: Visit) -> None:
        for _ in visit.requests():
            port = str(self.port).encode()
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(port), port))

    def works(self) -> None:
        self.clear(self._answers)


@dataclass
class Site:
    """A gateway before two servers."""

    gateway: Gateway
    servers: tuple[Server, Server]

    def served(self, field: str, source: str = "127.0.0.1") -> bytes:
        """Send a request over a connection of its own. Returns the port of the server."""
        with Client(self.gateway.port, source) as client:
            client.send(f"GET /api/ HTTP/1.1\r\nHost: a.example\r\n{field}\r\n\r\n".encode())
            status, _, body = client.answer()
            assert status == 200
            return body


@pytest.fixture(scope="module")
def site(start: Start, login_upstream: Upstream) -> Iterator[Site]:
    login_upstream.clear(accounts)
    with Server() as one, Server() as other:
        started = start(
            upstreams={
                "shop": {"servers": [one.url, other.url], "balance": {"sticky": "session"}},
                "accounts": login_upstream.url,
            },
            routes=[{"path": "/api/*", "upstream": "shop"}],
            login={"kind": "backend", "path": "/login", "upstream": "accounts"},
        )
        yield Site(started, (one, other))


def test_a_session_stays_at_one_server(site: Site) -> None:
    """With its key in a field or in a cookie, from any address; sessions are spread."""
    homes = set()
    for _ in range(_SESSIONS):
        key = log_in(site.gateway.port)
        ways = [f"Authorization: Bearer {key}", f"Cookie: latchkey={key}"]
        [home] = {site.served(way, at) for way in ways for at in ("127.0.0.1", "127.0.0.2")}
        homes.add(home)
    assert homes == {str(server.port).encode() for server in site.servers}


def test_a_session_comes_home(site: Site) -> None:
    """While its server is away, the other one serves it."""
    field = f"Authorization: Bearer {log_in(site.gateway.port)}"
    home = site.served(field)
    server = next(server for server in site.servers if str(server.port).encode() == home)
    server.refuse()
    assert site.served(field) != home
    server.listen()
    server.works()
    eventually(lambda: site.served(field) == home)

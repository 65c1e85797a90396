"""Servers by weight and by key, health checks, ejection by choice, retry budgets, breakers."""

import http.server
import re
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually, free_port
from tests.support.raw import Client, Upstream, Visit
from tests.support.redis_server import RedisServer
from tests.wire.vectors import cases

_HOST = b"HTTP/1.1\r\nHost: a.example\r\n"


class Server(Upstream):
    """A server that says who it is, and whether it is well."""

    def __init__(self) -> None:
        super().__init__()
        self.status = b"200 OK"  # of its answers
        self.health = b"204 No Content"
        self.checks = 0
        self.asked = 0
        self.clear(self._answer)

    def reset(self) -> None:
        self.status, self.health = b"200 OK", b"204 No Content"
        self.asked = 0

    def _answer(self, visit: Visit) -> None:
        for head in visit.requests():
            is_check = b" /healthz " in head
            self.checks += is_check
            self.asked += not is_check
            if not is_check and self.status == b"closes":
                visit.close()
                return
            status = self.health if is_check else self.status
            visit.send(
                b"HTTP/1.1 %b\r\nX-Port: %d\r\nContent-Length: 0\r\n\r\n" % (status, self.port)
            )


class OnSocket(socketserver.ThreadingUnixStreamServer):
    """A server on a unix socket, which answers 204 to anything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers one connection."""

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), self.Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@dataclass
class Site:
    """A gateway before two servers, under many upstreams."""

    gateway: Gateway
    one: Server
    other: Server
    on_socket: OnSocket

    def reset(self) -> None:
        self.one.reset()
        self.other.reset()

    def ask(self, path: str, fields: bytes = b"", method: str = "GET") -> tuple[int, bytes]:
        """Send a request over a connection of its own. Returns the status and the whole answer."""
        length = b"Content-Length: 0\r\n" if method == "POST" else b""
        with Client(self.gateway.port) as client:
            client.send(f"{method} {path} ".encode() + _HOST + fields + length + b"\r\n")
            status, head, body = client.answer()
            return status, head + b"\r\n\r\n" + body

    def served(self, path: str, count: int, fields: bytes = b"") -> Counter[int]:
        """By which port so many requests were served."""
        ports = [re.search(rb"(?i)x-port: (\d+)", self.ask(path, fields)[1]) for _ in range(count)]
        return Counter(int(port[1]) if port else 0 for port in ports)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Site]:
    one, other, gone = Server(), Server(), free_port()
    on_socket = OnSocket(path := tmp_path_factory.mktemp("socket") / "app.sock")
    pair = [one.url, other.url]
    check = {"path": "/healthz", "interval": "500ms", "unhealthy_after": 2, "healthy_after": 1}
    upstreams = {
        "weighted": {"servers": [{"url": one.url, "weight": 3}, other.url]},
        "turns": {
            "servers": [{"url": one.url, "weight": 3}, other.url],
            "balance": "round_robin",
        },
        "sticky": {"servers": pair, "balance": {"sticky": "cookie", "name": "stay"}},
        "moving": {"servers": pair, "balance": {"sticky": "cookie", "name": "stay"}},
        "address": {"servers": pair, "balance": {"sticky": "session"}},
        "checked": {"servers": pair, "health": check},
        "steady": {
            "servers": pair,
            "health": check,
            "balance": {"sticky": "cookie", "name": "stay"},
        },
        "alone": {"servers": [one.url], "health": check},
        "socket": {"servers": [f"unix:{path}"], "health": check},
        "ejecting": {
            "servers": pair,
            "balance": "round_robin",
            "eject": {"statuses": [503], "after": 3, "for": "20s"},
        },
        "some": {"servers": pair, "eject": {"max_percent": "40%"}},
        "once": {"servers": pair, "retries": "off"},
        "frugal": {"servers": pair, "retries": {"budget": "1%", "min_per_second": 0.1}},
        "broken": {
            "servers": [one.url],
            "breaker": {"errors": "50%", "of": "4 requests", "open_for": "1s"},
        },
        "breaking": {
            "servers": [one.url],
            "breaker": {"errors": "50%", "of": 2, "open_for": "60s"},
        },
        "shared": {"servers": pair, "breaker": {"errors": "50%", "of": 2, "open_for": "60s"}},
        "hurried": {"servers": [f"http://127.0.0.1:{gone}"], "try_for": "0s"},
        "patient": {"servers": [f"http://127.0.0.1:{gone}"], "try_for": "1s"},
    }
    routes = [{"path": f"/{name}/*", "upstream": name, "auth": "public"} for name in upstreams]
    logins = [
        {
            "kind": "backend",
            "path": f"/login/{name}",
            "upstream": name,
            "subject_prefix": f"{name}:",
        }
        for name in ("checked", "alone", "breaking", "some")
    ]
    with gateway(
        tmp_path_factory.mktemp("health"),
        redis.url,
        upstreams=upstreams,
        routes=routes,
        login=logins,
        guessing="off",
    ) as started:
        yield Site(started, one, other, on_socket)
    one.stop()
    other.stop()


@pytest.fixture
def site(running: Site) -> Site:
    running.reset()
    return running


@cases("name", {"least busy": "weighted", "round robin": "turns"})
def test_a_server_of_three_times_the_weight(site: Site, name: str) -> None:
    """It gets three of four requests."""
    assert site.served(f"/{name}/", 40) == {site.one.port: 30, site.other.port: 10}


def test_a_cookie_keeps_a_client_at_one_server(site: Site) -> None:
    """The gateway sets it once; it names no server, and each server has a part of the clients."""
    firsts = set()
    for _ in range(12):
        status, answer = site.ask("/sticky/")
        cookie = re.search(rb"(?i)set-cookie: (stay=[A-Za-z0-9_-]{22}); Path=/; HttpOnly; ", answer)
        assert status == 200
        assert cookie is not None
        assert b"127.0.0.1" not in cookie[0]
        stays = site.served("/sticky/", 4, b"Cookie: a=b; " + cookie[1] + b"\r\n")
        assert len(stays) == 1
        firsts |= set(stays)
        assert b"%d" % next(iter(stays)) in answer, "the first request was there already"
        again = site.ask("/sticky/", b"Cookie: " + cookie[1] + b"\r\n")[1]
        assert b"set-cookie" not in again.lower()
    assert firsts == {site.one.port, site.other.port}


def test_a_client_without_a_session_stays_by_its_address(site: Site) -> None:
    assert len(site.served("/address/", 10)) == 1


def test_another_server_takes_over(site: Site) -> None:
    """The sticky server is away: the other one serves all of its clients."""
    fields = b"Cookie: stay=any-text\r\n"
    (home,) = site.served("/moving/", 2, fields)
    server = site.one if home == site.one.port else site.other
    server.status = b"closes"
    (away,) = site.served("/moving/", 6, fields)
    assert away != home


def test_an_unhealthy_server_gets_no_requests(site: Site) -> None:
    """Until it is healthy again; no request has to fail first."""
    site.one.health = b"500 Internal Server Error"
    eventually(lambda: site.served("/checked/", 4) == {site.other.port: 4})
    site.one.health = b"204 No Content"
    eventually(lambda: len(site.served("/checked/", 4)) == 2)


def test_an_ejected_server_comes_before_an_unhealthy_one(site: Site) -> None:
    """A request at which the only healthy server closes leads no other to the unhealthy one."""
    site.one.health = b"500 Internal Server Error"
    eventually(lambda: site.served("/checked/", 4) == {site.other.port: 4})
    eventually(lambda: site.served("/steady/", 4, b"Cookie: stay=a\r\n") == {site.other.port: 4})
    asked = site.one.asked
    for path in ("/checked/", "/steady/"):
        for number in range(6):
            fields = b"Cookie: stay=%d\r\n" % number
            site.other.status = b"closes"
            assert site.ask(path, fields, method="POST")[0] == 502
            site.other.status = b"200 OK"
            assert site.served(path, 2, fields) == {site.other.port: 2}
    assert site.one.asked == asked
    site.one.health = b"204 No Content"
    eventually(lambda: len(site.served("/checked/", 4)) == 2)


def test_no_healthy_server(site: Site) -> None:
    """503 at once, with the upstream's name and when to come again."""
    assert site.ask("/alone/")[0] == 200
    site.one.health = b"404 Not Found"
    eventually(lambda: site.ask("/alone/")[0] == 503)
    asked = site.one.asked
    status, answer = site.ask("/alone/")
    assert (status, site.one.asked) == (503, asked)
    assert b"Retry-After: 1\r\n" in answer
    assert b'"reason": "upstream_down"' in answer
    assert b"upstream alone" in answer
    site.one.health = b"200 OK"
    eventually(lambda: site.ask("/alone/")[0] == 200)


def test_a_new_worker_knows_who_is_well(site: Site, start: Start) -> None:
    """It asks before its first request, and the first check decides: as after a reload."""
    site.one.health = b"500 Internal Server Error"
    new = start(
        upstreams={
            "shop": {"servers": [site.one.url, site.other.url], "health": {"path": "/healthz"}}
        },
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        login={"kind": "backend", "path": "/login", "upstream": "shop"},
    )
    of_new = Site(new, site.one, site.other, site.on_socket)
    assert of_new.served("/", 8) == {site.other.port: 8}


def test_a_server_on_a_unix_socket_is_asked(site: Site) -> None:
    """Once it is gone, requests are 503 at once, and not after `timeouts.connect`."""
    checks = 'latchkey_upstream_health_checks_total{result="ok",upstream="socket"}'
    eventually(lambda: site.gateway.metrics().get(checks, 0) > 0)
    assert site.ask("/socket/")[0] == 204
    site.on_socket.stop()
    eventually(lambda: b'"reason": "upstream_down"' in site.ask("/socket/")[1])


def test_an_answer_of_choice_ejects(site: Site) -> None:
    """After so many in a row; they pass to the client all the same."""
    site.one.status = b"503 Service Unavailable"
    statuses = [site.ask("/ejecting/", method="POST")[0] for _ in range(40)]
    assert statuses.count(503) == site.one.asked == 3


def test_not_all_servers_may_be_ejected(site: Site) -> None:
    """40 % of two is none, so a server that fails goes on being asked."""
    site.one.status = b"closes"
    statuses = [site.ask("/some/", method="POST")[0] for _ in range(12)]
    assert statuses.count(502) == site.one.asked > 3


def test_retries_have_a_budget(site: Site) -> None:
    """Of a few requests, one may be sent again in ten seconds; the next failure is told."""
    site.one.status = site.other.status = b"closes"
    assert [site.ask("/frugal/")[0] for _ in range(4)] == [502] * 4
    assert site.one.asked + site.other.asked == 5


def test_no_retries(site: Site) -> None:
    """A GET that was sent to a server goes to no other one; the next ones avoid it."""
    site.one.status = b"closes"
    statuses = [site.ask("/once/")[0] for _ in range(6)]
    assert statuses.count(502) == site.one.asked == 1


def test_a_breaker_opens_and_closes(site: Site) -> None:
    """Open, the server is not asked; after its time, one request tries, and it may open again."""
    site.one.status = b"503 Service Unavailable"
    assert [site.ask("/broken/")[0] for _ in range(4)] == [503] * 4
    status, answer = site.ask("/broken/")
    assert (status, site.one.asked) == (503, 4)
    assert b'"reason": "circuit_open"' in answer
    assert b"upstream broken" in answer
    assert re.search(rb"Retry-After: [12]\r\n", answer)
    site.one.status = b"200 OK"
    eventually(lambda: site.ask("/broken/")[0] == 200)
    assert [site.ask("/broken/")[0] for _ in range(4)] == [200] * 4
    site.one.status = b"503 Service Unavailable"
    reasons = [b"circuit_open" in site.ask("/broken/")[1] for _ in range(3)]
    assert reasons == [False, False, True]


def test_a_request_that_another_server_answers_opens_no_breaker(site: Site) -> None:
    """Of the last two, one was sent in vain to the first server, and none has failed."""
    site.one.status = b"closes"
    assert [site.ask("/shared/")[0] for _ in range(6)] == [200] * 6
    assert site.one.asked >= 1


def test_how_long_a_restart_is_waited_for(site: Site) -> None:
    """`try_for`, whatever `timeouts.connect` is; 0 s refuses at once."""
    for name, least in (("hurried", 0.0), ("patient", 1.0)):
        began = time.monotonic()
        assert site.ask(f"/{name}/")[0] == 502
        assert time.monotonic() - began >= least


def _log_in(site: Site, name: str) -> tuple[int, bytes]:
    return site.ask(f"/login/{name}", method="POST")


def test_logins_go_to_a_healthy_server(site: Site) -> None:
    """A login is sent once, so it would be lost at another one."""
    site.one.health = b"500 Internal Server Error"
    eventually(lambda: site.served("/checked/", 4) == {site.other.port: 4})
    before = site.one.asked, site.other.asked
    for _ in range(4):
        _log_in(site, "checked")
    assert (site.one.asked, site.other.asked) == (before[0], before[1] + 4)
    site.one.health = b"204 No Content"
    eventually(lambda: len(site.served("/checked/", 4)) == 2)


def test_no_login_at_an_unhealthy_server(site: Site) -> None:
    """503 at once, as any other request."""
    site.one.health = b"404 Not Found"
    eventually(lambda: site.ask("/alone/")[0] == 503)
    asked = site.one.asked
    status, answer = _log_in(site, "alone")
    assert (status, site.one.asked) == (503, asked)
    assert b"Retry-After: 1\r\n" in answer
    assert b'"reason": "upstream_down"' in answer
    site.one.health = b"204 No Content"
    eventually(lambda: site.ask("/alone/")[0] == 200)


def test_logins_and_requests_share_a_breaker(site: Site) -> None:
    """Two logins that fail open it; then neither a request nor a login is sent."""
    site.one.status = b"closes"
    assert [_log_in(site, "breaking")[0] for _ in range(2)] == [502] * 2
    asked = site.one.asked
    for status, answer in (site.ask("/breaking/"), _log_in(site, "breaking")):
        assert status == 503
        assert b'"reason": "circuit_open"' in answer
        assert b"Retry-After: " in answer
    assert site.one.asked == asked


def test_logins_and_requests_share_ejections(site: Site) -> None:
    """What a login has found out, requests need not; at `some`, no server may be ejected."""
    eventually(lambda: len(site.served("/checked/", 4)) == 2)
    site.reset()
    site.one.status = b"closes"
    for _ in range(6):
        _log_in(site, "checked")
    assert site.one.asked == 1
    assert [site.ask("/checked/", method="POST")[0] for _ in range(6)] == [200] * 6
    assert site.one.asked == 1
    for _ in range(8):
        _log_in(site, "some")
    assert site.one.asked > 2

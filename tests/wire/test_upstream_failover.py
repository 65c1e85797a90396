"""wire-rules.md#D8: an upstream of two servers, of which one fails."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gateway.core.http.balancing import FIRST_EJECTION_SECONDS
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Answer, Client, Upstream, Visit, always
from tests.support.redis_server import RedisServer
from tests.wire.vectors import cases

# As many upstreams as there are tests, or more: each begins with servers that have not failed yet.
# Not many more, for the gateway's log has at most 20 lines a minute of each message.
_UPSTREAMS = 22
_FEW = ("few0", "few1")  # upstreams with few places, one for each test with `Full`
_RESPONSE_TIMEOUT = 1.0

_UNAVAILABLE = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Site:
    """A gateway before two servers."""

    gateway: Gateway
    good: Upstream
    bad: Upstream
    path: str = ""  # leads to both of them

    def ask(self, method: str = "GET", body: bytes = b"") -> int:
        """Sends a request over a connection of its own, and returns the status."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {self.path}x HTTP/1.1\r\nHost: a.example\r\n{length}\r\n"
        with Client(self.gateway.port) as client:
            client.send(head.encode() + body)
            return client.answer()[0]


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer
) -> Iterator[tuple[Site, Iterator[int]]]:
    good, bad = Upstream(), Upstream()
    pairs = {f"pair{number}": {"servers": [bad.url, good.url]} for number in range(_UPSTREAMS)}
    few = {name: {"servers": [bad.url, good.url], "max_connections": 2} for name in _FEW}
    routes = [
        {
            "path": f"/{name}/*",
            "upstream": name,
            "auth": "public",
            "response_timeout": HANG if name in few else _RESPONSE_TIMEOUT,
        }
        for name in [*pairs, "only", *few]
    ]
    upstreams = {**pairs, "only": bad.url, **few}
    with gateway(
        tmp_path_factory.mktemp("servers"), redis.url, upstreams=upstreams, routes=routes
    ) as started:
        yield Site(started, good, bad), itertools.count()
    good.stop()
    bad.stop()


@pytest.fixture
def site(running: tuple[Site, Iterator[int]]) -> Site:
    """The two servers, behind an upstream that nothing is known of yet."""
    found, numbers = running
    found.good.clear()
    found.bad.clear()
    found.path = f"/pair{next(numbers)}/"
    return found


def _closes_at_once(visit: Visit) -> None:
    visit.close()


def _reads_and_closes(visit: Visit) -> None:
    visit.head()
    visit.close()


def _reads_and_resets(visit: Visit) -> None:
    visit.head()
    visit.reset()


def _is_silent(visit: Visit) -> None:
    visit.head()


def _breaks_off(data: bytes) -> Answer:
    def answer(visit: Visit) -> None:
        visit.head()
        visit.send(data)
        visit.close()

    return answer


_HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nX-A"


def _pauses_in_its_head(visit: Visit) -> None:
    visit.head()
    visit.send(_HALF_A_HEAD)


@cases(
    "failing",
    {
        "closes at once": (_closes_at_once, "GET"),
        "reads and closes": (_reads_and_closes, "DELETE"),
        "reads and resets": (_reads_and_resets, "PUT"),
        "says nothing": (_is_silent, "GET"),
        "closes in its head": (_breaks_off(_HALF_A_HEAD), "GET"),
        "pauses in its head": (_pauses_in_its_head, "OPTIONS"),
    },
    "method",
)
def test_a_repeatable_request_goes_once_to_the_other_server(
    site: Site, failing: Answer, method: str
) -> None:
    """wire-rules.md#D8: what can be repeated goes once to the other server, and the next ones go
    there at once.
    """
    site.bad.clear(failing)
    assert [site.ask(method) for _ in range(12)] == [200] * 12
    assert len(site.bad.visits) <= 2
    assert len(site.good.visits) >= 1


@cases("sent", {"POST": ("POST", b""), "PUT with a body": ("PUT", b"hello")})
def test_a_request_that_is_not_repeatable_is_sent_once(site: Site, sent: tuple[str, bytes]) -> None:
    """wire-rules.md#D8: a request that might be carried out twice is sent once, but the next avoid
    that server.
    """
    site.bad.clear(_reads_and_closes)
    statuses = [site.ask(*sent) for _ in range(12)]
    assert statuses.count(502) == len(site.bad.visits) <= 2
    assert statuses.count(200) == 12 - statuses.count(502)
    method = sent[0].encode()
    assert site.bad.got.count(method) + site.good.got.count(method) == 12


@cases(
    "data",
    {
        "no HTTP": b"hello\r\n\r\n",
        "an interim head": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    },
)
def test_a_head_is_no_reason_to_repeat(site: Site, data: bytes) -> None:
    """wire-rules.md#D8: it is not repeated when a head has come, but the server is passed over."""
    site.bad.clear(_breaks_off(data))
    statuses = [_final(site) for _ in range(12)]
    assert 1 <= statuses.count(502) == len(site.bad.visits) <= 2
    assert statuses.count(200) == 12 - statuses.count(502)


def _final(site: Site) -> int:
    """The status of a GET behind interim answers."""
    with Client(site.gateway.port) as client:
        client.send(f"GET {site.path}x HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        status = 103
        while status < 200:
            status = client.answer()[0]
    return status


def test_an_answer_that_breaks_off_is_not_repeated(site: Site) -> None:
    """wire-rules.md#D8: nor when the answer has begun; the next ones go to the other server."""
    site.bad.clear(_breaks_off(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"))
    whole = 0
    for _ in range(12):
        with Client(site.gateway.port) as client:
            client.send(f"GET {site.path}x HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            whole += client.rest().endswith(b"ok") if client.head().count(b": 100") else 1
    assert whole >= 10


@cases(
    "status",
    {
        "503": b"503 Service Unavailable",
        "500": b"500 Internal Server Error",
        "502": b"502 Bad Gateway",
        "429": b"429 Too Many Requests",
    },
)
def test_a_server_that_errs_at_once_gets_no_more_than_its_share(site: Site, status: bytes) -> None:
    """wire-rules.md#D8: its answers pass, but being quick at that, it gets no more than its share
    (one half).
    """

    def works(visit: Visit) -> None:
        for _ in visit.requests():
            time.sleep(0.05)
            visit.send(OK)

    site.bad.clear(always(_UNAVAILABLE % status))
    site.good.clear(works)
    statuses: list[int] = []

    def call_often() -> None:
        statuses.extend(site.ask() for _ in range(25))

    callers = [threading.Thread(target=call_often) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(HANG)
    assert len(statuses) == 100
    assert 1 <= statuses.count(int(status[:3])) < 50


def test_failed_servers_are_asked_when_all_have_failed(site: Site) -> None:
    """wire-rules.md#D8: when all servers have failed, they are asked all the same; a request goes
    to two.
    """
    site.bad.clear(_reads_and_closes)
    site.good.clear(_reads_and_closes)
    assert [site.ask() for _ in range(4)] == [502] * 4
    assert len(site.bad.visits) == len(site.good.visits) == 4
    site.good.clear()
    assert [site.ask() for _ in range(4)] == [200] * 4


def test_a_probe_is_a_request_that_can_be_repeated(site: Site) -> None:
    """wire-rules.md#D8: a request that would be lost with a server that still fails goes to one that works."""
    site.bad.clear(_reads_and_closes)
    assert [site.ask() for _ in range(4)] == [200] * 4
    time.sleep(FIRST_EJECTION_SECONDS)
    visits = len(site.bad.visits)
    assert [site.ask("POST", b"hello") for _ in range(6)] == [200] * 6
    assert len(site.bad.visits) == visits
    assert [site.ask() for _ in range(2)] == [200] * 2
    assert len(site.bad.visits) == visits + 1


class Full:
    """Both servers, with as many requests as they have places for; those at the bad one end as the
    test says, and those at the good one are answered when it is `free`.
    """

    def __init__(self, site: Site, upstream: str) -> None:
        """`upstream` is one of `_FEW`, of which nothing is known yet."""
        self.site = site
        self.free = threading.Event()
        self.ends: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # an answer, or b"" for a close
        self.statuses: list[int] = []
        self._clients: list[threading.Thread] = []
        site.path = f"/{upstream}/"
        site.bad.clear(self._fails)
        site.good.clear(self._works)
        for _ in range(4):
            self.ask("GET")
        _until(lambda: len(site.bad.visits) == len(site.good.visits) == 2)

    def ask(self, method: str) -> None:
        client = threading.Thread(target=lambda: self.statuses.append(self.site.ask(method)))
        client.start()
        self._clients.append(client)

    def end(self) -> list[int]:
        """Has the good server answer, and returns the statuses of all requests."""
        self.free.set()
        for client in self._clients:
            client.join(HANG)
        return self.statuses

    def _fails(self, visit: Visit) -> None:
        visit.head()
        if answer := self.ends.get(timeout=HANG):
            visit.send(answer)
        else:
            visit.close()

    def _works(self, visit: Visit) -> None:
        seen = 0
        while True:
            seen += len(visit.request(seen))
            self.free.wait(HANG)
            visit.send(OK)


def test_a_repeated_request_gets_no_place_where_it_has_failed(site: Site) -> None:
    """wire-rules.md#D8: a repeated request that waits for a place gets none at the server that has failed it."""
    full = Full(site, _FEW[0])
    full.ends.put(b"")
    _until(lambda: sum(visit.ended for visit in site.bad.visits) == 1)
    full.ends.put(OK)  # which is a good reason to send others there
    _until(lambda: len(full.statuses) == 1)
    assert full.end() == [200] * 4
    assert site.bad.got.count(b"HTTP/1.1") == 2


def test_waiting_requests_get_no_place_at_a_failing_server(site: Site) -> None:
    """wire-rules.md#D8: requests that wait for a place get none at a failing server while another one works."""
    full = Full(site, _FEW[1])
    full.ask("POST")
    time.sleep(0.2)
    full.ends.put(b"")
    full.ends.put(b"")
    _until(lambda: all(visit.ended for visit in site.bad.visits))
    assert full.end() == [200] * 5
    assert site.bad.got.count(b"HTTP/1.1") == 2


def test_a_server_that_is_back_gets_its_share(site: Site) -> None:
    """wire-rules.md#D8: a server that answers again gets its share again."""
    site.bad.clear(_reads_and_closes)
    assert [site.ask() for _ in range(4)] == [200] * 4
    site.bad.clear()
    _until(lambda: site.ask() == 200 and site.bad.got.count(b"GET") >= 5)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_only_server_is_asked_each_time(site: Site) -> None:
    """wire-rules.md#D8: where there is one server alone, each request is its chance."""
    site.path = "/only/"
    site.bad.clear(_reads_and_closes)
    assert [site.ask() for _ in range(3)] == [502] * 3
    assert len(site.bad.visits) == 3
    site.bad.clear()
    assert site.ask() == 200


def test_the_log_names_a_server_that_is_ejected(site: Site) -> None:
    """wire-rules.md#D8: the log names the server that is passed over, and says when it is back."""
    site.bad.clear(_reads_and_closes)
    for _ in range(4):
        site.ask()
    name = site.path.strip("/")
    passed_over = f"upstream {name}: {site.bad.url} is passed over for a while: closed, without"
    assert site.gateway.log.read_text().count(passed_over) == 1
    site.bad.clear()
    back = f"upstream {name}: {site.bad.url} answers again"
    _until(lambda: site.ask() == 200 and back in site.gateway.log.read_text())

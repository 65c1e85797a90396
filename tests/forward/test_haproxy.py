"""HAProxy's Lua with gateways that answer as none should: what goes wrong lets nothing pass."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.forward.sites import PROXIES, Answer, fields_of, read
from tests.support.processes import free_port, running
from tests.support.raw import Upstream, Visit, always, ask

YES = "HTTP/1.1 200 OK\r\nAuthorization: Bearer {}\r\nX-User-Id: alice\r\nCookie: \r\n{}\r\n"
NONE = "Content-Length: 0\r\n"
LIES = "X-User-Id: admin\r\nAuthorization: Bearer the-key\r\nCookie: the-key\r\n"


@dataclass
class Asking:
    """HAProxy by the example, between a gateway and a backend that a test plays."""

    port: int
    gateway: Upstream
    backend: Upstream

    def ask(self, fields: str = LIES, method: str = "GET", body: bytes = b"") -> Answer:
        if body:
            fields += f"Content-Length: {len(body)}\r\n"
        head = f"{method} /api/x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}"
        return read(ask(self.port, f"{head}\r\n".encode() + body))

    def answers(self, answer: bytes) -> None:
        self.gateway.clear(always(answer))
        self.backend.clear()

    @property
    def reached(self) -> bytes:
        return self.backend.got


@contextmanager
def asking(folder: Path, old: str = "mode", new: str = "mode") -> Iterator[Asking]:
    """`new` takes the place of `old` in the example."""
    gateway, backend, port = Upstream(), Upstream(), free_port()
    gateway.answer = always(yes())
    command = PROXIES["haproxy"](folder, {8000: port, 8080: gateway.port, 9000: backend.port})
    files = (folder / "haproxy.cfg", folder / "haproxy.lua")
    assert any(old in file.read_text() for file in files)
    for file in files:
        file.write_text(file.read_text().replace(old, new))
    try:
        with running(command, log=folder / "log", port=port):
            yield Asking(port, gateway, backend)
    finally:
        gateway.stop()
        backend.stop()


def yes(token: str = "the-token", fields: str = NONE) -> bytes:
    return YES.format(token, fields).encode()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("haproxy")) as haproxy:
        yield haproxy


@pytest.fixture
def here(one: Asking) -> Iterator[Asking]:
    """It serves after each test as before."""
    one.answers(yes())
    yield one
    one.answers(yes())
    assert one.ask().status == 200


def test_who_may_pass(here: Asking) -> None:
    """What the gateway says takes the place of all the client's; what it leaves empty goes."""
    here.answers(yes())
    assert here.ask(LIES * 2).status == 200
    request = fields_of(here.reached)
    assert (request["authorization"], request["x-user-id"]) == ("Bearer the-token", "alice")
    assert "cookie" not in request


BROKEN = {
    "another yes": yes().replace(b"200 OK", b"201 Created"),
    "a switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "a field unsaid": yes().replace(b"Cookie: \r\n", b""),
    "a field twice": yes(fields="X-User-Id: bob\r\n" + NONE),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a token that HAProxy cannot hold": yes("t" * 40_000),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_answer_is_no_yes(here: Asking, answer: bytes) -> None:
    """Only a 200 that says all is one; the rest is a fault of the server's."""
    here.answers(answer)
    assert here.ask().status in (502, 503)
    assert here.reached == b""


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nAuthorization: Bearer the-to"])
def test_an_answer_that_breaks_off(here: Asking, sent: bytes) -> None:
    """Asked again, and then refused."""

    def answer(visit: Visit) -> None:
        visit.request()
        visit.send(sent)
        visit.close()

    here.answers(b"")
    here.gateway.answer = answer
    assert here.ask().status == 502
    assert here.reached == b""


def test_connections_that_were_all_closed(here: Asking) -> None:
    """As by a gateway's reload: HAProxy tries four of those that it has kept, and the action goes
    on until the gateway has been asked.
    """
    tries = itertools.count()

    def answer(visit: Visit) -> None:
        visit.request()
        if next(tries) >= 4:
            visit.send(yes())
        visit.close()

    here.answers(b"")
    here.gateway.answer = answer
    assert here.ask().status == 200
    assert next(tries) == 5


def test_a_gateway_that_is_silent(tmp_path: Path) -> None:
    """What is waited for is bounded; the example waits for longer, which is all that is changed."""
    with asking(tmp_path, "TIMEOUT = 5000", "TIMEOUT = 100") as haproxy:
        haproxy.answers(b"")
        assert haproxy.ask().status == 504
        assert haproxy.reached == b""


def test_a_refusal_is_passed_on(here: Asking) -> None:
    """With its status, all its fields and its body; to a HEAD without the body."""
    page = b"<p>" * 8000
    told = b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nRetry-After: 7\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(page), page)
    whole = b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
    for body in (chunks, whole):
        here.answers(b"HTTP/1.1 503 Service Unavailable\r\n" + told + body)
        for method, sent in (("GET", page), ("POST", page), ("HEAD", b"")):
            answer = here.ask(method=method)
            assert (answer.fields[":"], answer.body) == ("HTTP/1.1 503 Service Unavailable", sent)
            assert answer.fields["set-cookie"] == "a=1 & b=2"
            assert (answer.fields["retry-after"], answer.fields["content-length"]) == ("7", "24000")
    assert here.reached == b""


@pytest.mark.parametrize("count", [80, 86, 90, 95, 96, 97, 98, 99, 100, 150])
def test_many_fields(here: Asking, count: int) -> None:
    """A question holds all that the client has sent, or is not asked: HAProxy's own client dies of
    one with too many fields.
    """
    answer = here.ask(LIES + "".join(f"X-{number}: a\r\n" for number in range(count)))
    if count > 80:
        assert answer.status in (400, 431)
        assert (here.gateway.got, here.reached) == (b"", b"")
    else:
        assert answer.status == 200
        assert all(f"x-{number}: a".encode() in here.gateway.got for number in range(count))


@pytest.mark.parametrize("size", [2_000, 8_000, 16_000])
def test_long_fields_and_a_long_token(here: Asking, size: int) -> None:
    """The longest that the gateway takes fits in beside a body that fills HAProxy's buffer."""
    here.answers(yes("t" * 16_000))
    answer = here.ask(f"X-Long: {'l' * (size - 200)}\r\n{LIES}", "PUT", b"b" * 200_000)
    assert answer.status == 200
    head, _, body = here.reached.partition(b"\r\n\r\n")
    assert fields_of(head)["authorization"] == f"Bearer {'t' * 16_000}"
    assert body == b"b" * 200_000


def test_a_token_without_room(tmp_path: Path) -> None:
    """HAProxy drops a field that does not fit, without a word; such a request does not pass."""
    with asking(tmp_path, "tune.maxrewrite 16384", "tune.maxrewrite 1024") as haproxy:
        haproxy.answers(yes("t" * 8_000))
        assert haproxy.ask().status == 200
        haproxy.backend.clear()
        assert haproxy.ask(method="PUT", body=b"b" * 200_000).status == 503
        assert haproxy.reached == b""

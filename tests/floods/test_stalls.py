"""No request within the limits keeps a worker busy for long, so all others wait for no time.

What counts is the CPU time of the worker's event loop: it is what others wait for, and tells the
same on a machine that has other work.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import accounts, log_in
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit

# What one request may take of the loop, in seconds; an ordinary one takes a thousandth of it.
MAX_STALL = 0.1

# Of a field, as large as a head may be by default.
FIELD = 30 * 1024


GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"


def loop_time(relay: Gateway) -> float:
    """CPU time of the worker's first thread, in which its event loop runs, in seconds."""
    (worker,) = relay.workers()
    return int(Path(f"/proc/{worker}/schedstat").read_text().split()[0]) / 1e9


def stall(relay: Gateway, request: bytes) -> float:
    """How long the loop is busy with one request, in seconds."""
    with Client(relay.port) as client:
        before = loop_time(relay)
        client.send(request)
        client.head()
        return loop_time(relay) - before


def post(path: str, body: bytes, *lines: bytes) -> bytes:
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"POST %b HTTP/1.1\r\nHost: a.example\r\n%bContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        fields,
        len(body),
        body,
    )


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Type: application/json; a=" + b'";' * (FIELD // 2),
        b"Content-Type: multipart/form-data; a=" + b'\\"' * (FIELD // 2),
        b"Content-Type: " + b"a/" * (FIELD // 2),
        b"a" * FIELD,
        b"a:" * (FIELD // 2) + b"\0",
    ],
    ids=["quotes", "escapes", "slashes", "no colon", "colons"],
)
def test_a_field_stalls_nobody(relay: Gateway, line: bytes) -> None:
    """Whatever a field holds, or a line that is none."""
    log_in(relay.port)  # what is imported with the first login is not the field's doing
    assert stall(relay, post("/login", b'{"username": "alice"}', line)) < MAX_STALL


def deep(depth: int, *, size: int) -> bytes:
    """JSON in which many strings stand at the end of a long path; `size` in bytes."""
    strings = b'"",' * (size // 3)
    return b'{"a":' * depth + b"[" + strings + b'""]' + b"}" * depth


def repeating(visit: Visit) -> None:
    """A backend that refuses a login and says what was typed, as FastAPI does (422)."""
    for request in visit.requests():
        body = request.partition(b"\r\n\r\n")[2]
        answer = b'{"detail": [{"type": "missing", "input": %b}]}' % body
        head = b"HTTP/1.1 422 Unprocessable Content\r\nContent-Type: application/json\r\n"
        visit.send(head + b"Content-Length: %d\r\n\r\n" % len(answer) + answer)


@pytest.fixture
def repeats(login_upstream: Upstream) -> Iterator[None]:
    login_upstream.clear(repeating)
    yield
    login_upstream.clear(accounts)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (deep(900, size=900_000), 502),
        (deep(50, size=900_000), 502),
        (deep(50, size=200_000), 422),
        (b'["%b"]' % (b"eyJ9." * 180_000), 422),
        (b'["%b"]' % (b'\\"' * 450_000), 422),
    ],
    ids=["deep", "many", "fewer", "like tokens", "escapes"],
)
def test_a_login_that_is_repeated_stalls_nobody(
    relay: Gateway, repeats: None, body: bytes, status: int
) -> None:
    """It is read beside the loop, which is busy with passing it on; what takes too long is 502."""
    request = post("/login", body, b"Content-Type: application/json")
    with Client(relay.port) as client:
        before = loop_time(relay)
        client.send(request)
        assert client.answer()[0] == status
        assert loop_time(relay) - before < MAX_STALL


def test_a_head_in_pieces_stalls_nobody(relay: Gateway, shop: Upstream) -> None:
    """What has come of a head is looked at again at each piece, which takes next to no time."""
    with Client(relay.port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send(b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: " + b"x" * 31_000)
        time.sleep(0.1)
        before = loop_time(relay)
        for _ in range(200):
            client.send(b"x")
            time.sleep(0.0005)  # so that it comes by itself
        client.send(b"\r\n\r\n")
        assert client.answer()[0] == 200
        assert loop_time(relay) - before < MAX_STALL


def test_many_requests_at_once_are_all_answered(relay: Gateway, shop: Upstream) -> None:
    """Those that are answered at once leave others their turn, and none of them is forgotten."""
    refused = b"POST /get/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"
    with Client(relay.port) as client:
        client.send(refused * 1000 + GET)
        assert {client.answer()[0] for _ in range(1000)} == {405}
        assert client.answer()[0] == 200


def test_clients_take_turns_at_what_takes_long(relay: Gateway, repeats: None) -> None:
    """Large replies of one address do not hold up another one's."""
    large = post("/login", deep(30, size=350_000), b"Content-Type: application/json")
    with ExitStack() as stack:
        greedy = [stack.enter_context(Client(relay.port)) for _ in range(20)]
        for client in greedy:
            client.send(large)
        other = stack.enter_context(Client(relay.port, "127.0.0.2"))
        other.send(post("/login", deep(30, size=100_000), b"Content-Type: application/json"))
        assert other.answer()[0] == 422
        assert sum(map(has_answer, greedy)) < 10


def has_answer(client: Client) -> bool:
    return bool(select.select([client.sock], [], [], 0)[0])

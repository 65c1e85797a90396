"""A flood past each limit on what one request or answer may be: each gets its refusal, memory stays
bounded, and another client is served all the while.

The limits on how many there may be, and how slow, have modules of their own here.
"""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import HANG, eventually, resident_bytes
from tests.support.raw import OK, Client, Upstream, Visit, status

# One client of the flood sends so much, all of them ten times the memory below.
MIB = 2**20
FLOOD = 200
AT_ONCE = 30
MAX_GROWTH_BYTES = 20 * MIB

OTHER = "127.0.0.2"  # the address of a client that wants no more than its turn

HEAD = b" HTTP/1.1\r\nHost: a.example\r\n"
CLOSE = b"Connection: close\r\n"
GET = b"GET /shop/" + HEAD + b"\r\n"
POST = b"POST /shop/" + HEAD + b"%b\r\n\r\n"
LOGIN = b"POST /login" + HEAD + CLOSE + b"%b\r\n\r\n"
CHUNKED = POST % b"Transfer-Encoding: chunked"
LARGE_HEAD = b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB
LARGE_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n" + b"x" * 2 * MIB


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream) -> Gateway:
    return start(
        upstreams={
            "shop": upstream.url,
            "few": {"servers": upstream.url, "max_connections": 1, "queue": {"size": 5}},
        },
        login={"kind": "backend", "path": "/login", "upstream": "shop", "guessing": "off"},
        routes=[
            {"path": "/shop/*", "upstream": "shop", "auth": "public"},
            {"path": "/few/*", "upstream": "few", "auth": "public"},
        ],
        limits={"body_size": "100KB", "per_address": "100%"},
        timeouts={"connect": 1},
    )


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        pytest.param(sent, refusal, id=limit)
        for limit, sent, refusal in (
            ("head_size", b"GET /shop/" + HEAD + b"X: " + b"x" * MIB, 431),
            ("fields", b"GET /shop/" + HEAD + b"X: x\r\n" * 5000 + b"\r\n", 431),
            ("target_size", b"GET /shop/" + b"x" * MIB, 414),
            ("body_size", POST % b"Content-Length: 1048576" + b"x" * MIB, 413),
            ("body_size in chunks", CHUNKED + b"100000\r\n" + b"x" * MIB, 413),
            ("extensions of a chunk", CHUNKED + b"1;" + b"x" * MIB, 400),
            ("trailers", CHUNKED + b"0\r\n" + b"X: x\r\n" * 50_000, 400),
            ("max_body of a login", LOGIN % b"Content-Length: 2097152" + b"x" * 2 * MIB, 413),
            ("max_reply of a login", LOGIN % b"Content-Length: 2" + b"{}", 502),
            ("response_head_size", b"GET /shop/wide" + HEAD + CLOSE + b"\r\n", 502),
        )
    ],
)
def test_a_size_over_the_limit(gate: Gateway, shop: Upstream, sent: bytes, refusal: int) -> None:
    """A client that goes on sending may miss its refusal; it gets nothing else."""
    shop.clear(_answers)
    [worker] = gate.workers()
    before = resident_bytes(worker)
    statuses = _flood(gate.port, sent)
    assert set(statuses) <= {refusal, 0}
    assert statuses.count(refusal) > FLOOD / 2
    assert resident_bytes(worker) - before < MAX_GROWTH_BYTES
    eventually(lambda: gate.metrics()["latchkey_client_connections"] == 0)


def test_requests_whose_answers_are_not_read(gate: Gateway, shop: Upstream) -> None:
    """Of pipelined requests so many are read as answers are taken; the rest waits at the client."""
    shop.clear(_answers)
    [worker] = gate.workers()
    before = resident_bytes(worker)
    with contextlib.ExitStack() as stack:
        for _ in range(AT_ONCE):
            client = stack.enter_context(Client(gate.port))
            client.sock.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                client.send(GET * (8 * MIB // len(GET)))
        assert _served(gate.port) < HANG
        assert resident_bytes(worker) - before < MAX_GROWTH_BYTES
        assert shop.got.count(b"GET ") < AT_ONCE * (8 * MIB // len(GET))
    eventually(lambda: gate.metrics()["latchkey_client_connections"] == 0)


def test_a_queue_that_is_full(gate: Gateway, shop: Upstream) -> None:
    """Of an upstream that does not answer, further requests are refused. Others are served."""
    shop.clear(_answers)
    statuses = _flood(gate.port, b"GET /few/slow" + HEAD + CLOSE + b"\r\n")
    assert set(statuses) == {200, 503}
    assert statuses.count(503) > FLOOD / 2


def _answers(visit: Visit) -> None:
    """Answers with a large head or body, after a moment, or at once."""
    for request in visit.requests():
        if b"/wide" in request or b"/login" in request:
            with contextlib.suppress(OSError):
                visit.send(LARGE_HEAD if b"/wide" in request else LARGE_REPLY)
            visit.close()
            return
        if b"/slow" in request:
            time.sleep(0.5)
        visit.send(OK)


def _flood(port: int, sent: bytes) -> list[int]:
    """The statuses that so many clients get, while another client is served."""
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = [clients.submit(_status, port, sent) for _ in range(FLOOD)]
        while not all(answer.done() for answer in answers):
            _served(port)
    return [answer.result() for answer in answers]


def _status(port: int, sent: bytes) -> int:
    """What a client gets that does not look before it has sent all; 0 after a reset."""
    with Client(port) as client:
        with contextlib.suppress(OSError):
            client.send(sent)
        answer = client.rest()
    return status(answer) if answer else 0


def _served(port: int) -> float:
    """Has the other client served. Returns the time that it took (seconds)."""
    began = time.monotonic()
    with Client(port, OTHER) as other:
        other.send(GET)
        assert other.answer()[0] == 200
    return time.monotonic() - began

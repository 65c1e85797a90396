"""wire-rules.md#D4: more than the limits allow."""

import resource
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import HANG, eventually, processor_time
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
LOGIN = b"POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def wide(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with high limits for heads."""
    return start(
        upstreams={"shop": upstream.url},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        limits={"head_size": "256KiB", "target_size": "100KiB"},
        timeouts={"idle": 1},
    )


@pytest.mark.parametrize(
    "request_",
    [
        GET[:-2] + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        GET.replace(b"/public/", b"/public/" + b"y" * 90_000),
    ],
    ids=["fields", "target"],
)
def test_a_raised_limit_holds(wide: Gateway, shop: Upstream, request_: bytes) -> None:
    """wire-rules.md#D2: a limit from config.yaml holds, also above what is read at once."""
    with Client(wide.port) as client:
        client.send(request_[:80_000])
        time.sleep(0.1)  # so that the head comes in two pieces
        client.send(request_[80_000:])
        assert client.answer()[::2] == (200, b"ok")
    assert b"y" * 90_000 in shop.got


@pytest.fixture(scope="module")
def narrow(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with few places."""
    return start(
        upstreams={"shop": {"servers": [upstream.url], "max_connections": 2}},
        login={"kind": "backend", "path": "/login", "upstream": "shop"},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        limits={"connections": 10, "requests": 4},
        timeouts={"connect": 1},
    )


def test_connections_over_the_limit_are_refused(narrow: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D4: the newest is refused with 503; those inside are unharmed; it recovers."""
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(narrow.port)) for _ in range(10)]
        for client in inside:
            client.send(GET)
            assert client.answer()[0] == 200
        answer = ask(narrow.port, b"")
        assert status(answer) == 503
        assert b"\r\nRetry-After: 1\r\n" in answer
        for client in inside:
            client.send(GET)
            assert client.answer()[0] == 200
    wait_until_served(narrow)


def wait_until_served(gateway: Gateway) -> None:
    """Until there is a place for a new connection again."""
    until = time.monotonic() + HANG
    request = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    while not (answer := ask(gateway.port, request)) or status(answer) != 200:
        assert time.monotonic() < until


def test_requests_over_the_limits_wait_or_are_refused(narrow: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D4: beyond the upstream's connections they wait a moment, beyond the limit they
    get 503.
    """
    release = threading.Event()

    def held(visit: Visit) -> None:
        visit.request()
        release.wait(10)
        visit.send(OK)
        always(OK)(visit)

    shop.clear(held)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(narrow.port)) for _ in range(5)]
        for client in clients[:2]:
            client.send(GET)
        shop.wait(lambda: shop.got.count(GET[:12]) == 2)
        for client in clients[2:5]:
            client.send(GET)
        # Two wait for a place, and have none within the connect timeout; the fifth is over the
        # limit of four.
        assert [client.answer()[0] for client in clients[2:5]] == [503] * 3
        release.set()
        assert [client.answer()[0] for client in clients[:2]] == [200, 200]


def test_out_of_file_descriptors_the_listener_pauses(narrow: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D4: those inside go on, nothing spins, and the listener recovers by itself. It
    is said, and a new connection to an upstream that cannot be made for it is not the upstream's
    fault.
    """
    [worker] = narrow.workers()
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(narrow.port)) for _ in range(3)]
        for client in inside:
            client.send(GET)
            assert client.answer()[0] == 200
        inside[1].send(LOGIN)
        assert inside[1].answer()[0] == 502  # what comes holds no token
        eventually(lambda: narrow.metrics()["latchkey_client_connections"] == len(inside))
        held = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (held + 2, hard))
        try:
            with ExitStack() as outside:
                for _ in range(40):
                    outside.enter_context(socket.create_connection(("127.0.0.1", narrow.port)))
                began = processor_time(worker)
                time.sleep(1)
                assert processor_time(worker) - began < 0.5
                for client in inside:
                    client.send(GET)
                    assert client.answer()[0] == 200
                shop.clear()
                for _ in range(10):  # they take the place of the upstream's connection
                    outside.enter_context(socket.create_connection(("127.0.0.1", narrow.port)))
                time.sleep(0.2)
                for client, request in zip(inside, (GET, LOGIN), strict=False):
                    client.send(request)
                    status_, _, body = client.answer()
                    assert (status_, b'"busy"' in body) == (503, True)
            log = narrow.log.read_text().lower()
            assert "connections are refused: too many open files" in log
            assert "no connection can be made: too many open files" in log
        finally:
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
    wait_until_served(narrow)


def test_many_idle_connections_are_no_burden(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D1: a thousand clients that say nothing do not keep one from being served."""
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(socket.create_connection(("127.0.0.1", relay.port)))
        with Client(relay.port) as client:
            client.send(GET)
            assert client.answer()[0] == 200


def test_an_idle_connection_is_closed(wide: Gateway, shop: Upstream) -> None:
    """After the idle timeout, without a word: the client has asked for nothing (RFC 9112 §9.5)."""
    with Client(wide.port) as client:
        client.send(GET)
        assert client.answer()[0] == 200
        assert client.rest() == b""

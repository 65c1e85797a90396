"""Guessing at two real gateways: who is told from whom, and what a login's body may take."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import json_answer, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import Client, Upstream, Visit, status
from tests.support.redis_server import RedisServer

OWNER, STRANGER = "192.0.2.7", "198.51.100.{}"
PAGE = "https://app.example"
PREFIX = "guessing:"


def knows(visit: Visit) -> None:
    """A backend that knows all users by any password but "wrong"; for "none" it gives no token."""
    for got in visit.requests():
        typed = json.loads(got.partition(b"\r\n\r\n")[2])
        match typed["password"]:
            case "wrong":
                visit.send(json_answer("401 Unauthorized", {"detail": "wrong password"}))
            case "none":
                visit.send(json_answer("200 OK", {"detail": "no token"}))
            case _:
                visit.send(json_answer("200 OK", {"token": token_of(typed["username"])}))


@pytest.fixture(scope="module")
def running_backend() -> Iterator[Upstream]:
    with Upstream(knows) as server:
        yield server


@pytest.fixture
def backend(running_backend: Upstream) -> Upstream:
    """The backend, with nothing recorded."""
    running_backend.clear(knows)
    return running_backend


def sections(backend: str) -> dict[str, Any]:
    login = {"kind": "backend", "upstream": "shop", "backend_path": "/login", "body_timeout": "1s"}
    return {
        "workers": 2,
        "upstreams": {"shop": backend},
        "login": [
            {**login, "path": "/login", "max_body": "1KiB"},
            {**login, "path": "/large", "max_body": "4KiB"},
        ],
        "routes": [],
        "guessing": {"per_account": 3, "per_address": 8, "delay_after": 0},
        "trusted_proxies": "127.0.0.1",
        "cors": {"origins": PAGE},
    }


@pytest.fixture(scope="module")
def running_pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Upstream
) -> Iterator[list[Gateway]]:
    """Two gateways behind a proxy that they trust: the test."""
    folder = tmp_path_factory.mktemp("pair")
    store, more = {"url": redis.url, "prefix": PREFIX}, sections(running_backend.url)
    with (
        gateway(folder / "one", store, **more) as one,
        gateway(folder / "two", store, **more) as two,
    ):
        yield [one, two]


@pytest.fixture
def pair(running_pair: list[Gateway], redis: RedisServer) -> list[Gateway]:
    """The gateways, when no login has failed."""
    with redis.client() as client:
        for name in client.scan_iter(f"{PREFIX}*"):
            client.delete(name)
    return running_pair


@pytest.fixture(scope="module")
def one(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Upstream
) -> Iterator[Gateway]:
    """A gateway for bodies, whose logins may fail as often as they like."""
    folder = tmp_path_factory.mktemp("one")
    more = {**sections(running_backend.url), "guessing": "off"}
    with gateway(folder, {"url": redis.url, "prefix": "bodies:"}, **more) as running:
        yield running


def log_in(
    at: Gateway, password: str, *lines: str, name: str = "alice", address: str = OWNER
) -> tuple[int, bytes]:
    """The status and the whole answer; each attempt over a connection of its own."""
    body = json.dumps({"username": name, "password": password}).encode()
    fields = "".join(f"{line}\r\n" for line in (f"X-Forwarded-For: {address}", *lines))
    with Client(at.port) as client:
        client.send(
            b"POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n%b\r\n%b"
            % (len(body), fields.encode(), body)
        )
        answer = client.rest()
    return status(answer), answer


def test_a_stranger_cannot_keep_the_owner_out(pair: list[Gateway]) -> None:
    """Failures count over both gateways and all their workers, for the address that they came from;
    what a client makes up of its address counts for nothing.
    """
    for turn in range(6):
        made_up = f"X-Real-IP: {STRANGER.format(turn)}"
        address = f"{STRANGER.format(turn)}, {STRANGER.format(99)}"
        got, answer = log_in(pair[turn % 2], "wrong", made_up, address=address)
        assert got == (401 if turn < 3 else 429)
    assert b"\r\nRetry-After: " in answer
    assert b'"too_many_attempts"' in answer
    for running in pair:
        assert log_in(running, "right", address=STRANGER.format(99))[0] == 429
        assert log_in(running, "right")[0] == 200
        assert log_in(running, "right", name="bob", address=STRANGER.format(99))[0] == 200


def test_an_address_that_tries_many_accounts(pair: list[Gateway]) -> None:
    """It has to wait for each of them, and no other client has to."""
    address = STRANGER.format(7)
    got = [log_in(pair[n % 2], "wrong", name=f"user-{n}", address=address)[0] for n in range(12)]
    assert got == [401] * 8 + [429] * 4
    assert log_in(pair[0], "right", name="user-1")[0] == 200


def test_untrusted_clients_do_not_choose_their_address(
    tmp_path: Path, redis: RedisServer, backend: Upstream
) -> None:
    """Where no proxy is trusted, a client is its connection's address."""
    more = {**sections(backend.url), "trusted_proxies": []}
    with gateway(tmp_path, {"url": redis.url, "prefix": f"{tmp_path.name}:"}, **more) as one:
        got = [log_in(one, "wrong", address=STRANGER.format(n))[0] for n in range(5)]
        assert got == [401, 401, 401, 429, 429]


def test_another_origins_page_may_read_the_refusal(pair: list[Gateway]) -> None:
    """As it may read the answers that it would get otherwise."""
    for _ in range(4):
        got, answer = log_in(pair[0], "wrong", f"Origin: {PAGE}")
        assert b"\r\nAccess-Control-Allow-Origin: https://app.example\r\n" in answer
    assert got == 429


def test_nothing_typed_is_in_any_log(pair: list[Gateway]) -> None:
    """Neither names nor passwords."""
    for _ in range(5):
        log_in(pair[0], "wrong", name="Wilhelmina-the-typed")
    pair[0].records(status=429)
    for log in (pair[0].log, pair[0].access_log):
        assert "ilhelmina" not in log.read_text()


def test_a_client_cannot_fill_the_log(one: Gateway) -> None:
    """Each of these logins succeeds at the backend, and its reply cannot be used."""
    line = "the backend answered 200 without a token"
    before = one.log.read_text().count(line)
    for _ in range(50):
        assert log_in(one, "none")[0] == 502
    assert one.log.read_text().count(line) - before <= 40, "20 of each worker"


# Ways to send attempts.


def attempt(password: str, *lines: str, address: str = OWNER) -> bytes:
    """One attempt as it is sent."""
    body = json.dumps({"username": "alice", "password": password}).encode()
    fields = "".join(f"{line}\r\n" for line in (f"X-Forwarded-For: {address}", *lines))
    return (
        b"POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%b\r\n%b" % (len(body), fields.encode(), body)
    )


def test_attempts_in_a_row_on_one_connection(pair: list[Gateway]) -> None:
    """Pipelined, each is an attempt: those behind the last that may fail are not tried."""
    with Client(pair[0].port) as client:
        client.send(attempt("wrong") * 4 + attempt("right") * 2)
        assert [client.answer()[0] for _ in range(6)] == [401] * 3 + [429] * 3


def test_attempts_that_wait_to_be_asked_for_their_body(pair: list[Gateway]) -> None:
    """`Expect: 100-continue`, whether the body comes at once or later."""
    for number in range(4):
        head, _, body = attempt("wrong", "Expect: 100-continue").partition(b"\r\n\r\n")
        with Client(pair[0].port) as client:
            client.send(head + b"\r\n\r\n" + body * (number % 2))
            status, _, _ = client.answer()
            if status == 100:
                client.send(body * (1 - number % 2))
                status, _, _ = client.answer()
        assert status == (401 if number < 3 else 429)


def test_who_hangs_up_has_guessed_all_the_same(pair: list[Gateway], backend: Upstream) -> None:
    """A client that does not wait for the answers to guesses has made them, on all gateways."""
    for number in range(3):
        with Client(pair[number % 2].port) as client:
            client.send(attempt("wrong"))
            backend.wait(lambda: len(backend.got.split(b"POST ")) == number + 2)  # noqa: B023
    assert log_in(pair[0], "right")[0] == 429
    assert log_in(pair[1], "right", name="bob")[0] == 200


# Bodies.


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [("/login", 1024, 200), ("/login", 1025, 413), ("/large", 4096, 200), ("/large", 4097, 413)],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body(one: Gateway, path: str, size: int, expected: int, chunked: bool) -> None:
    """Each login has its own limit, whether the length is told before or not."""
    body = b'{"username": "alice", "password": "x"}'.ljust(size)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
    with Client(one.port) as client:
        if chunked:
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
            client.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + framed)
        else:
            client.send(head + b"Content-Length: %d\r\n\r\n%b" % (size, body))
        answer = client.rest()
    assert (status(answer), b'"body_too_large"' in answer) == (expected, expected == 413)


def test_too_much_of_a_body_without_an_end(one: Gateway) -> None:
    """It is refused as soon as it is too large for this login, however much another one takes."""
    with Client(one.port) as client:
        client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"402\r\n%b\r\n" % b"x".ljust(1026))
        assert status(client.rest()) == 413


def test_who_leaves_in_the_middle(one: Gateway) -> None:
    """No client reads the answer, and nothing is wrong with the gateway: its log is silent."""
    with Client(one.port) as client:
        client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    one.records(route="/login", status=499)
    assert "an endpoint failed" not in one.log.read_text()


def test_a_body_without_an_end(one: Gateway) -> None:
    """A client that keeps on sending a little is cut off after `body_timeout`, and the backend is
    never asked; with a length as in chunks.
    """
    for framing, piece in (
        (b"Content-Length: 1000", b"x"),
        (b"Transfer-Encoding: chunked", b"1\r\nx\r\n"),
    ):
        with Client(one.port) as client:
            client.sock.settimeout(0.1)
            client.send(b"POST /login HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
            assert status(_trickle(client, piece)) == 408


def _trickle(client: Client, piece: bytes) -> bytes:
    """Sends a piece now and then until there is an answer."""
    until = time.monotonic() + HANG
    while time.monotonic() < until:
        client.send(piece)
        try:
            return client.sock.recv(65536)
        except TimeoutError:
            continue
    raise AssertionError("the body was read for ever")

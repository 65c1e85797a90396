"""wire-rules.md#D18: bodies that are read as a whole before a request takes a connection."""

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.processes import HANG, eventually, free_port, resident_bytes, running
from tests.support.raw import OK, Client, Upstream, Visit, ask, request, status

_MEMORY = 64 * 1024  # of one body
_LARGE = bytes(range(256)) * 2**14  # 4 MiB: more than the buffers on the way hold
_DISK = 6 * len(_LARGE)  # of all bodies
_CHUNKED = b"POST /%b HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n%b\r\n"

_APPLICATION = """
def application(environ, start_response):
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('CONTENT_LENGTH')} {size}".encode()]
"""


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers, each of which serves one request at a time."""
    folder, port = tmp_path_factory.mktemp("gunicorn"), free_port()
    (folder / "app.py").write_text(_APPLICATION)
    command = [sys.executable, "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}"]
    with running([*command, "app:application"], log=folder / "log", port=port, cwd=folder):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def buffering(start: Start, upstream: Upstream, login_upstream: Upstream, gunicorn: str) -> Gateway:
    options = {"auth": "public", "buffer_request": _MEMORY}
    return start(
        upstreams={"shop": upstream.url, "wsgi": gunicorn, "accounts": login_upstream.url},
        login=LOGIN,
        routes=[
            {"path": "/whole/*", "upstream": "shop", **options},
            {"path": "/small/*", "upstream": "shop", **options, "body_size": 100_000},
            {"path": "/wsgi/*", "upstream": "wsgi", **options},
            {"path": "/plain/*", "upstream": "shop", "auth": "public"},
            {"path": "/mine/*", "upstream": "shop", "buffer_request": _MEMORY}
            | {"close_on_logout": False},
        ],
        limits={"buffered": 8 * _MEMORY, "buffered_disk": _DISK},
    )


def chunks(body: bytes, size: int, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


@pytest.mark.parametrize("body", [b"", b"hello", bytes(_MEMORY), _LARGE])
def test_chunks_become_a_length(buffering: Gateway, shop: Upstream, body: bytes) -> None:
    """From memory or from a file. Trailers are dropped, and so are lines about chunks."""
    trailers = b"0\r\nX-Sum: 1\r\n\r\n"
    fields = b"TE: trailers\r\nX-A: Transfer-Encoding: chunked\r\nConnection: close\r\n"
    answer = ask(buffering.port, _CHUNKED % (b"whole/x", fields) + chunks(body, 9999, trailers))
    assert status(answer) == 200
    head, _, got = shop.got.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d" % len(body) in head
    assert b"\r\nTransfer-Encoding" not in head
    assert b"\r\nX-A: Transfer-Encoding: chunked\r\n" in head
    assert got == body


def test_no_server_is_asked_before_the_body_is_whole(buffering: Gateway, shop: Upstream) -> None:
    """Its next request, which has come with it, follows."""
    with Client(buffering.port) as client:
        client.send(b"POST /whole/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhell")
        time.sleep(0.3)
        assert shop.visits == []
        client.send(b"oGET /plain/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert client.answer()[0] == client.answer()[0] == 200
    assert b"\r\n\r\nhelloGET /plain/ " in shop.got


def test_a_client_that_waits_is_asked_for_its_body(buffering: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B5: the gateway asks itself, and the upstream gets the body with the head."""
    with Client(buffering.port) as client:
        client.send(_CHUNKED % (b"whole/x", b"Expect: 100-continue\r\n"))
        assert status(client.head()) == 100
        assert shop.visits == []
        client.send(chunks(b"hello", 2))
        assert client.answer()[0] == 200
    assert b"\r\nexpect:" not in shop.got.lower()
    assert shop.got.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("sent", [chunks(bytes(100_001), 5000), b"zz\r\n", b"5\r\nhelloX"])
def test_a_body_that_is_refused_reaches_no_server(
    buffering: Gateway, shop: Upstream, sent: bytes
) -> None:
    """wire-rules.md#A4, #D2: `body_size` holds as before, and bad chunks are 400."""
    with Client(buffering.port) as client:
        client.send(_CHUNKED % (b"small/x", b"") + sent)
        assert client.answer()[0] == (413 if len(sent) > 10 else 400)
    assert shop.visits == []


def test_a_body_that_ends_after_a_logout_reaches_no_server(
    buffering: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """Whatever the route says of what is open: this request would begin after the logout."""
    login_upstream.clear(accounts)
    key = log_in(buffering.port)
    bearer = f"Authorization: Bearer {key}"
    with Client(buffering.port) as client, Client(buffering.port) as other:
        head = f"POST /mine/x HTTP/1.1\r\nHost: a\r\n{bearer}\r\nContent-Length: 5\r\n\r\n"
        for sender in (client, other):
            sender.send(head.encode() + b"hell")
        other.send(b"o")
        assert other.answer()[0] == 200
        assert status(ask(buffering.port, request("POST /logout", bearer))) == 204
        client.send(b"o")
        assert client.answer()[0] == 401
    assert shop.got.count(b"POST /mine/x ") == 1


def test_no_client_takes_all_of_the_disk(buffering: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D12: there is room for another address while the first one has its share."""
    head = b"PUT /whole/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with Client(buffering.port) as first, Client(buffering.port) as second:
        first.send(head % (_DISK // 2) + bytes(_DISK // 2 - 1))
        eventually(lambda: bytes_in_files(buffering) > _DISK // 2 - 2 * _MEMORY)
        with contextlib.suppress(OSError):
            second.send(head % len(_LARGE) + _LARGE)
        assert second.answer()[0] == 507
        with Client(buffering.port, "127.0.0.2") as third:
            third.send(head % len(_LARGE) + _LARGE)
            assert third.answer()[0] == 200
    eventually(lambda: bytes_in_files(buffering) == 0)
    setting = "the client's share of limits.buffered_disk is full"
    assert buffering.records(path="/whole/x", status=507, cause=setting)
    assert status(ask(buffering.port, request("PUT /whole/x", body="0" * len(_LARGE)))) == 200


def bytes_in_files(running_gateway: Gateway) -> int:
    """How large the files without a name are that the worker has open."""
    [worker] = running_gateway.workers()
    folder, size = Path(f"/proc/{worker}/fd"), 0
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            size += entry.stat().st_size if str(entry.readlink()).endswith("(deleted)") else 0
    return size


def test_a_slow_server_gets_the_body_as_it_takes_it(buffering: Gateway, shop: Upstream) -> None:
    def reads_slowly(visit: Visit) -> None:
        time.sleep(0.5)
        while not visit.got.endswith(b"the end"):
            visit.read()
        visit.send(OK)

    shop.clear(reads_slowly)
    body = "0123456789" * 2**20 + "the end"
    assert status(ask(buffering.port, request("PUT /whole/x", body=body))) == 200
    assert shop.got.endswith(body.encode())


def test_an_answer_may_come_before_the_body_is_sent(buffering: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A13: it passes, and the upstream's connection is not used again."""

    def refuses(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")

    shop.clear(refuses)
    with Client(buffering.port) as client:
        client.send(_CHUNKED % (b"whole/x", b"") + chunks(_LARGE, 60000))
        assert client.answer()[0] == 403
        shop.wait(lambda: shop.visits[0].ended or not shop.visits[0].read())
    eventually(lambda: descriptors(buffering, "/tmp") == 0)


def descriptors(running_gateway: Gateway, prefix: str) -> int:
    """How many files below a folder the worker has open."""
    [worker] = running_gateway.workers()
    links = []
    for name in os.listdir(f"/proc/{worker}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{worker}/fd/{name}"))
    return sum(link.startswith(prefix) and link.endswith("(deleted)") for link in links)


def test_a_client_that_goes_away_leaves_no_file(buffering: Gateway, shop: Upstream) -> None:
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(Client(buffering.port))
            client.send(_CHUNKED % (b"whole/x", b"") + chunks(_LARGE[: 4 * _MEMORY], 9999, b""))
        eventually(lambda: descriptors(buffering, "/") == 10)
    eventually(lambda: descriptors(buffering, "/") == 0)
    assert shop.visits == []


def test_a_disk_that_is_full_is_507(buffering: Gateway, shop: Upstream) -> None:
    """Small bodies, and requests without one, go on; so do large ones when there is room again."""
    [worker] = buffering.workers()
    large = _CHUNKED % (b"whole/x", b"Connection: close\r\n") + chunks(_LARGE, 60000)
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
    try:
        with Client(buffering.port) as client:
            with contextlib.suppress(OSError):
                client.send(large)
            assert client.answer()[0] == 507
        assert shop.visits == []
        assert status(ask(buffering.port, request("POST /whole/x", body="hello"))) == 200
        assert status(ask(buffering.port, request("GET /plain/"))) == 200
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert status(ask(buffering.port, large)) == 200
    assert buffering.records(path="/whole/x", status=507, reason="buffer_full")


def test_many_bodies_take_no_more_memory_than_they_may(buffering: Gateway, shop: Upstream) -> None:
    """`limits.buffered`: 100 bodies that would fit into memory one by one."""
    [worker] = buffering.workers()
    before = resident_bytes(worker)
    with contextlib.ExitStack() as clients:
        uploads = [clients.enter_context(Client(buffering.port)) for _ in range(100)]
        for client in uploads:
            client.send(_CHUNKED % (b"whole/x", b"") + chunks(bytes(_MEMORY), 9999, b""))
        eventually(lambda: descriptors(buffering, "/") > 80)
        assert resident_bytes(worker) - before < 16 * 2**20
        for client in uploads:
            client.send(b"0\r\n\r\n")
        assert all(client.answer()[0] == 200 for client in uploads)


def test_a_wsgi_backend_gets_a_length(buffering: Gateway) -> None:
    """gunicorn's applications read what `CONTENT_LENGTH` says."""
    answer = ask(
        buffering.port,
        _CHUNKED % (b"wsgi/x", b"Connection: close\r\n") + chunks(_LARGE, 60000),
    )
    assert b"\r\n%d %d\r\n" % (len(_LARGE), len(_LARGE)) in answer


def test_slow_clients_hold_no_sync_worker(buffering: Gateway) -> None:
    """Fifty slow uploads before two workers of gunicorn: a quick request is answered at once."""
    with contextlib.ExitStack() as clients:
        slow = [clients.enter_context(Client(buffering.port)) for _ in range(50)]
        for client in slow:
            client.send(b"POST /wsgi/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\na")
        time.sleep(0.3)
        for client in slow:
            client.send(b"b")
        with Client(buffering.port) as quick:
            quick.sock.settimeout(HANG / 4)  # gunicorn would give up a slow one after 30 s
            quick.send(b"POST /wsgi/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nok")
            assert status(quick.head()) == 200
        for client in slow:
            client.send(b"c")
        for client in slow:
            assert status(client.head()) == 200

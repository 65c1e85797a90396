"""wire-rules.md#A21: what answers of a `lenient` backend may break, and what they may not."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, Visit, always, status
from tests.support.redis_server import RedisServer
from tests.wire.broken_answers import BAD_ANSWERS
from tests.wire.vectors import cases

_LF_HINTS = b"HTTP/1.1 103 Early Hints\nLink: </x>\n\n"
_CHUNKS = b"2\r\nok\r\n0\r\n\r\n"

TAKEN = {
    "LF alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "LF behind one field": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok",
    "LF as the empty line": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
    "LF before the empty line": b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
    "LF with chunks": b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + _CHUNKS,
    "LF in an interim head": _LF_HINTS + b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.0 with chunks": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
    "status 999": b"HTTP/1.1 999 High\nContent-Length: 2\n\nok",
}
NOT_ALLOWED = {
    what: answer
    for what, answer in BAD_ANSWERS.items()
    if what not in ("LF alone", "a bare LF", "HTTP/1.0 and chunked")
}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer
) -> Iterator[tuple[Gateway, Upstream]]:
    server = Upstream()
    upstreams = {"old": {"servers": server.url, "lenient": True}}
    login = {"kind": "backend", "path": "/login", "upstream": "old", "token": "/token"}
    routes = [{"path": "/*", "upstream": "old", "auth": "public"}]
    folder = tmp_path_factory.mktemp("lenient")
    with gateway(folder, redis.url, upstreams=upstreams, login=login, routes=routes) as running:
        yield running, server
    server.stop()


def ask(client: Client) -> tuple[int, bytes]:
    """The final answer's status and its head; the body is read."""
    client.send(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
    head = client.head()
    if status(head) == 103:
        head = client.head()
    chunked = b"\r\nTransfer-Encoding: chunked\r\n" in head
    # a relay may cut the chunks anew (RFC 9112 §7.1): only their content is the answer's
    assert (client.chunks() if chunked else client.exactly(2)) == b"ok"
    return status(head), head


@cases("answer", TAKEN)
@pytest.mark.parametrize("bytewise", [False, True])
def test_what_is_taken(site: tuple[Gateway, Upstream], answer: bytes, bytewise: bool) -> None:
    """LF for CRLF (RFC 9112 §2.2), chunks in HTTP/1.0; in whatever pieces it
    arrives. What goes on to the client is HTTP/1.1, and the next answer is read rightly.
    """
    running, server = site

    def pieces(visit: Visit) -> None:
        for _ in visit.requests():
            for byte in answer:
                visit.send(bytes((byte,)))

    server.clear(pieces if bytewise else always(answer))
    expected = next(code for code in (200, 999) if b" %d " % code in answer)
    with Client(running.port) as client:
        for _ in range(2):
            code, head = ask(client)
            assert code == expected
            assert head.count(b"\n") == head.count(b"\r\n")


def test_a_connection_with_chunks_in_an_old_version_is_not_used_again(
    site: tuple[Gateway, Upstream],
) -> None:
    """RFC 9112 §6.1: its framing is faulty, so what follows on the connection is no answer."""
    running, server = site
    lines = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.clear(always(lines + _CHUNKS))
    with Client(running.port) as client:
        for _ in range(2):
            assert ask(client)[0] == 200
    assert len(server.visits) == 2


@cases("answer", NOT_ALLOWED)
def test_what_is_a_502_all_the_same(site: tuple[Gateway, Upstream], answer: bytes) -> None:
    """What makes the length of an answer a guess is no leniency."""
    running, server = site
    server.clear(always(answer))
    with Client(running.port) as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert client.answer()[0] == 502


def test_a_login_at_a_lenient_backend(site: tuple[Gateway, Upstream]) -> None:
    """What such a backend says of a login passes as it does elsewhere."""
    running, server = site
    server.clear(always(b"HTTP/1.1 600 High\nContent-Length: 2\n\nok"))
    with Client(running.port) as client:
        client.send(b"POST /login HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n")
        assert client.answer()[0] == 600

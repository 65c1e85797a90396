"""wire-rules.md#A14 to #A18: responses have one end for every reader."""

import threading
import time

import pytest

from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status
from tests.wire.broken_answers import BAD_ANSWERS
from tests.wire.vectors import HOST, SMUGGLED, cases


@cases("answer", BAD_ANSWERS)
def test_a_bad_response_head_is_502(relay: Gateway, shop: Upstream, answer: bytes) -> None:
    """wire-rules.md#A14 [9112 §6.3]: 502, nothing of it is passed, and the connection is dropped."""
    shop.clear(always(answer))
    with Client(relay.port) as client:
        client.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
        code, head, body = client.answer()
        assert code == 502
        assert b"upstream_invalid" in body
        assert b"X: " not in head
        shop.wait(lambda: shop.visits[0].ended)
        shop.clear()
        client.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[::2] == (200, b"ok")


@pytest.mark.parametrize(
    "line", [b"-ERR unknown command\r\n", b"SSH-2.0-OpenSSH\r\n", b"220 hi\r\n"]
)
def test_a_server_of_another_protocol_is_502_at_once(
    relay: Gateway, shop: Upstream, line: bytes
) -> None:
    """wire-rules.md#A14: what is no status line is a 502 at once, and no 504 after the response
    timeout.
    """
    shop.clear(always(line))
    answer = ask(relay.port, b"GET /public/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert status(answer) == 502
    assert b"upstream_invalid" in answer


BAD_CHUNKS = {
    "no size": b"zz\r\nx\r\n",
    "a hexadecimal mark": b"0x1\r\nx\r\n0\r\n\r\n",
    "LF alone": b"1\nx\r\n0\r\n\r\n",
    "more data than said": b"1\r\nxx\r\n0\r\n\r\n",
    "a size that overflows": b"10000000000000001\r\nx\r\n0\r\n\r\n",
    "a bad trailer": b"0\r\nBad Name: x\r\n\r\n",
}


@cases("body", BAD_CHUNKS)
def test_a_bad_chunk_behind_the_head_is_a_cut(relay: Gateway, shop: Upstream, body: bytes) -> None:
    """wire-rules.md#A14: behind a head that has left, a broken body is a cut without a final chunk."""

    has_begun = threading.Event()

    def breaks(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        has_begun.wait(HANG)
        visit.send(body)

    shop.clear(breaks)
    with Client(relay.port) as client:
        client.send(b"GET /public/broken HTTP/1.1\r\n" + HOST + b"\r\n")
        client.until(b"hello")
        has_begun.set()
        assert b"0\r\n\r\n" not in client.rest()
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/public/broken", reason="upstream_invalid")


@cases("body", BAD_CHUNKS)
@pytest.mark.parametrize("before", [b"", b"5\r\nhello\r\n"])
def test_a_bad_chunk_together_with_the_head_is_502(
    relay: Gateway, shop: Upstream, before: bytes, body: bytes
) -> None:
    """wire-rules.md#A14: as long as nothing has been sent, a broken body is a 502, and the client
    goes on.
    """
    shop.clear(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + before + body))
    with Client(relay.port) as client:
        client.send(b"GET /public/at-once HTTP/1.1\r\n" + HOST + b"\r\n")
        code, _, problem = client.answer()
        assert code == 502
        assert b"upstream_invalid" in problem
        shop.clear()
        client.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[::2] == (200, b"ok")
    assert {record["status"] for record in relay.records(path="/public/at-once")} == {502}


def test_bytes_behind_a_complete_answer_are_dropped(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A14: they never become the next client's answer, together with it or later."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def late(visit: Visit) -> None:
        visit.request()
        visit.send(OK)
        time.sleep(0.1)
        visit.send(evil)

    for answer in (always(OK + evil), late):
        shop.clear(answer)
        with Client(relay.port) as one, Client(relay.port) as two:
            one.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert one.answer()[2] == b"ok"
            shop.wait(lambda: shop.visits[0].ended)
            shop.answer = always(OK)
            two.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert two.answer()[2] == b"ok"
            one.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert one.answer()[2] == b"ok"


@cases(
    "answer",
    {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        "last chunk, no end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    },
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_upstream_that_closes_in_its_body_cuts_the_client(
    relay: Gateway, shop: Upstream, answer: bytes, version: bytes
) -> None:
    """wire-rules.md#A15: the client's connection is cut, so that a part is not mistaken for the
    whole.
    """

    has_begun = threading.Event()

    def cut(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        has_begun.wait(HANG)
        visit.reset() if version == b"1.0" else visit.close()

    shop.clear(cut)
    with Client(relay.port) as client:
        client.send(b"GET /public/cut HTTP/1.1\r\n".replace(b"1.1", version) + HOST + b"\r\n")
        got = client.head()
        has_begun.set()
        got += client.held
        try:
            while piece := client.sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        else:
            # A clean end is allowed only where the framing itself tells of the missing part.
            assert b"Content-Length: 100" in got or b"Transfer-Encoding: chunked" in got
    assert b"0\r\n\r\n" not in got.partition(b"\r\n\r\n")[2]
    assert relay.records(path="/public/cut", reason="upstream_closed")


def test_an_answer_without_a_length_is_chunked_or_ends_with_a_close(
    relay: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#A16 [9112 §6.3]: chunked to HTTP/1.1 clients, until the close to HTTP/1.0
    clients.
    """

    def delimited_by_close(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello")
        visit.close()

    shop.clear(delimited_by_close)
    request = b"GET /public/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = ask(relay.port, request)
    assert b"\r\nTransfer-Encoding: chunked\r\n" in answer
    assert answer.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    answer = ask(relay.port, request.replace(b"1.1", b"1.0"))
    assert b"Transfer-Encoding" not in answer
    assert answer.endswith(b"\r\n\r\nhello")


BODILESS = {
    "HEAD with a length": (b"HEAD", b"200 OK\r\nContent-Length: 9\r\n", b"Content-Length: 9"),
    "HEAD with chunks": (b"HEAD", b"200 OK\r\nTransfer-Encoding: chunked\r\n", None),
    "HEAD with neither": (b"HEAD", b"200 OK\r\n", None),
    "HEAD of an error": (b"HEAD", b"500 No\r\nContent-Length: 9\r\n", b"Content-Length: 9"),
    "204": (b"GET", b"204 No Content\r\n", None),
    "204 with a length": (b"GET", b"204 No Content\r\nContent-Length: 9\r\n", None),
    "204 with chunks": (b"GET", b"204 No Content\r\nTransfer-Encoding: chunked\r\n", None),
    "304": (b"GET", b"304 Not Modified\r\n", None),
    "304 with a length": (
        b"GET",
        b"304 Not Modified\r\nContent-Length: 9\r\n",
        b"Content-Length: 9",
    ),
    "304 with chunks": (b"GET", b"304 Not Modified\r\nTransfer-Encoding: chunked\r\n", None),
    "205": (b"GET", b"205 Reset Content\r\nContent-Length: 0\r\n", b"Content-Length: 0"),
}


@cases("method, answer, framing", BODILESS)
def test_answers_without_a_body(
    relay: Gateway, shop: Upstream, method: bytes, answer: bytes, framing: bytes | None
) -> None:
    """wire-rules.md#A17 [9110 §6.4.1, 9112 §6.3]: HEAD, 204, 304 and 205 have no body, whatever
    they say; the next answer on the connection begins right behind the head.
    """
    shop.clear(always(b"HTTP/1.1 " + answer + b"ETag: x\r\n\r\n"))
    with Client(relay.port) as client:
        client.send(method + b" /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
        head = client.head()
        assert b"\r\nETag: x\r\n" in head
        fields = [
            line for line in head.split(b"\r\n") if line.startswith((b"Content-L", b"Transfer"))
        ]
        assert fields == ([] if framing is None else [framing])
        shop.answer = always(OK)
        client.send(b"DELETE /get/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert client.rest().startswith(b"HTTP/1.1 405 ")


@cases(
    "answer",
    {
        "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "204": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        "205": b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello",
        "205 with chunks": b"HTTP/1.1 205 R\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    },
)
def test_a_body_where_none_may_be_is_dropped(relay: Gateway, shop: Upstream, answer: bytes) -> None:
    """wire-rules.md#A17, #A14: it is not relayed, and never becomes part of the next answer."""
    method = b"HEAD" if b" 200 " in answer else b"GET"
    shop.clear(always(answer))
    with Client(relay.port) as client:
        client.send(method + b" /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
        client.head()
        time.sleep(0.05)
        shop.answer = always(OK)
        client.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        rest = client.rest()
    assert rest.startswith(b"HTTP/1.1 ")
    assert rest.count(b"hello") == 0


@cases(
    "answer",
    {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "interim": b"HTTP/1.1 103 H\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    },
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_in_single_bytes(
    relay: Gateway, shop: Upstream, answer: bytes, version: bytes
) -> None:
    """wire-rules.md#A14 to #A18: the pieces in which an answer arrives do not matter."""

    def drips(visit: Visit) -> None:
        visit.request()
        for byte in answer:
            visit.send(bytes((byte,)))
            time.sleep(0.0005)

    shop.clear(drips)
    request = b"GET /public/ HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\n\r\n"
    got = ask(relay.port, request)
    assert got.count(b"HTTP/1.1 200 OK\r\n") == 1
    body = got.rpartition(b"HTTP/1.1 200")[2].partition(b"\r\n\r\n")[2]
    whole = b"".join(body.split(b"\r\n")[1::2]) if b"chunked" in got else body
    assert whole == b"hello"


def test_http_1_0_clients_are_closed_or_kept(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A18 [9112 §9.3]: closed after one answer, or kept open when they ask for it."""
    plain = b"GET /public/ HTTP/1.0\r\n\r\n"
    answer = ask(relay.port, plain)
    assert status(answer) == 200
    assert answer.endswith(b"ok")
    kept = b"GET /public/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with Client(relay.port) as client:
        for _ in range(3):
            client.send(kept)
            code, head, body = client.answer()
            assert (code, body) == (200, b"ok")
            assert b"\r\nConnection: keep-alive\r\n" in head
        client.send(plain)
        assert client.rest().endswith(b"ok")


def test_a_chunked_answer_to_an_http_1_0_client_ends_with_a_close(
    relay: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#A18 [9112 §7]: it knows no chunks; without a length the close is the end, even
    if it asked to be kept.
    """
    shop.clear(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    answer = ask(
        relay.port, b"GET /public/ HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n"
    )
    assert b"Transfer-Encoding" not in answer
    assert b"\r\nConnection: keep-alive" not in answer
    assert answer.endswith(b"\r\n\r\nok")


def test_a_body_of_an_http_1_0_client_needs_a_length(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A18: with a length it is relayed; without one there is none."""
    with Client(relay.port) as client:
        for _ in range(2):
            client.send(
                b"POST /public/ HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n"
                b"Content-Length: 5\r\n\r\nhello"
            )
            assert client.answer()[::2] == (200, b"ok")
    assert shop.got.count(b"\r\n\r\nhello") == 2
    shop.clear()
    ask(relay.port, b"POST /public/ HTTP/1.0\r\n" + HOST + b"\r\n" + SMUGGLED)
    assert b"smuggled" not in shop.got


def test_an_http_1_0_client_need_send_no_host(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A18 [9112 §3.2]: it need not send one; the upstream gets its own, and never an
    empty one.
    """
    assert status(ask(relay.port, b"GET /public/ HTTP/1.0\r\n\r\n")) == 200
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % shop.port in shop.got

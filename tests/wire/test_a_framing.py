"""Section A of the wire rules: one message has one length, for everybody."""

import time

import pytest

from tests.support.gateway import Gateway
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status

HOST = b"Host: a.example\r\n"
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


def refused(relay: Gateway, shop: Upstream, request: bytes, *statuses: int) -> bytes:
    """Sends a bad request with another one behind it: one refusal, then the end, nothing passed."""
    answer = ask(relay.port, request + SMUGGLED)
    assert status(answer) in statuses, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert b"smuggled" not in answer
    assert shop.got == b""
    return answer


def test_a1_content_length_and_transfer_encoding_together(relay: Gateway, shop: Upstream) -> None:
    """A1 [9112 §6.1]: refused in either order; nothing behind it is ever a request (A9)."""
    for lines in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"content-length: 0\r\ntransfer-encoding: chunked\r\n",
    ):
        request = b"POST /public/ HTTP/1.1\r\n" + HOST + lines + b"\r\n0\r\n\r\n"
        refused(relay, shop, request, 400)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: 5;\r\n",
        b"Content-Length: 5.0\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 9223372036854775808\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
    ],
)
def test_a2_a_bad_content_length(relay: Gateway, shop: Upstream, lines: bytes) -> None:
    """A2 [9112 §6.3]: a length that anybody could read otherwise is refused."""
    refused(relay, shop, b"POST /public/ HTTP/1.1\r\n" + HOST + lines + b"\r\nhello", 400)


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked;x\r\n",
        b"Transfer-Encoding: chunked;q=1\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\r\n",
        b'Transfer-Encoding: "chunked"\r\n',
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding: chunked\x00\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a3_a_bad_transfer_encoding(relay: Gateway, shop: Upstream, lines: bytes) -> None:
    """A3 [9112 §6.1]: nothing but exactly `chunked`, once."""
    request = b"POST /public/ HTTP/1.1\r\n" + HOST + lines + b"\r\n0\r\n\r\n"
    refused(relay, shop, request, 400, 501)


def test_a3_transfer_encoding_with_http_1_0(relay: Gateway, shop: Upstream) -> None:
    """A3 [9112 §6.1]: HTTP/1.0 knows no transfer codings."""
    request = b"POST /public/ HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    refused(relay, shop, request, 400, 501)


@pytest.mark.parametrize(
    "name", [b"Transfer_Encoding", b"transfer.encoding", b"Content_Length", b"CONTENT.LENGTH"]
)
def test_a3_a_framing_field_in_disguise(relay: Gateway, shop: Upstream, name: bytes) -> None:
    """A3, B11: what a careless backend would read as framing does not reach it."""
    request = b"GET /public/ HTTP/1.1\r\n" + HOST + name + b": chunked\r\nConnection: close\r\n\r\n"
    assert status(ask(relay.port, request)) == 200
    assert b"chunked" not in shop.got


@pytest.mark.parametrize(
    "body",
    [
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"11111111111111111\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 65536 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloworld\r\n0\r\n\r\n",
        b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
        b"zz\r\n",
        b"5\r\nhello\r\n0\r\nBad Name: x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\n\r\n\r\n",
    ],
)
def test_a4_a_bad_chunk(relay: Gateway, shop: Upstream, body: bytes) -> None:
    """A4 [9112 §7.1]: 400; the upstream gets no end of a body, so nobody acts on a part."""
    request = b"POST /public/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body
    answer = ask(relay.port, request + SMUGGLED)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in shop.got
    assert b"\r\n0\r\n" not in shop.got


def test_a4_chunk_extensions_are_dropped(relay: Gateway, shop: Upstream) -> None:
    """A4 [9112 §7.1.1]: extensions are between two neighbours only."""
    request = (
        b"POST /public/ HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\nConnection: close\r\n"
        b"\r\n5;ext=secret\r\nhello\r\n0;last\r\n\r\n"
    )
    assert status(ask(relay.port, request)) == 200
    assert shop.got.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"ext" not in shop.got


@pytest.mark.parametrize(
    "head",
    [
        b"GET /public/ HTTP/1.1\nHost: a.example\n\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: a\x00b\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: a\x01b\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: a\x7fb\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX : a\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n X: a\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX: a\r\n b\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n: a\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX(: a\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nX\xe9: a\r\n\r\n",
        b"GET /public/ HTTP/1.1\r\n Host: a.example\r\n\r\n",
    ],
)
def test_a5_a_bad_field_line(relay: Gateway, shop: Upstream, head: bytes) -> None:
    """A5 [9112 §2.2, §5.1]: no leniency in how a field line is spelled or ended."""
    refused(relay, shop, head, 400)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a.example\r\nHost: a.example\r\n",
        b"Host: a.example\r\nHost: b.example\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: user@a.example\r\n",
        b"Host: a.example:port\r\n",
        b"Host: a.example, b.example\r\n"[:-2] + b"?\r\n",
        b"Host:\r\n",
        b"Host: a\xffb\r\n",
    ],
)
def test_a6_a_bad_host(relay: Gateway, shop: Upstream, lines: bytes) -> None:
    """A6 [9112 §3.2]: exactly one Host, and a plain one."""
    refused(relay, shop, b"GET /public/ HTTP/1.1\r\n" + lines + b"\r\n", 400)


def test_a6_the_authority_of_an_absolute_target_wins(relay: Gateway, shop: Upstream) -> None:
    """A6 [9112 §3.2.2]: Host is replaced; and the authority does not move the upstream (E12)."""
    request = (
        b"GET http://other.example:81/public/x?y HTTP/1.1\r\nHost: a.example\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert status(ask(relay.port, request)) == 200
    assert shop.got.startswith(b"GET /public/x?y HTTP/1.1\r\nHost: other.example:81\r\n")
    assert b"a.example" not in shop.got


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET  /public/ HTTP/1.1", 400),
        (b"GET /public/  HTTP/1.1", 400),
        (b"GET\t/public/ HTTP/1.1", 400),
        (b"GET /public/", 400),
        (b"GET /public/ HTTP/1.2", 505),
        (b"GET /public/ HTTP/2.0", 505),
        (b"GET /public/ HTTP/0.9", 505),
        (b"GET /public/ http/1.1", 400),
        (b"GET /public/ HTTP/1.1x", 400),
        (b"GET /public/ HTTP/1.11", 505),
        (b"GET /public/#part HTTP/1.1", 400),
        (b"GET /public/\xc3\xa9 HTTP/1.1", 400),
        (b"GET /public/a b HTTP/1.1", 400),
        (b"GET public/ HTTP/1.1", 400),
        (b"GET ftp://a/public/ HTTP/1.1", 400),
        (b"G(T /public/ HTTP/1.1", 400),
        (b" GET /public/ HTTP/1.1", 400),
        (b"\x16\x03\x01\x02", 400),
    ],
)
def test_a7_a_bad_request_line(relay: Gateway, shop: Upstream, line: bytes, expected: int) -> None:
    """A7 [9112 §3]: one space, a plain target, a version that is spoken here."""
    refused(relay, shop, line + b"\r\n" + HOST + b"\r\n", expected)


def test_a8_methods_that_a_gateway_does_not_pass(relay: Gateway, shop: Upstream) -> None:
    """A8: CONNECT and TRACE are 405; `OPTIONS *` is answered by the gateway."""
    for line in (b"CONNECT a.example:80", b"TRACE /public/"):
        answer = ask(relay.port, line + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert status(answer) == 405
    answer = ask(relay.port, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert status(answer) == 204
    assert b"\r\nAllow: " in answer
    assert shop.got == b""


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_a10_a_body_on_any_method(relay: Gateway, shop: Upstream, method: bytes) -> None:
    """A10 [9110 §9.3.1]: a body is relayed with its exact framing, whatever the method."""
    request = method + b" /public/ HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n"
    ask(relay.port, request + b"Connection: close\r\n\r\nhello")
    assert b"\r\nContent-Length: 5\r\n" in shop.got
    assert shop.got.endswith(b"\r\n\r\nhello")
    shop.clear()
    request = method + b" /public/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
    ask(relay.port, request + b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in shop.got
    assert shop.got.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


def named(visit: Visit) -> None:
    """Answers with the path of each request, so that mixed-up answers show."""
    seen = 0
    while True:
        request = visit.request(seen)
        seen += len(request)
        path = request.split(b" ")[1]
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


PIPELINE = b"".join(
    b"%b /public/%d HTTP/1.1\r\nHost: a.example\r\n%b"
    % (
        b"GET" if n % 2 else b"POST",
        n,
        b"\r\n" if n % 2 else b"Content-Length: 3\r\n\r\nabc",
    )
    for n in range(12)
)


@pytest.mark.parametrize("size", [1, 7, len(PIPELINE)])
def test_a11_pipelined_requests(relay: Gateway, shop: Upstream, size: int) -> None:
    """A11 [9112 §9.3.2]: answered in order, each once, also when split at each byte."""
    shop.clear(named)
    with Client(relay.port) as client:
        for at in range(0, len(PIPELINE), size):
            client.send(PIPELINE[at : at + size])
        for n in range(12):
            code, _, body = client.answer()
            assert (code, body) == (200, b"/public/%d" % n)
    assert shop.got.count(b"HTTP/1.1\r\n") == 12


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 100\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
)
def test_a12_an_early_close_in_a_body(relay: Gateway, shop: Upstream, framing: bytes) -> None:
    """A12: the upstream request is cut, not ended as if it were whole."""
    with Client(relay.port) as client:
        client.send(b"POST /public/ HTTP/1.1\r\n" + HOST + framing)
        shop.wait(lambda: b"hello" in shop.got)
    shop.wait(lambda: shop.visits[0].ended)
    assert b"\r\n0\r\n" not in shop.got


def test_a13_an_answer_before_the_body(relay: Gateway, shop: Upstream) -> None:
    """A13 [9112 §9.3]: relayed, then the client is let go; the upstream connection is not reused."""

    def early(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop")

    shop.clear(early)
    with Client(relay.port) as client:
        client.send(b"POST /public/ HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhello")
        code, head, body = client.answer()
        assert (code, body) == (413, b"stop")
        assert b"\r\nConnection: close\r\n" in head
        client.send(b"x" * 5000 + SMUGGLED)
        assert client.rest() == b""
    shop.wait(lambda: shop.visits[0].ended)
    assert b"smuggled" not in shop.got


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20 + b"\r\n\r\n",
        b"HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 2000 High\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 600 High\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_a14_trouble_in_the_answers_head(relay: Gateway, shop: Upstream, answer: bytes) -> None:
    """A14 [9112 §6.3]: 502, nothing of it is passed, and the connection is dropped."""
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


def test_a14_a_bad_chunk_in_the_answer(relay: Gateway, shop: Upstream) -> None:
    """A14: behind a head that has left, a broken body is a cut without a final chunk."""
    shop.clear(
        always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nx\r\n")
    )
    answer = ask(relay.port, b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b"0\r\n\r\n" not in answer
    assert relay.records(reason="upstream_invalid")


def test_a14_bytes_behind_a_complete_answer(relay: Gateway, shop: Upstream) -> None:
    """A14: they never become the next client's answer, together with it or later."""
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
            time.sleep(0.3)
            shop.answer = always(OK)
            two.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert two.answer()[2] == b"ok"
            one.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert one.answer()[2] == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a15_the_upstream_closes_in_its_body(
    relay: Gateway, shop: Upstream, answer: bytes, version: bytes
) -> None:
    """A15: the client's connection is cut, so that a part is not mistaken for the whole."""

    def cut(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        time.sleep(0.05)
        visit.reset() if version == b"1.0" else visit.close()

    shop.clear(cut)
    with Client(relay.port) as client:
        client.send(b"GET /public/cut HTTP/1.1\r\n".replace(b"1.1", version) + HOST + b"\r\n")
        try:
            got = b""
            while piece := client.sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        else:
            # A clean end is allowed only where the framing itself tells of the missing part.
            assert b"Content-Length: 100" in got or b"Transfer-Encoding: chunked" in got
    assert b"0\r\n\r\n" not in got
    assert relay.records(path="/public/cut", reason="upstream_closed")


def test_a16_an_answer_without_a_length(relay: Gateway, shop: Upstream) -> None:
    """A16 [9112 §6.3]: chunked to HTTP/1.1 clients, until the close to HTTP/1.0 clients."""

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


def test_a17_answers_without_a_body(relay: Gateway, shop: Upstream) -> None:
    """A17 [9110 §6.4.1, 9112 §6.3]: HEAD, 204, 304 and 205 have no body, whatever they say."""

    def go(method: bytes, answer: bytes) -> bytes:
        shop.clear(always(answer))
        with Client(relay.port) as client:
            client.send(method + b" /public/ HTTP/1.1\r\n" + HOST + b"\r\n")
            head = client.head()
            shop.clear()
            client.send(b"GET /public/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            assert client.rest().startswith(b"HTTP/1.1 200 OK")
            return head

    head = go(b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert b"\r\nContent-Length: 1000\r\n" in head
    head = go(b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert status(head) == 200
    head = go(b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length" not in head
    head = go(b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n")
    assert b"\r\nETag: x\r\n" in head
    head = go(b"GET", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello")
    assert b"\r\nContent-Length: 0\r\n" in head


def test_a18_http_1_0_clients(relay: Gateway, shop: Upstream) -> None:
    """A18 [9112 §9.3]: closed after one answer, or kept open when they ask for it."""
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

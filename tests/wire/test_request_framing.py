"""wire-rules.md#A1 to #A9: one request has one length for every reader.

The requests stand in `vectors`; behind each of them another one is smuggled along.
"""

import contextlib
import time

import pytest

from tests.support.gateway import Gateway
from tests.support.processes import processor_time
from tests.support.raw import Client, Upstream, always, ask, status
from tests.wire.vectors import (
    BOTH,
    CHUNKS,
    CODINGS,
    FIELDS,
    HOST,
    HOSTS,
    LENGTHS,
    REQUEST_LINES,
    SAMPLES,
    SMUGGLED,
    cases,
    chunked,
    get,
)


def refused(relay: Gateway, shop: Upstream, request: bytes, *statuses: int) -> bytes:
    """Sends a bad request with another one behind it: one refusal, then the end, nothing passed."""
    answer = ask(relay.port, request + SMUGGLED)
    assert status(answer) in statuses, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert b"smuggled" not in answer
    assert shop.got == b""
    return answer


@cases("request_", BOTH)
def test_content_length_and_transfer_encoding_together_are_refused(
    relay: Gateway, shop: Upstream, request_: bytes
) -> None:
    """wire-rules.md#A1 [9112 §6.1]: refused in any order; nothing behind it is ever a request
    (wire-rules.md#A9).
    """
    refused(relay, shop, request_, 400)


@cases("request_", LENGTHS)
def test_a_bad_content_length_is_refused(relay: Gateway, shop: Upstream, request_: bytes) -> None:
    """wire-rules.md#A2 [9112 §6.3]: a length with a second reading is refused."""
    refused(relay, shop, request_, 400)


@cases("request_", CODINGS)
def test_a_bad_transfer_encoding_is_refused(
    relay: Gateway, shop: Upstream, request_: bytes
) -> None:
    """wire-rules.md#A3 [9112 §6.1]: nothing but exactly `chunked`, once, and not with HTTP/1.0."""
    refused(relay, shop, request_, 400, 501)


@pytest.mark.parametrize(
    "name",
    [
        b"Transfer_Encoding",
        b"transfer.encoding",
        b"TRANSFER_ENCODING",
        b"Content_Length",
        b"CONTENT.LENGTH",
    ],
)
def test_a_framing_field_in_disguise_is_dropped(
    relay: Gateway, shop: Upstream, name: bytes
) -> None:
    """wire-rules.md#A3, #B11: what a careless backend would read as framing does not reach it."""
    request = get(name + b": chunked\r\nConnection: close\r\n")
    assert status(ask(relay.port, request)) == 200
    assert b"chunked" not in shop.got


@cases("request_", CHUNKS)
def test_a_bad_chunk_is_refused(relay: Gateway, shop: Upstream, request_: bytes) -> None:
    """wire-rules.md#A4 [9112 §7.1]: 400; the upstream gets no end of a body, so it does not act on a
    part.
    """
    answer = ask(relay.port, request_ + SMUGGLED)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    shop.wait(lambda: all(visit.ended for visit in shop.visits))
    assert b"smuggled" not in shop.got
    assert b"\r\n0\r\n" not in shop.got


@cases("request_", {what: CHUNKS[what] for what in CHUNKS if "64 KiB" not in what})
def test_a_bad_chunk_is_refused_byte_by_byte(
    relay: Gateway, shop: Upstream, request_: bytes
) -> None:
    """wire-rules.md#A4: in whatever pieces it comes."""
    head, mark, body = request_.partition(b"\r\n\r\n")
    with Client(relay.port) as client:
        client.send(head + mark)
        with contextlib.suppress(OSError):  # it may have been refused meanwhile
            for at in range(min(len(body), 200)):
                client.send(body[at : at + 1])
            client.send(body[200:] + SMUGGLED)
        answer = client.rest()
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in shop.got
    assert b"\r\n0\r\n" not in shop.got


@cases(
    "body",
    {
        "extensions": b"5;ext=secret\r\nhello\r\n0;last=secret\r\n\r\n",
        "quoted": b'5;ext="a;secret\\""\r\nhello\r\n0\r\n\r\n',
        "white space": b"5 ; ext = secret\r\nhello\r\n0\r\n\r\n",
        "without a value": b"5;secret\r\nhello\r\n0\r\n\r\n",
        "zeros before": b"0000000005\r\nhello\r\n0000\r\n\r\n",
        "capitals and many chunks": b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    },
)
def test_chunks_are_made_anew(relay: Gateway, shop: Upstream, body: bytes) -> None:
    """wire-rules.md#A4 [9112 §7.1.1]: extensions and odd sizes are between two neighbours only."""
    request = chunked(body).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    assert status(ask(relay.port, request)) == 200
    assert shop.got.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"secret" not in shop.got


@cases("request_", FIELDS)
def test_a_bad_field_line_is_refused(relay: Gateway, shop: Upstream, request_: bytes) -> None:
    """wire-rules.md#A5 [9112 §2.2, §5.1]: no leniency in how a field line is spelled or ended."""
    refused(relay, shop, request_, 400)


@cases("request_", HOSTS)
def test_a_bad_host_is_refused(relay: Gateway, shop: Upstream, request_: bytes) -> None:
    """wire-rules.md#A6 [9112 §3.2]: exactly one Host, and a plain one."""
    refused(relay, shop, request_, 400)


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"A.Example:8080",
        b"127.0.0.1",
        b"[::1]",
        b"[::1]:80",
        b"[::ffff:127.0.0.1]:80",
        b"a_b.example",
        b"caf%C3%A9.example",
        b"a" * 300 + b":80",
    ],
)
def test_a_good_host_passes(relay: Gateway, shop: Upstream, host: bytes) -> None:
    """wire-rules.md#A6 [3986 §3.2.2]: names, addresses and ports pass as they came."""
    request = b"GET /public/ HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert status(ask(relay.port, request)) == 200
    assert b"\r\nHost: " + host + b"\r\n" in shop.got


@pytest.mark.parametrize("host", [b"a.example", b"[::1]", b"a" * 300])
def test_an_empty_port_means_none(relay: Gateway, shop: Upstream, host: bytes) -> None:
    """wire-rules.md#A6 [3986 §3.2.3, §6.2.3]: it is valid, and means the same as none, which is
    what goes on.
    """
    request = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
    for asked in (
        request % (b"/public/", host + b":"),
        request % (b"http://" + host + b":/public/", b"b.example"),
    ):
        shop.clear()
        assert status(ask(relay.port, asked)) == 200
        assert b"\r\nHost: " + host + b"\r\n" in shop.got
        assert b"\r\nX-Forwarded-Host: " + host + b"\r\n" in shop.got


@pytest.mark.parametrize("scheme", [b"http", b"HTTP", b"https"])
def test_the_authority_of_an_absolute_target_wins(
    relay: Gateway, shop: Upstream, scheme: bytes
) -> None:
    """wire-rules.md#A6 [9112 §3.2.2]: Host is replaced; and the authority does not move the
    upstream (wire-rules.md#E12).
    """
    request = (
        b"GET " + scheme + b"://other.example:81/public/x?y HTTP/1.1\r\nHost: a.example\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert status(ask(relay.port, request)) == 200
    assert shop.got.startswith(b"GET /public/x?y HTTP/1.1\r\nHost: other.example:81\r\n")
    assert b"\r\nX-Forwarded-Host: other.example:81\r\n" in shop.got
    assert b"a.example" not in shop.got


@cases("line, expected", REQUEST_LINES)
def test_a_bad_request_line_is_refused(
    relay: Gateway, shop: Upstream, line: bytes, expected: int
) -> None:
    """wire-rules.md#A7 [9112 §3]: one space, a plain target, a version that is spoken here."""
    refused(relay, shop, line + b"\r\n" + HOST + b"\r\n", expected)


@pytest.mark.parametrize("minor", [b"2", b"9"])
def test_a_later_minor_version_is_read_as_1_1(relay: Gateway, shop: Upstream, minor: bytes) -> None:
    """wire-rules.md#A7 [9110 §2.5]: it is read as 1.1, the highest that is known, of either side;
    1.1 goes on. Another major version is 505.
    """
    answer = b"HTTP/1.%b 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % minor
    shop.clear(always(answer))
    request = chunked(b"5\r\nhello\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1." + minor)
    with Client(relay.port) as client:
        for _ in range(2):
            client.send(request)
            head = client.head()
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nConnection: close\r\n" not in head
            assert client.exactly(5) == b"0\r\n\r\n"
        client.send(get(b"").replace(b"HTTP/1.1", b"HTTP/1." + minor).replace(b"Host", b"X"))
        assert client.answer()[0] == 400  # as in 1.1, there has to be a Host
    assert shop.got.count(b" HTTP/1.1\r\n") == 2


@cases("line, expected", REQUEST_LINES)
def test_a_bad_request_line_is_refused_without_the_rest(
    relay: Gateway, shop: Upstream, line: bytes, expected: int
) -> None:
    """wire-rules.md#A19: who speaks another protocol (`PROXY TCP4 …`) is answered once the line is
    there, and not by the timeout for the head, which would have it look slow.
    """
    for more in (b"", HOST):
        answer = ask(relay.port, line + b"\r\n" + more)
        assert status(answer) == expected
    assert shop.got == b""


def test_empty_lines_before_a_request_are_ignored(relay: Gateway, shop: Upstream) -> None:
    """RFC 9112 §2.2: an empty line before the request line is ignored; a bare LF is none."""
    request = get(b"")
    with Client(relay.port) as client:
        client.send(b"\r\n" + request + b"\r\n\r\n" + request)
        assert client.answer()[::2] == (200, b"ok")
        assert client.answer()[::2] == (200, b"ok")
    shop.clear()
    refused(relay, shop, b"\n" + request, 400)


def test_empty_lines_without_end_keep_no_worker_busy(relay: Gateway, shop: Upstream) -> None:
    """RFC 9112 §2.2: ignored or refused, but 8 MiB of them do not keep the gateway busy."""
    [worker] = relay.workers()
    began = processor_time(worker)
    with Client(relay.port) as client, contextlib.suppress(OSError):
        client.send(b"\r\n" * (4 * 2**20) + get(b"Connection: close\r\n"))
        client.rest()
    assert status(ask(relay.port, get(b"Connection: close\r\n"))) == 200
    assert processor_time(worker) - began < 1.5  # 0.1 s where each byte is looked at once


def test_a_method_without_end_is_refused(relay: Gateway, shop: Upstream) -> None:
    """RFC 9112 §3: a method that is longer than any is 501 or 400; its version is a known one."""
    refused(relay, shop, b"G" * 5000 + b" /public/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, 501)


@cases(
    "line",
    {
        "CONNECT to another": b"CONNECT b.example:80",
        "CONNECT to a path": b"CONNECT /public/",
        "TRACE": b"TRACE /public/",
        "TRACE in absolute form": b"TRACE http://a.example/public/",
    },
)
def test_connect_and_trace_are_405(relay: Gateway, shop: Upstream, line: bytes) -> None:
    """wire-rules.md#A8 [9110 §9.3.6, §9.3.8]: CONNECT and TRACE are 405."""
    answer = ask(relay.port, line + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert status(answer) == 405
    assert shop.got == b""


def test_head_follows_get(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A8 [9110 §9.3.2]: where a route allows GET, it allows HEAD, and says so to
    other methods.
    """
    for method, code in ((b"HEAD", 200), (b"POST", 405)):
        request = method + b" /get/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        answer = ask(relay.port, request)
        assert status(answer) == code
    assert b"\r\nAllow: GET, HEAD\r\n" in answer
    assert shop.got.startswith(b"HEAD /get/ ")


def test_options_star_is_answered_by_the_gateway(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A8 [9110 §9.3.7]: `OPTIONS *` is answered by the gateway itself."""
    with Client(relay.port) as client:
        client.send(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
        code, head, _ = client.answer()
        assert code == 204
        assert b"\r\nAllow: " in head
        assert b"\r\nContent-Length" not in head
        assert shop.got == b""
        client.send(get(b""))
        assert client.answer()[::2] == (200, b"ok")


@cases("request_", SAMPLES)
def test_what_is_smuggled_behind_a_bad_request_is_dropped(
    relay: Gateway, shop: Upstream, request_: bytes
) -> None:
    """wire-rules.md#A9: behind a good request, and however late it comes, it is never answered nor
    forwarded.
    """
    with Client(relay.port) as client:
        client.send(get(b"X: first\r\n") + request_ + SMUGGLED)
        assert client.answer()[::2] == (200, b"ok")
        assert client.answer()[0] in (400, 501)
        time.sleep(0.1)
        with contextlib.suppress(OSError):  # the gateway may have closed already
            client.send(SMUGGLED)
        assert client.rest() == b""
    assert b"first" in shop.got
    assert b"smuggled" not in shop.got

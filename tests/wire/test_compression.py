"""Compressed answers on the wire."""

import base64
import gzip
import json
import os
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, always, ask, fields_by_name, status

TEXT = json.dumps([{"name": f"item {number}", "price": number} for number in range(500)]).encode()
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream) -> Gateway:
    shop: dict[str, Any] = {"upstream": "shop", "auth": "public"}
    return start(
        upstreams={"shop": upstream.url},
        compress=True,
        routes=[
            {"path": "/off/*", "compress": False, **shop},
            {"path": "/gzip/*", "compress": "gzip", "compress_min": 0, **shop},
            {"path": "/css/*", "compress_types": "text/css", **shop},
            {"path": "/tokens/*", "tokens": "refuse", **shop},
            {"path": "/*", **shop},
        ],
    )


def answer(
    *lines: str, body: bytes = TEXT, type_: str = "application/json", code: int = 200
) -> bytes:
    fields = "".join(f"{line}\r\n" for line in (f"Content-Type: {type_}", *lines))
    return f"HTTP/1.1 {code} OK\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def request(path: str = "/a", takes: str | None = "gzip, br, zstd", method: str = "GET") -> bytes:
    line = "" if takes is None else f"Accept-Encoding: {takes}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n".encode()


def got(gate: Gateway, asked: bytes) -> tuple[dict[str, str], bytes]:
    """The fields, and the body without its framing."""
    with Client(gate.port) as client:
        client.send(asked)
        head = client.head()
        fields = fields_by_name(head)
        length = fields.get("Content-Length")
        body = client.chunks() if length is None else client.exactly(int(length))
    return fields, body


@pytest.mark.parametrize("coding", DECODERS)
def test_a_body_is_encoded(gate: Gateway, shop: Upstream, coding: str) -> None:
    """As the client takes it; the tag is weak, and no ranges are promised."""
    shop.clear(always(answer('ETag: "v1"', "Accept-Ranges: bytes", "Vary: Cookie")))
    fields, body = got(gate, request(takes=coding))
    assert fields["Content-Encoding"] == coding
    assert DECODERS[coding](body) == TEXT
    assert len(body) < len(TEXT) / 3
    assert fields["ETag"] == 'W/"v1"'
    assert "Content-Length" not in fields
    assert "Accept-Ranges" not in fields


def test_the_preferred_coding_is_zstd(gate: Gateway, shop: Upstream) -> None:
    shop.clear(always(answer()))
    assert got(gate, request())[0]["Content-Encoding"] == "zstd"
    assert got(gate, request(takes="gzip, zstd;q=0.5"))[0]["Content-Encoding"] == "gzip"
    assert got(gate, request("/gzip/a"))[0]["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("takes", [None, "identity", "gzip;q=0"])
def test_the_plain_form_varies_too(gate: Gateway, shop: Upstream, takes: str | None) -> None:
    """A cache must not hand it to all others, nor the encoded one to this client."""
    shop.clear(always(answer('ETag: "v1"')))
    fields, body = got(gate, request(takes=takes))
    assert body == TEXT
    assert (fields["Vary"], fields["ETag"]) == ("Accept-Encoding", '"v1"')
    assert "Content-Encoding" not in fields


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a", answer("Content-Encoding: gzip", body=gzip.compress(TEXT))),
        ("/a", answer("Content-Range: bytes 0-9/99", code=206)),
        ("/a", answer("Cache-Control: public, no-transform")),
        ("/a", answer("Cache-Control: public", "Cache-Control: No-Transform")),
        ("/a", answer("Content-Encoding: identity")),
        ("/a", answer("Content-Digest: sha-256=:AAAA:")),
        ("/a", answer("Repr-Digest: sha-256=:AAAA:")),
        ("/a", answer("Digest: sha-256=AAAA")),
        ("/a", answer("content-md5: AAAA")),
        ("/a", answer("Signature: a=:AAAA:")),
        ("/a", answer("Trailer: X-Sum, Content-Digest")),
        ("/a", answer(type_="image/png")),
        ("/a", answer(body=b"x" * 100)),
        ("/a", answer(type_="")),
        ("/off/a", answer()),
        ("/css/a", answer()),
        ("/a", answer(type_="application/zip")),
        ("/a", answer(type_="application/geo+json-seq")),
    ],
)
def test_what_stays_as_it_is(gate: Gateway, shop: Upstream, path: str, sent: bytes) -> None:
    """Not encoded twice, not a part, not what must not change, is small or packed already."""
    shop.clear(always(sent))
    fields, body = got(gate, request(path))
    assert body == sent.partition(b"\r\n\r\n")[2]
    assert fields.get("Content-Encoding") == fields_by_name(sent).get("Content-Encoding")
    assert "Vary" not in fields


def test_a_client_that_wants_no_changes(gate: Gateway, shop: Upstream) -> None:
    """RFC 9111 §5.2.1.6: its no-transform goes for the gateway too, and is no reason to vary less."""
    shop.clear(always(answer('ETag: "v1"')))
    asked = request().replace(b"\r\n\r\n", b"\r\nCache-Control: max-age=0, No-Transform\r\n\r\n")
    fields, body = got(gate, asked)
    assert (body, fields["ETag"], fields["Vary"]) == (TEXT, '"v1"', "Accept-Encoding")


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ('W/"v1"', 'W/"v1"'),
        ('"v0", W/"v1"', 'W/"v1"'),
        ('"v1"', '"v1"'),
        ('W/"v"', '"v1"'),
        ("*", '"v1"'),
    ],
)
def test_a_304_has_the_tag_that_the_client_knows(
    gate: Gateway, shop: Upstream, known: str, shown: str
) -> None:
    """A cache with the weak tag of an encoded answer finds it (RFC 9111 §4.3.4); upstreams get the
    client's tags as they came, and compare them weakly (RFC 9110 §13.1.2).
    """
    shop.clear(always(b'HTTP/1.1 304 Not Modified\r\neTag: "v1"\r\nVary: Origin\r\n\r\n'))
    fields = f"If-None-Match: {known}\r\nConnection: close"
    found = ask(gate.port, request().replace(b"\r\n\r\n", f"\r\n{fields}\r\n\r\n".encode()))
    assert {name.lower(): value for name, value in fields_by_name(found).items()}["etag"] == shown
    assert f"If-None-Match: {known}\r\n".encode() in shop.got


def test_trailers_of_an_encoded_body(gate: Gateway, shop: Upstream) -> None:
    """They pass, but for those that vouch for the plain body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"X-Sum: 5\r\nrepr-digest: sha-256=:AAAA:\r\nContent-MD5: AAAA\r\n"
    shop.clear(always(head + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"))
    asked = request(takes="gzip").replace(
        b"\r\n\r\n", b"\r\nConnection: close, TE\r\nTE: trailers\r\n\r\n"
    )
    found = ask(gate.port, asked)
    assert b"Content-Encoding: gzip\r\n" in found
    assert found.endswith(b"\r\n0\r\nX-Sum: 5\r\n\r\n")


@pytest.mark.parametrize(
    "type_",
    [
        "text/html",
        "application/json",
        "application/vnd.shop.v2+json; charset=utf-8",
        "Application/Problem+JSON",
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
    ],
)
def test_types_by_default(gate: Gateway, shop: Upstream, type_: str) -> None:
    """A vendor's type says by its suffix what it is (RFC 6839)."""
    shop.clear(always(answer(type_=type_)))
    assert got(gate, request())[0]["Content-Encoding"] == "zstd"


def test_a_type_and_a_size_of_its_own(gate: Gateway, shop: Upstream) -> None:
    shop.clear(always(answer(type_="text/css; charset=utf-8")))
    assert got(gate, request("/css/a"))[0]["Content-Encoding"] == "zstd"
    shop.clear(always(answer(body=b"{}")))
    fields, body = got(gate, request("/gzip/a"))
    assert (fields["Content-Encoding"], gzip.decompress(body)) == ("gzip", b"{}")


def test_answers_without_a_body(gate: Gateway, shop: Upstream) -> None:
    """A 304 varies, too, and HEAD tells what GET would send (RFC 9110 §8.6, §9.3.2)."""
    shop.clear(always(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'))
    found = ask(gate.port, request().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (status(found), fields_by_name(found)["Vary"]) == (304, "Accept-Encoding")
    head = answer('ETag: "a"').partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    shop.clear(always(head))
    for takes, coding, length, tag in (
        ("gzip", "gzip", None, 'W/"a"'),
        ("", None, len(TEXT), '"a"'),
    ):
        asked = request(takes=takes, method="HEAD")
        found = ask(gate.port, asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        fields = fields_by_name(found)
        assert (fields["Vary"], fields["ETag"]) == ("Accept-Encoding", tag)
        assert fields.get("Content-Encoding") == coding
        assert fields.get("Content-Length") == (length and str(length))
        assert "Transfer-Encoding" not in fields
        assert found.endswith(b"\r\n\r\n")


def test_http_1_0_gets_the_plain_form(gate: Gateway, shop: Upstream) -> None:
    shop.clear(always(answer()))
    found = ask(gate.port, request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert found.endswith(TEXT)


def test_what_comes_without_a_length_is_flushed(gate: Gateway, shop: Upstream) -> None:
    """A client can read each piece before the next one comes, and the end is whole."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    going: list[bytes] = []

    def drip(visit: Visit) -> None:
        visit.request()
        visit.send(head)
        for number in range(3):
            shop.wait(lambda number=number: len(going) >= number)  # type: ignore[misc]
            visit.send(b"5\r\npiece\r\n")
        visit.send(b"0\r\n\r\n")

    shop.clear(drip)
    decoder = zlib.decompressobj(31)
    with Client(gate.port) as client:
        client.send(request(takes="gzip"))
        client.head()
        while not decoder.eof:
            size = int(client.line(), 16)
            text = decoder.decompress(client.exactly(size))
            client.exactly(2)
            if text:
                going.append(text)
            if size == 0:
                break
    assert b"".join(going) == b"piece" * 3
    assert len(going) == 3


def test_event_streams_are_not_encoded(gate: Gateway, shop: Upstream) -> None:
    """They would hold an encoder for as long as they last."""
    shop.clear(always(answer(type_="text/event-stream")))
    fields, body = got(gate, request())
    assert "Content-Encoding" not in fields
    assert body == TEXT


def test_tokens_are_found_before(gate: Gateway, shop: Upstream) -> None:
    """A reply with a token is refused, whatever the client takes; another one is encoded."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0." + "a" * 43
    shop.clear(always(answer(body=json.dumps({"token": token, "x": "y" * 2000}).encode())))
    asked = request("/tokens/a", takes="gzip").replace(
        b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
    )
    assert status(ask(gate.port, asked)) == 502
    shop.clear(always(answer()))
    fields, body = got(gate, request("/tokens/a", takes="gzip"))
    assert (fields["Content-Encoding"], gzip.decompress(body)) == ("gzip", TEXT)


def test_a_large_body_whose_reader_is_slow(gate: Gateway, shop: Upstream) -> None:
    """Of an endless body, no more is read than the client takes; another one arrives whole."""
    sent: list[int] = []
    noise = base64.b64encode(os.urandom(2**18))  # takes three quarters, encoded

    def endless(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            visit.send(noise)
            sent.append(len(noise))

    shop.clear(endless)
    with Client(gate.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(request(takes="br"))
        client.head()
        shop.wait(lambda: has_stopped(sent))
        assert sum(sent) < 64 * 2**20  # the kernel's buffers hold some of it
        with Client(gate.port) as other:  # has its turns
            other.send(request(takes="gzip"))
            assert status(other.head()) == 200
    body = TEXT * 400
    shop.clear(always(answer(body=body)))
    fields, got_body = got(gate, request(takes="br"))
    assert fields["Content-Encoding"] == "br"
    assert brotli.decompress(got_body) == body


def has_stopped(sent: list[int]) -> bool:
    """Whether a writer that has begun has written nothing for a moment."""
    before = len(sent)
    time.sleep(0.3)
    return before == len(sent) > 0


def test_a_cut_body_is_not_ended_as_if_whole(gate: Gateway, shop: Upstream) -> None:
    def cut(visit: Visit) -> None:
        visit.request()
        visit.send(answer().removesuffix(TEXT[100:]))
        visit.close()

    shop.clear(cut)
    found = ask(gate.port, request(takes="gzip"))
    assert not found.endswith(b"0\r\n\r\n")

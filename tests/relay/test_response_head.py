"""How an upstream's response head is read: its framing, what passes, and what is noted of it."""

from collections.abc import Collection

import pytest

from gateway.relay.http1.grammar import HEAD_END, Malformed
from gateway.relay.http1.response_head import ResponseHead, ResponseReader


def read(
    *lines: bytes, own_cookies: Collection[bytes] = (), version: bytes = b"1.1", status: int = 200
) -> ResponseHead:
    data = b"HTTP/%b %d OK\r\n" % (version, status)
    data += b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    reader = ResponseReader(own_cookies=own_cookies)
    return reader.read(data, len(data) - len(HEAD_END))


def test_fields_pass_byte_for_byte() -> None:
    """wire-rules.md#B2: in order, and Set-Cookie lines are never merged."""
    lines = [b"Server:  theirs ", b"Set-Cookie: a=1", b"set-cookie: b=2", b"X: \xff"]
    assert read(*lines).passed == [line + b"\r\n" for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 5",
        b"Upgrade: websocket",
        b"X-Request-Id: theirs",
        b"X-Latchkey-Session: s",
        b"x_latchkey_session: s",
    ],
)
def test_a_field_of_one_connection_does_not_pass(line: bytes) -> None:
    """wire-rules.md#B1, and none that the gateway sets."""
    assert read(line).passed == []


def test_a_field_that_connection_names_does_not_pass() -> None:
    """RFC 9110 §7.6.1: not to caches either."""
    head = read(b"Connection: cache-control, vary", b"Cache-Control: public", b"Vary: X", b"A: 1")
    assert (head.passed, head.for_caches, head.vary) == ([b"A: 1\r\n"], (), ())


@pytest.mark.parametrize(
    ("lines", "length", "chunked"),
    [
        ((), None, False),
        ((b"Content-Length: 5",), 5, False),
        ((b"Transfer-Encoding: Chunked",), None, True),
    ],
)
def test_the_framing(lines: tuple[bytes, ...], length: int | None, chunked: bool) -> None:
    """RFC 9112 §6.3."""
    head = read(*lines)
    assert (head.length, head.chunked) == (length, chunked)


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        ((b"Content-Length: 5", b"Content-Length: 5"), b"1.1"),
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"1.1"),
        ((b"Content-Length: +5",), b"1.1"),
        ((b"Transfer-Encoding: gzip, chunked",), b"1.1"),
        ((b"Transfer-Encoding: chunked",), b"1.0"),
        ((b"no field",), b"1.1"),
        ((b"A: 1\x00",), b"1.1"),
        ((b"X: 1",) * 1001, b"1.1"),
    ],
)
def test_what_is_malformed(lines: tuple[bytes, ...], version: bytes) -> None:
    """wire-rules.md#A14."""
    with pytest.raises(Malformed):
        read(*lines, version=version)


@pytest.mark.parametrize(
    ("line", "version", "reusable"),
    [
        (b"A: 1", b"1.1", True),
        (b"Connection: close", b"1.1", False),
        (b"A: 1", b"1.0", False),
        (b"Connection: keep-alive", b"1.0", True),
    ],
)
def test_whether_the_connection_stays_open(line: bytes, version: bytes, reusable: bool) -> None:
    """RFC 9112 §9.3."""
    assert read(line, version=version).keeps_open() is reusable


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (b"Set-Cookie: latchkey=1", False),
        (b"Set-Cookie:  latchkey =1", False),
        (b"Set-Cookie: other=lk_trip.1", False),
        (b"Set-Cookie: latchkey2=1", True),
    ],
)
def test_no_upstream_sets_the_gateways_cookies(line: bytes, passes: bool) -> None:
    """wire-rules.md#E7: nor one that a browser carries on its way to log in; each is noted."""
    head = read(line, own_cookies=[b"latchkey"])
    assert head.passed == ([line + b"\r\n"] if passes else [])
    assert head.set_cookies == (line + b"\r\n",)


def test_what_it_says_to_caches_is_noted() -> None:
    """wire-rules.md#B15: beside the lines that pass."""
    lines = [b"Cache-Control: public", b"CDN-Cache-Control: x", b"Vary: Accept", b"ETag: 1"]
    head = read(*lines)
    assert head.passed == [line + b"\r\n" for line in lines]
    assert head.for_caches == tuple(line + b"\r\n" for line in lines[:2])
    assert head.vary == (b"Vary: Accept\r\n",)

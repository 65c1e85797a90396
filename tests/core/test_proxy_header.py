"""PROXY headers (HAProxy's proxy-protocol.txt), as they come: whole, cut, malformed."""

import pytest

from gateway.core.http.proxy_header import MAX_BYTES, BadProxyHeader, client, is_whole, size

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = b"\xcb\x00\x71\x07\x7f\x00\x00\x01\x04\xd2\x00\x50"
V6 = bytes.fromhex("20010db8000000000000000000000007") + bytes(15) + b"\x01\x04\xd2\x00\x50"


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


NAMED = {
    b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\r\n": "203.0.113.7",
    b"PROXY TCP6 2001:db8::7 ::1 1234 80\r\n": "2001:db8::7",
    binary(0x21, 0x11, V4): "203.0.113.7",
    binary(0x21, 0x21, V6): "2001:db8::7",
    binary(0x21, 0x11, V4 + b"\x20\x00\x05\x01\x00\x00\x00\x00"): "203.0.113.7",  # a TLV: TLS
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": None,
    binary(0x20, 0x00, b""): None,  # LOCAL: a health check
    binary(0x20, 0x11, V4): None,
    binary(0x21, 0x00, b""): None,
    binary(0x21, 0x31, bytes(216)): None,  # unix sockets
}


@pytest.mark.parametrize(("header", "named"), NAMED.items())
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
def test_a_header_ends_where_it_ends(header: bytes, named: str | None, behind: bytes) -> None:
    """Whatever follows, and however it is cut, exactly the header is taken."""
    assert size(header + behind) == len(header)
    for end in range(1, len(header)):
        assert size(header[:end]) == end
        assert not is_whole(header[:end])
    assert is_whole(header)
    assert client(header) == named


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\r\n\r\nGET /",
        b"proxy TCP4",
        b"PROXY TCP4 " + b"1" * 107,
        SIGNATURE + b"\x21\x11" + MAX_BYTES.to_bytes(2, "big"),
    ],
)
def test_what_begins_no_header(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        size(data)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 203.0.113.700 127.0.0.1 1234 80\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 1234 80\r\n",
        b"PROXY TCP6 203.0.113.7 ::1 1234 80\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1234 80\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 99999\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 080\r\n",
        b"PROXY TCP6 2001:db8::7 ::1 01234 80\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\n",
        b"PROXY  TCP4 203.0.113.7 127.0.0.1 1234 80\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80 \r\n",
        b"PROXY UDP4 203.0.113.7 127.0.0.1 1234 80\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\n",
        binary(0x22, 0x11, V4),
        binary(0x11, 0x11, V4),
        binary(0x21, 0x41, V4),
        binary(0x21, 0x11, V4[:-1]),
        binary(0x21, 0x21, V4),
    ],
)
def test_a_malformed_header(header: bytes) -> None:
    assert size(header) == len(header)
    with pytest.raises(BadProxyHeader):
        client(header)

"""Whose address a request has: what is believed of what proxies say."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.forwarding import Client, Trusted, client, node

PEER = "10.0.0.1"
TRUSTED = Trusted([ip_network("10.0.0.0/8"), ip_network("2001:db8:f::/48")])
CLIENT = "203.0.113.7"

FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
FORWARDED, REAL_IP = b"forwarded", b"x-real-ip"


def asked(*fields: tuple[bytes, bytes]) -> Client:
    return client(PEER, fields, TRUSTED)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7:50123", "203.0.113.7"),
        (b" 203.0.113.7\t", "203.0.113.7"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"2001:DB8:0::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:443", "2001:db8::1"),
        (b'"[2001:db8::1]:443"', "2001:db8::1"),
        (b'"203.0.113.7:443"', "203.0.113.7"),
        (b"203.0.113.7:_port", "203.0.113.7"),
        (b"fe80::1%eth0.1", "fe80::1"),
        (b"[fe80::1%25eth0]:1", "fe80::1"),
        (b"::ffff:203.0.113.7", "203.0.113.7"),
        (b"[::FFFF:203.0.113.7]:1", "203.0.113.7"),
        (b"unknown", None),
        (b"_hidden", None),
        (b"", None),
        (b'""', None),
        (b"localhost", None),
        (b"203.0.113", None),
        (b"203.0.113.007", None),
        (b"203.0.113.7:", None),
        (b"203.0.113.7:123456", None),
        (b"203.0.113.7/24", None),
        (b"203.0.113.7 6.6.6.6", None),
        (b"[2001:db8::1", None),
        (b"[2001:db8::1]443", None),
        (b"2001:db8::1::2", None),
        (b'"203.0.113.7', None),
        (b"\xef\xbc\x91.0.0.1", None),
        (b"1" * 10_000, None),
    ],
)
def test_an_address_as_proxies_write_it(text: bytes, address: str | None) -> None:
    """With or without a port, in brackets or quotes; a hidden or unknown one is none (RFC 7239)."""
    assert node(text) == address


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ([], PEER),
        ([b""], PEER),
        ([b"203.0.113.7"], CLIENT),
        ([b"203.0.113.7, 10.0.0.2"], CLIENT),
        ([b"203.0.113.7:81, 10.0.0.2:82, 10.0.0.3:83"], CLIENT),
        ([b"203.0.113.7", b"10.0.0.2"], CLIENT),
        ([b"6.6.6.6, 203.0.113.7, 10.0.0.2"], CLIENT),
        ([b"6.6.6.6", b"6.6.6.7, 203.0.113.7", b"10.0.0.2, ,10.0.0.3,"], CLIENT),
        ([b"6.6.6.6, 10.0.0.9, 203.0.113.7, 10.0.0.2"], CLIENT),
        ([b"203.0.113.7, 2001:db8:f::2"], CLIENT),
        ([b'203.0.113.7, "[2001:db8:f::2]:443"'], CLIENT),
        ([b"203.0.113.7, ::ffff:10.0.0.2"], CLIENT),
        ([b"10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.4"),
        ([b"203.0.113.7, unknown"], PEER),
        ([b"203.0.113.7, _hidden, 10.0.0.2"], "10.0.0.2"),
        ([b"203.0.113.7, 10.0.0.2 10.0.0.3"], PEER),
        ([b"203.0.113.7; 10.0.0.2"], PEER),
    ],
)
def test_the_chain_is_walked_from_the_right(lines: list[bytes], address: str) -> None:
    """As far as trusted proxies have appended to it, and never past what is no address."""
    assert asked(*((FOR, line) for line in lines)).address == address


@given(st.binary(max_size=200))
def test_what_a_client_writes_is_never_believed(made_up: bytes) -> None:
    """Whatever it is, the trusted proxy appends the client's own address behind it."""
    own, behind = CLIENT.encode(), b", 10.0.0.2"
    for suffix in (own, own + behind, own + b":443" + behind):
        assert asked((FOR, made_up + b"," + suffix)).address == CLIENT
        assert asked((FOR, made_up), (FOR, suffix)).address == CLIENT
    assert asked((FORWARDED, made_up + b", for=" + own)).address == CLIENT
    quoted = b', for="[2001:db8::1]:443";proto=https'
    assert asked((FORWARDED, made_up + quoted)).address in ("2001:db8::1", PEER)


def test_a_long_way_is_not_followed() -> None:
    """Sixteen proxies are more than any request comes through."""
    many = b", ".join([CLIENT.encode(), *[b"10.0.0.2"] * 5000])
    assert asked((FOR, many)).address == "10.0.0.2"
    assert asked((FORWARDED, many.replace(b", ", b", for="))).address == "10.0.0.2"


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ([(REAL_IP, b"203.0.113.7")], CLIENT),
        ([(REAL_IP, b"203.0.113.7:443")], CLIENT),
        ([(REAL_IP, b"6.6.6.6"), (REAL_IP, b"203.0.113.7")], CLIENT),
        ([(REAL_IP, b"unknown")], PEER),
        ([(REAL_IP, b"6.6.6.6"), (FOR, b"203.0.113.7")], CLIENT),
        ([(REAL_IP, b"6.6.6.6"), (FOR, b"")], PEER),
        ([(FORWARDED, b"for=203.0.113.7")], CLIENT),
        ([(FORWARDED, b"For=203.0.113.7;by=10.0.0.1, for=10.0.0.2")], CLIENT),
        ([(FORWARDED, b'for="203.0.113.7:443"'), (FORWARDED, b"proto=http;for=10.0.0.2")], CLIENT),
        ([(FORWARDED, b'for=6.6.6.6, for="[2001:db8::1]:443", for=10.0.0.2')], "2001:db8::1"),
        ([(FORWARDED, b"for=6.6.6.6, for=unknown, for=10.0.0.2")], "10.0.0.2"),
        ([(FORWARDED, b'for=6.6.6.6, for="_gazonk"')], PEER),
        ([(FORWARDED, b"for=6.6.6.6, by=10.0.0.1")], PEER),
        ([(FORWARDED, b"for=203.0.113.7;for=6.6.6.6")], PEER),
        ([(FORWARDED, b'for="203.0.113.7')], PEER),
        ([(FORWARDED, b'for="6.6.6.6, for=203.0.113.7')], CLIENT),
        ([(FORWARDED, b"for=203.0.113.7, ,")], CLIENT),
        ([(FORWARDED, b"")], PEER),
        ([(FORWARDED, b"for=6.6.6.6"), (FOR, b"203.0.113.7")], CLIENT),
        ([(FORWARDED, b"for=6.6.6.6"), (REAL_IP, b"203.0.113.7")], CLIENT),
        ([(FORWARDED, b"for=6.6.6.6"), (PROTO, b"https")], PEER),
        ([(FORWARDED, b"for=6.6.6.6"), (HOST, b"shop.example")], PEER),
        ([(FORWARDED, b"for=6.6.6.6"), (b"x-forwarded-port", b"443")], PEER),
        ([(FORWARDED, b"for=203.0.113.7"), (b"x-request-id", b"a")], CLIENT),
    ],
)
def test_one_way_of_telling_counts(fields: list[tuple[bytes, bytes]], address: str) -> None:
    """X-Forwarded-For before X-Real-IP, and Forwarded where nothing else is said: a proxy passes
    the others on as the client has made them up.
    """
    assert asked(*fields).address == address


@pytest.mark.parametrize(
    ("chain", "protos", "scheme"),
    [
        (None, [], b"http"),
        (None, [b"https"], b"https"),
        (None, [b"HTTPS"], b"https"),
        (None, [b"wss"], b"wss"),
        (None, [b"gopher"], b"http"),
        (None, [b"https, http"], b"https"),
        (None, [b"http, https"], b"http"),
        (b"203.0.113.7", [b"https"], b"https"),
        (b"203.0.113.7, 10.0.0.2", [b"https, http"], b"https"),
        (b"203.0.113.7, 10.0.0.2", [b"https", b"http"], b"https"),
        (b"203.0.113.7, 10.0.0.2", [b"http, https"], b"http"),
        (b"203.0.113.7, 10.0.0.2", [b"https"], b"https"),
        (b"6.6.6.6, 203.0.113.7", [b"https, http"], b"http"),
        (b"6.6.6.6, 203.0.113.7, 10.0.0.2", [b"https, http, https"], b"http"),
        (b"6.6.6.6, 203.0.113.7, 10.0.0.2", [b"https"], b"https"),
        (b"6.6.6.6, unknown", [b"https, http"], b"http"),
    ],
)
def test_the_scheme_is_that_of_the_client(
    chain: bytes | None, protos: list[bytes], scheme: bytes
) -> None:
    """Lists of schemes grow with the chain: what stands beside made-up addresses may be made up."""
    fields = [(PROTO, line) for line in protos]
    if chain is not None:
        fields.append((FOR, chain))
    said = asked(*fields)
    assert (said.scheme, said.is_protected) == (scheme, scheme in (b"https", b"wss"))


@pytest.mark.parametrize(
    ("fields", "host", "scheme"),
    [
        ([(HOST, b"shop.example:8443")], b"shop.example:8443", b"http"),
        ([(HOST, b"evil.example, shop.example")], b"shop.example", b"http"),
        ([(HOST, b"evil.example"), (HOST, b"[2001:db8::1]:80")], b"[2001:db8::1]:80", b"http"),
        ([(HOST, b"evil.example/path")], None, b"http"),
        ([(HOST, b"shop.example:")], b"shop.example", b"http"),
        ([(HOST, b"%zz")], None, b"http"),
        ([(HOST, b"[:::]")], None, b"http"),
        ([(HOST, b"")], None, b"http"),
        (
            [(FORWARDED, b'for=203.0.113.7;proto=https;host="a.example:81"')],
            b"a.example:81",
            b"https",
        ),
        ([(FORWARDED, b"for=203.0.113.7;host=a, for=10.0.0.2;host=b")], b"a", b"http"),
        ([(FORWARDED, b"for=6.6.6.6;host=a;proto=https, for=203.0.113.7;host=b")], b"b", b"http"),
        ([(FORWARDED, b"for=unknown;host=a;proto=https")], b"a", b"https"),
        ([(FORWARDED, b"host=a;proto=https"), (PROTO, b"http")], None, b"http"),
    ],
)
def test_the_host_is_what_our_peer_says(
    fields: list[tuple[bytes, bytes]], host: bytes | None, scheme: bytes
) -> None:
    """Some proxies append to what the client has made up, so of a list the last one counts. In
    Forwarded each element is one proxy's, so the one counts that names the client.
    """
    assert asked(*fields)[1:] == (scheme, host)


def test_the_peer_of_a_unix_socket() -> None:
    """It is trusted if that is said, and has no address of its own."""
    trusted = Trusted(["unix", ip_network("10.0.0.0/8")])
    assert trusted.includes("unknown")
    assert not TRUSTED.includes("unknown")
    assert client("unknown", [(FOR, b"203.0.113.7, 10.0.0.2")], trusted).address == CLIENT
    assert client("unknown", [], trusted).address == "unknown"

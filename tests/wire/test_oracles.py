"""nginx and HAProxy as oracles: where the relay differs from both of them, it is said why."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.support import proxies
from tests.support.gateway import Gateway
from tests.support.processes import free_port, running
from tests.support.raw import Client, Upstream, status
from tests.wire.vectors import cases, chunked, get, post, requests

NGINX = """
server {{
  listen 127.0.0.1:{port};
  location / {{ proxy_pass {upstream}; proxy_http_version 1.1; }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend all
  bind 127.0.0.1:{port}
  default_backend one
backend one
  server one {address}
"""


@pytest.fixture(scope="module")
def oracles(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[Mapping[str, int]]:
    """Both proxies before the shared upstream, by name and port."""
    folder = tmp_path_factory.mktemp("oracles")
    ports = {"nginx": free_port(), "haproxy": free_port()}
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=ports["haproxy"], address=f"127.0.0.1:{upstream.port}"))
    commands = {
        "nginx": proxies.nginx(folder, NGINX.format(port=ports["nginx"], upstream=upstream.url)),
        "haproxy": [proxies.program("haproxy"), "-db", "-f", str(file)],
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(running(command, log=folder / f"{name}.log", port=ports[name]))
        yield ports


# A few requests are waited for by one of the oracles, which costs so much each time.
MAX_SECONDS = 3.0


def accepts(port: int, request: bytes) -> bool:
    """Whether the request is passed on as a whole. One that is waited for is not."""
    with Client(port) as client:
        client.sock.settimeout(MAX_SECONDS)
        client.send(request)
        try:
            head = client.head()
        except (TimeoutError, AssertionError, OSError):
            return False
        return head.startswith(b"HTTP/") and status(head) < 400


# Ordinary requests, and odd ones that RFC 9112 allows.
GOOD = {
    "plain": get(b""),
    "a body": post(b"Content-Length: 5\r\n", b"hello"),
    "chunks": chunked(b"5\r\nhello\r\n0\r\n\r\n"),
    "an extension": chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n"),
    "a quoted extension": chunked(b'5;a="b c"\r\nhello\r\n0\r\n\r\n'),
    "a trailer": chunked(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    "zeros before a size": chunked(b"005\r\nhello\r\n000\r\n\r\n"),
    "many zeros before a size": chunked(b"0" * 40 + b"5\r\nhello\r\n" + b"0" * 40 + b"\r\n\r\n"),
    "no space behind the colon": get(b"X:y\r\n"),
    "white space around a value": get(b"X: \t y \t\r\n"),
    "an empty value": get(b"X:\r\n"),
    "bytes above 127 in a value": get(b"X: \xe9\xff\r\n"),
    "every byte of a token in a name": get(b"!#$%&'*+-.^_`|~09AZaz: y\r\n"),
    "an own method": get(b"").replace(b"GET", b"PURGE"),
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED\r\n"),
    "zeros before a length": post(b"Content-Length: 005\r\n", b"hello"),
    "an empty line before it": b"\r\n" + get(b""),
    "an empty port": get(b"").replace(b"a.example", b"a.example:"),
    "absolute form": get(b"").replace(b" /", b" http://a.example/"),
    "HTTP/1.0": get(b"").replace(b"1.1", b"1.0"),
    "HTTP/1.0 without a Host": b"GET /public/ HTTP/1.0\r\n\r\n",
    "HTTP/1.2": get(b"").replace(b"1.1", b"1.2"),
    "HTTP/1.9 with a body": post(b"Content-Length: 5\r\n", b"hello").replace(b"1.1", b"1.9"),
    "a query of all kinds": get(b"").replace(b"/public/", b"/public/?a=/?:@!$&'()*+,;=%20[]"),
}

_LF = "RFC 9112 §2.2 lets a recipient take LF for a line end; those that do not then read on"
_LF_CHUNK = "RFC 9112 §7.1 knows no LF in chunks; who takes it disagrees with who does not"
_TRAILER = "RFC 9112 §5 holds for trailers too; both oracles throw them away unread"
_CONTROL = "RFC 9110 §5.5: control bytes are dangerous, as logs and terminals take them for orders"
_HOST = "RFC 3986 §3.2.2: no host; backends build links and choose tenants by it"
_SPACES = "RFC 9112 §3: one space; who splits at the first and who at the last differ"

# Refused by us alone, although both oracles pass it on: by vector, and why.
STRICTER = {
    "A3 behind a bare LF": _LF,
    "A4 zeros without end": "RFC 9112 §7.1.1: a chunk line has a limit; zeros hide a long one",
    "A4 LF behind the size": _LF_CHUNK,
    "A4 LF behind the data": _LF_CHUNK,
    "A4 LF behind the last size": _LF_CHUNK,
    "A4 LF as the last line": _LF_CHUNK,
    "A4 a NUL in an extension": _CONTROL,
    "A4 a bad name in a trailer": _TRAILER,
    "A4 an LF in a trailer": _TRAILER,
    "A4 a folded trailer": _TRAILER,
    "A5 LF everywhere": _LF,
    "A5 LF behind the request line": _LF,
    "A5 LF behind a field": _LF,
    "A5 LF as the empty line": _LF,
    "A5 LF in a value": _LF,
    "A5 a control byte": _CONTROL,
    "A5 a backspace": _CONTROL,
    "A5 an escape": _CONTROL,
    "A5 a delete": _CONTROL,
    "A6 a backslash": _HOST,
    "A6 a query": _HOST,
    "A6 a fragment": _HOST,
    "A6 a user": _HOST,
    "A6 a word as the port": _HOST,
    "A6 two ports": _HOST,
    "A6 an empty port behind a port": _HOST,
    "A6 two empty ports": _HOST,
    "A6 a negative port": _HOST,
    "A6 an escape of no byte": _HOST,
    "A6 half an escape": _HOST,
    "A6 a percent sign": _HOST,
    "A6 colons that are no address": _HOST,
    "A6 an IPv4 address in brackets": _HOST,
    "A6 half an address": _HOST,
    "A6 words in an address": _HOST,
    "A6 something behind an address": _HOST,
    "A6 angle brackets": _HOST,
    "A6 quotes": _HOST,
    "A6 a byte above 127": _HOST,
    "A7 two spaces before the target": _SPACES,
    "A7 two spaces behind it": _SPACES,
    "A7 another scheme": "RFC 9110 §7.4: an ftp resource is not ours to serve",
}
VECTORS = dict(requests())


@cases("name", {name: name for name in VECTORS})
def test_where_both_oracles_differ_it_is_said_why(
    relay: Gateway, shop: Upstream, oracles: Mapping[str, int], name: str
) -> None:
    """Malformed: never passed on by us alone; and where we alone refuse, there is a reason."""
    request = VECTORS[name]
    theirs = [accepts(port, request) for port in oracles.values()]
    if accepts(relay.port, request):
        assert any(theirs)
    elif all(theirs):
        assert STRICTER.get(name)


@cases("request_", GOOD)
def test_what_is_good_is_good_for_all(
    relay: Gateway, shop: Upstream, oracles: Mapping[str, int], request_: bytes
) -> None:
    """Strictness stops where RFC 9112 does: what both oracles take and it allows passes here too."""
    assert all(accepts(port, request_) for port in oracles.values())
    assert accepts(relay.port, request_)

"""What answers say of a backend's own URLs, as its clients know them."""

import time
from dataclasses import replace

import pytest

from gateway.core.http.backend_links import Asked, BackendLinks

HOST = b"shop.example:8080"


def asked() -> Asked:
    return Asked((HOST,), b"/")


NAMES = [b"10.0.0.1:9000", b"up.internal:80"]
CUT = BackendLinks.of(b"/shop", b"", NAMES)  # strip_prefix: /shop
BASE = BackendLinks.of(b"", b"/base", NAMES)  # http://h/base
BOTH = BackendLinks.of(b"/shop", b"/base", NAMES)
HOSTED = BackendLinks.of(b"", b"", NAMES)  # host: upstream


@pytest.mark.parametrize(
    ("links", "url", "expected"),
    [
        (CUT, b"/x?a=/b#c", b"/shop/x?a=/b#c"),
        (CUT, b"/", b"/shop/"),
        (CUT, b"/shop/x", b"/shop/x"),  # the backend knows X-Forwarded-Prefix
        (CUT, b"/shopping", b"/shop/shopping"),
        (CUT, b"http://shop.example:8080/x", b"http://shop.example:8080/shop/x"),
        (CUT, b"//SHOP.example:8080/x", b"//SHOP.example:8080/shop/x"),
        (CUT, b"https://shop.example:8080", b"https://shop.example:8080/shop/"),
        (CUT, b"http://10.0.0.1:9000/x", b"/shop/x"),
        (CUT, b"http://up.internal/x", b"/shop/x"),
        (CUT, b"https://id.example/x", b"https://id.example/x"),
        (CUT, b"http://shop.example.evil/x", b"http://shop.example.evil/x"),
        (CUT, b"http://u@shop.example:8080/x", b"http://u@shop.example:8080/x"),
        (CUT, b"mailto:a@b", b"mailto:a@b"),
        (CUT, b"y", b"/shop/a/y"),
        (CUT, b"../../../y", b"/shop/y"),
        (CUT, b"?q", b"?q"),
        (CUT, b"", b""),
        (BASE, b"/base/x", b"/x"),
        (BASE, b"/base", b"/"),
        (BASE, b"/based", b"/based"),
        (BASE, b"/other", b"/other"),
        (BASE, b"/base//evil.example/x", b"/evil.example/x"),
        (BASE, b"/base/\\evil.example", b"/evil.example"),
        (BASE, b"http://10.0.0.1:9000//evil.example", b"/evil.example"),
        (BASE, b"http://10.0.0.1:9000/\\evil.example", b"/evil.example"),
        (BOTH, b"//up.internal//evil.example", b"/evil.example"),
        (BOTH, b"/base/x", b"/shop/x"),
        (BOTH, b"/base", b"/shop"),
        (HOSTED, b"http://10.0.0.1:9000/x", b"/x"),
        (HOSTED, b"/x", b"/x"),
        (HOSTED, b"http://10.0.0.1:9000//evil.example", b"/evil.example"),
    ],
)
def test_locations(links: BackendLinks, url: bytes, expected: bytes) -> None:
    """Relative, absolute and of the same host; no path becomes another host's."""
    for name in (b"Location", b"content-location"):
        lines = [b"%b: %b\r\n" % (name, url)]
        found = links.put_right(lines, lambda: Asked((HOST,), links.upstream + b"/a/b"))
        assert found == [b"%b: %b\r\n" % (name, expected)]


@pytest.mark.parametrize(
    ("links", "line", "expected"),
    [
        (CUT, b"Location: https://pub.example/x", b"Location: https://pub.example/shop/x"),
        (BASE, b"Location: //pub.example/base/x", b"Location: //pub.example/x"),
        (
            CUT,
            b"Location: http://shop.example:8080/x",
            b"Location: http://shop.example:8080/shop/x",
        ),
        (CUT, b"Location: /outer/shop/x", b"Location: /outer/shop/x"),
        (CUT, b"Refresh: 0;url=https://pub.example/outer/shop", b""),
        (CUT, b"Location: /outer/x", b"Location: /shop/outer/x"),
        (CUT, b"Set-Cookie: a=1; Path=/outer/shop", b""),
        (CUT, b"Set-Cookie: a=1; Path=/shop", b""),
        (BOTH, b"Location: /outer/shop/x", b""),
        (BOTH, b"Location: /base/x", b"Location: /shop/x"),
    ],
)
def test_what_a_proxy_in_front_has_told(links: BackendLinks, line: bytes, expected: bytes) -> None:
    """The site's other name, and a prefix before the route's own: backends read both."""
    told = Asked((HOST, b"pub.example"), b"/", prefix=b"/outer/shop")
    assert links.put_right([line + b"\r\n"], lambda: told) == [(expected or line) + b"\r\n"]


@pytest.mark.parametrize(
    ("links", "cookie", "expected"),
    [
        (CUT, b"a=/x; Path=/; Secure", b"a=/x; Path=/shop; Secure"),
        (CUT, b"a=1; path=/x", b"a=1; path=/shop/x"),
        (CUT, b"a=1;Path=/shop/x", b"a=1;Path=/shop/x"),
        (CUT, b"a=1", b"a=1"),
        (CUT, b"a=1; Path=x", b"a=1; Path=x"),
        (CUT, b"__Host-a=1; Path=/; Secure", b"__Host-a=1; Path=/; Secure"),
        (CUT, b"a=1; Path=/ ; Secure", b"a=1; Path=/shop ; Secure"),  # a space is no part of it
        (CUT, b"a=1; Path=/x; Path=/y", b"a=1; Path=/shop/x; Path=/shop/y"),  # the last one counts
        (CUT, b'a=1; Path="/x"', b'a=1; Path="/x"'),  # no path to browsers (RFC 6265 §5.2.4)
        (CUT, b"__hOST-a=1; Path=/; Secure", b"__hOST-a=1; Path=/; Secure"),
        (BASE, b"a=1; Path=/base", b"a=1; Path=/"),
        (BASE, b"a=1; Path=/base/x", b"a=1; Path=/x"),
        (BASE, b"a=1; Path=/", b"a=1; Path=/"),
        (BOTH, b"a=1; Path=/base/", b"a=1; Path=/shop"),
        (BOTH, b"a=1; Path=/", b"a=1; Path=/shop"),
    ],
)
def test_paths_of_cookies(links: BackendLinks, cookie: bytes, expected: bytes) -> None:
    """One that covers all of the upstream covers all of the route."""
    lines = [b"Set-Cookie: " + cookie + b"\r\n"]
    [found] = links.put_right(lines, asked)
    assert found == b"Set-Cookie: " + expected + b"\r\n"
    off = replace(links, moves_cookies=False)
    assert off.put_right(lines, asked) == lines


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"5; url=/x", b"5; url=/shop/x"),
        (b"0;URL='/x'", b"0;URL='/shop/x'"),
        (b"5", b"5"),
    ],
)
def test_a_refresh(value: bytes, expected: bytes) -> None:
    [found] = CUT.put_right([b"Refresh: %b\r\n" % value], asked)
    assert found == b"Refresh: %b\r\n" % expected


def test_links_that_stay() -> None:
    """`proxy_redirect: off`, but for cookies."""
    off = replace(BOTH, moves_urls=False)
    lines = [
        b"Location: /base/x\r\n",
        b"Refresh: 0;url=/base/x\r\n",
        b"Content-Location: /base\r\n",
    ]
    assert off.put_right([*lines, b"Set-Cookie: a=1; Path=/base\r\n"], asked) == [
        *lines,
        b"Set-Cookie: a=1; Path=/shop\r\n",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Set-Cookie: a=1; Path=/%b x",
        b"Set-Cookie: a=1;%b path",
        b"Refresh: 1;%b x",
        b"Refresh: 1; url%b x",
    ],
)
def test_a_long_line_takes_as_long_as_it_is(line: bytes) -> None:
    """The time grows with the length, and not with its square: no answer stalls a worker."""

    def seconds(size: int) -> float:
        lines = [line % (b" " * size) + b"\r\n"]
        started = time.process_time()
        for _ in range(3):
            CUT.put_right(lines, asked)
        return time.process_time() - started

    assert seconds(32000) < 64 * max(seconds(2000), 0.001)  # by its square it would be 256

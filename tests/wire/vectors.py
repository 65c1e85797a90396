"""Requests that are malformed or ambiguous, by the rule that they break and by what is wrong.

Each is a whole request as one could read it, so that no reader waits for more of it. They are made up
for this gateway, after what the suites of gunicorn, h11, llhttp, aiohttp and http-desync-guardian,
HAProxy's reg-tests and nginx's tests look at.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

HOST = b"Host: a.example\r\n"
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"

# Ordinary requests: a login with more field lines, and two with a key.
LOGIN = (
    b"POST /login HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%b"
    b'Content-Type: application/json\r\nContent-Length: 21\r\n\r\n{"username": "alice"}'
)
API = b"GET /api/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"
LOGOUT = API.replace(b"GET /api/x", b"POST /logout")

# What a relay must not see where a body is expected: it looks like the end of one.
_BODY = b"0\r\n\r\n"


def cases(name: str, rows: Mapping[str, Any], *more: str) -> pytest.MarkDecorator:
    """Parametrises a test with a table, and names its cases by what is wrong in them."""
    return pytest.mark.parametrize(", ".join((name, *more)), list(rows.values()), ids=list(rows))


def post(lines: bytes, body: bytes = _BODY, version: bytes = b"1.1") -> bytes:
    return b"POST /public/ HTTP/" + version + b"\r\n" + HOST + lines + b"\r\n" + body


def get(lines: bytes) -> bytes:
    return b"GET /public/ HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


def _of(rows: Mapping[str, bytes], line: str) -> dict[str, bytes]:
    """Requests with one field of these values."""
    name = line.encode()
    return {what: post(name + b":" + value + b"\r\n", b"hello") for what, value in rows.items()}


BOTH = {
    "length first": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "coding first": post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "no length": post(b"content-length: 0\r\ntransfer-encoding: chunked\r\n"),
    "fields between": post(b"Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n"),
    "coding in capitals": post(b"CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
    "on a get": get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + _BODY,
    "named in connection": post(
        b"Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    ),
}

LENGTHS = _of(
    {
        "a list of equals": b" 5, 5",
        "a list of two": b" 5, 6",
        "a comma before": b" ,5",
        "a comma behind": b" 5,",
        "a plus": b" +5",
        "a minus": b" -1",
        "minus nothing": b" -0",
        "hexadecimal": b" 0x5",
        "octal": b" 0o5",
        "a space inside": b" 5 5",
        "a tab inside": b" 5\t5",
        "a semicolon": b" 5;",
        "a fraction": b" 5.0",
        "an exponent": b" 5e0",
        "underscores": b" 1_0",
        "superscript": b" \xb2",
        "arabic digits": b" \xd9\xa5",
        "full-width digits": b" \xef\xbc\x95",
        "a no-break space": b" \xa05",
        "quotes": b' "5"',
        "a word": b" five",
        "nothing": b"",
        "only spaces": b"  ",
        "2^63": b" 9223372036854775808",
        "2^64 + 5": b" 18446744073709551621",
        "2^32 + 5 and zeros": b" 0000000000004294967301",
        "23 digits": b" 99999999999999999999999",
        "400 digits": b" " + b"9" * 400,
        "a vertical tab": b" \x0b5",
        "a form feed": b" \x0c5",
    },
    "Content-Length",
) | {
    "two different": post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two equal": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "two, one of them nothing": post(b"Content-Length: 5\r\nContent-Length:\r\n", b"hello"),
    "two, far apart": post(b"Content-Length: 0\r\nX: y\r\ncontent-length: 5\r\n", b"hello"),
}

CODINGS = {
    what: post(b"Transfer-Encoding:" + value + b"\r\n")
    for what, value in {
        "gzip before": b" gzip, chunked",
        "gzip behind": b" chunked, gzip",
        "twice in a list": b" chunked, chunked",
        "identity before": b" identity, chunked",
        "a letter before": b" xchunked",
        "a letter behind": b" chunkedx",
        "a part": b" chunk",
        "a parameter": b" chunked;x",
        "a quality": b" chunked;q=1",
        "a comma before": b" , chunked",
        "a comma behind": b" chunked,",
        "identity": b" identity",
        "gzip": b" gzip",
        "nothing": b"",
        "quotes": b' "chunked"',
        "a vertical tab": b" \x0bchunked",
        "a form feed": b" \x0cchunked",
        "a NUL": b" chunked\x00",
        "a no-break space": b" \xa0chunked",
        "a long s": b" chun\xc5\xbfked",
        "a Kelvin sign": b" chun\xe2\x84\xaaed",
        "a bare CR before": b" \rchunked",
        "folded": b"\r\n chunked",
    }.items()
} | {
    "twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "identity, then chunked": post(
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"
    ),
    "chunked, then identity": post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
    ),
    "nothing, then chunked": post(b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n"),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n"),
    "behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked\r\n"),
    "behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked\r\n"),
    "with HTTP/1.0": post(b"Transfer-Encoding: chunked\r\n", version=b"1.0"),
    "with HTTP/1.0 that stays": post(
        b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", version=b"1.0"
    ),
}

_LAST = b"\r\nhello\r\n0\r\n\r\n"
CHUNKS = {
    what: chunked(body)
    for what, body in {
        "hexadecimal mark": b"0x5" + _LAST,
        "a plus": b"+5" + _LAST,
        "a minus": b"-5" + _LAST,
        "a space inside": b"5 5" + _LAST,
        "a space before": b" 5" + _LAST,
        "a tab before": b"\t5" + _LAST,
        "underscores": b"0_5" + _LAST,
        "a fraction": b"5.0" + _LAST,
        "16 digits that overflow": b"ffffffffffffffff" + _LAST,
        "17 digits": b"11111111111111111" + _LAST,
        "17 digits that wrap to 5": b"10000000000000005" + _LAST,
        "zeros before 16 digits": b"0" * 20 + b"1000000000000005" + _LAST,
        "zeros without end": b"0" * 5000 + b"5" + _LAST,
        "no size": _LAST,
        "no size but an extension": b";a=b" + _LAST,
        "a word": b"zz\r\n",
        "64 KiB of extension": b"5;" + b"x" * 65536 + _LAST,
        "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
        "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
        "CR CR LF behind the size": b"5\r\r\nhello\r\n0\r\n\r\n",
        "nothing behind the data": b"5\r\nhello0\r\n\r\n",
        "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
        "CR behind the data": b"5\r\nhello\r0\r\n\r\n",
        "more data than said": b"5\r\nhelloworld\r\n0\r\n\r\n",
        "less data than said": b"5\r\nhel\r\n0\r\n\r\n" + b"\r\n" * 4,
        "a NUL in an extension": b"5;a\x00b" + _LAST,
        "an LF in an extension": b"5;a\nb" + _LAST,
        "a CR in an extension": b"5;a\rb" + _LAST,
        "LF behind the last size": b"5\r\nhello\r\n0\n\r\n\r\n",
        "LF as the last line": b"5\r\nhello\r\n0\r\n\n\r\n\r\n",
        "a bad name in a trailer": b"5\r\nhello\r\n0\r\nBad Name: x\r\n\r\n",
        "an LF in a trailer": b"5\r\nhello\r\n0\r\nX: y\n\r\n\r\n",
        "a folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        "a trailer without a colon": b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    }.items()
}

FIELDS = {
    "LF everywhere": b"GET /public/ HTTP/1.1\nHost: a.example\n\n",
    "LF behind the request line": b"GET /public/ HTTP/1.1\nHost: a.example\r\n\r\n",
    "LF behind a field": b"GET /public/ HTTP/1.1\r\nHost: a.example\n\r\n",
    "LF as the empty line": b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\n\r\n\r\n",
    "CR behind a field": b"GET /public/ HTTP/1.1\r\nHost: a.example\r\r\n\r\n",
    "CR in a value": get(b"X: a\rb\r\n"),
    "LF in a value": get(b"X: a\nb: c\r\n"),
    "NUL in a value": get(b"X: a\x00b\r\n"),
    "NUL at the end": get(b"X: a\x00\r\n"),
    "a control byte": get(b"X: a\x01b\r\n"),
    "a backspace": get(b"X: a\x08b\r\n"),
    "an escape": get(b"X: a\x1bb\r\n"),
    "a delete": get(b"X: a\x7fb\r\n"),
    "a space before the colon": get(b"X : a\r\n"),
    "a tab before the colon": get(b"X\t: a\r\n"),
    "a space before the name": get(b" X: a\r\n"),
    "a tab before the name": get(b"\tX: a\r\n"),
    "a space before the first name": b"GET /public/ HTTP/1.1\r\n Host: a.example\r\n\r\n",
    "folded by a space": get(b"X: a\r\n b\r\n"),
    "folded by a tab": get(b"X: a\r\n\tb\r\n"),
    "folded to nothing": get(b"X: a\r\n \r\n"),
    "no name": get(b": a\r\n"),
    "no colon": get(b"X\r\n"),
    "a bracket in the name": get(b"X(: a\r\n"),
    "a slash in the name": get(b"X/Y: a\r\n"),
    "an at sign in the name": get(b"X@: a\r\n"),
    "quotes in the name": get(b'"X": a\r\n'),
    "a brace in the name": get(b"{X}: a\r\n"),
    "a NUL in the name": get(b"X\x00: a\r\n"),
    "a control byte in the name": get(b"X\x0b: a\r\n"),
    "a byte above 127 in the name": get(b"X\xe9: a\r\n"),
    "UTF-8 in the name": get(b"X\xc3\xa9: a\r\n"),
    "a byte-order mark": b"\xef\xbb\xbf" + get(b""),
}

HOSTS = {
    what: b"GET /public/ HTTP/1.1\r\n" + lines + b"\r\n"
    for what, lines in {
        "none": b"",
        "none, but another field": b"X: Host: a.example\r\n",
        "two equal": b"Host: a.example\r\nHost: a.example\r\n",
        "two different": b"Host: a.example\r\nHost: b.example\r\n",
        "two in other case": b"Host: a.example\r\nhOST: b.example\r\n",
        "nothing": b"Host:\r\n",
        "a space": b"Host: a b\r\n",
        "a tab": b"Host: a\tb\r\n",
        "a slash": b"Host: a/b\r\n",
        "a backslash": b"Host: a\\b\r\n",
        "a query": b"Host: a?b\r\n",
        "a fragment": b"Host: a#b\r\n",
        "a user": b"Host: user@a.example\r\n",
        "a scheme": b"Host: http://a.example\r\n",
        "a word as the port": b"Host: a.example:port\r\n",
        "two ports": b"Host: a.example:80:81\r\n",
        "an empty port behind a port": b"Host: a.example:80:\r\n",
        "two empty ports": b"Host: a.example::\r\n",
        "a port alone": b"Host: :80\r\n",
        "an empty port alone": b"Host: :\r\n",
        "an escape of no byte": b"Host: %zz\r\n",
        "half an escape": b"Host: a%4\r\n",
        "a percent sign": b"Host: %\r\n",
        "colons that are no address": b"Host: [:::]\r\n",
        "an IPv4 address in brackets": b"Host: [127.0.0.1]\r\n",
        "a negative port": b"Host: a.example:-80\r\n",
        "half an address": b"Host: [::1\r\n",
        "words in an address": b"Host: [evil]\r\n",
        "something behind an address": b"Host: [::1]evil\r\n",
        "angle brackets": b"Host: <a>\r\n",
        "quotes": b'Host: "a"\r\n',
        "a byte above 127": b"Host: a\xffb\r\n",
        "a NUL": b"Host: a\x00b\r\n",
        "a list": b"Host: a.example, b.example\r\n",
    }.items()
}

REQUEST_LINES = {
    "two spaces before the target": (b"GET  /public/ HTTP/1.1", 400),
    "two spaces behind it": (b"GET /public/  HTTP/1.1", 400),
    "a space at the end": (b"GET /public/ HTTP/1.1 ", 400),
    "a space at the beginning": (b" GET /public/ HTTP/1.1", 400),
    "a tab before the target": (b"GET\t/public/ HTTP/1.1", 400),
    "a tab behind it": (b"GET /public/\tHTTP/1.1", 400),
    "a vertical tab": (b"GET /public/\x0bHTTP/1.1", 400),
    "a CR": (b"GET /public/\rHTTP/1.1", 400),
    "no version": (b"GET /public/", 400),
    "no version and a space": (b"GET /public/ ", 400),
    "no target": (b"GET HTTP/1.1", 400),
    "only a method": (b"GET", 400),
    "HTTP/2.0": (b"GET /public/ HTTP/2.0", 505),
    "HTTP/0.9": (b"GET /public/ HTTP/0.9", 505),
    "HTTP/1.11": (b"GET /public/ HTTP/1.11", 505),
    "HTTP/11.1": (b"GET /public/ HTTP/11.1", 505),
    "HTTP/1": (b"GET /public/ HTTP/1", 505),
    "HTTP/1.": (b"GET /public/ HTTP/1.", 400),
    "HTTP/.1": (b"GET /public/ HTTP/.1", 400),
    "HTTP/1,1": (b"GET /public/ HTTP/1,1", 400),
    "HTTP/-1.1": (b"GET /public/ HTTP/-1.1", 400),
    "a letter behind the version": (b"GET /public/ HTTP/1.1x", 400),
    "a lower-case version": (b"GET /public/ http/1.1", 400),
    "another protocol": (b"GET /public/ ICY/1.1", 400),
    "another protocol, too": (b"GET /public/ RTSP/1.1", 400),
    "a fragment": (b"GET /public/#part HTTP/1.1", 400),
    "a fragment alone": (b"GET # HTTP/1.1", 400),
    "UTF-8 in the path": (b"GET /public/\xc3\xa9 HTTP/1.1", 400),
    "Latin-1 in the path": (b"GET /public/\xe9 HTTP/1.1", 400),
    "UTF-8 in the path before a query": (b"GET /public/\xc3\xa9?x=\xc3\xa9 HTTP/1.1", 400),
    "UTF-8 in the authority": (b"GET http://\xc3\xa9.example/public/ HTTP/1.1", 400),
    "a control byte in the query": (b"GET /public/?x=\x01 HTTP/1.1", 400),
    "a NUL in the target": (b"GET /public/\x00 HTTP/1.1", 400),
    "a delete in the target": (b"GET /public/\x7f HTTP/1.1", 400),
    "a space in the target": (b"GET /public/a b HTTP/1.1", 400),
    "no slash": (b"GET public/ HTTP/1.1", 400),
    "a query alone": (b"GET ?x HTTP/1.1", 400),
    "a star": (b"GET * HTTP/1.1", 400),
    "another scheme": (b"GET ftp://a.example/public/ HTTP/1.1", 400),
    "a scheme without authority": (b"GET http:///public/ HTTP/1.1", 400),
    "a scheme with one slash": (b"GET http:/public/ HTTP/1.1", 400),
    "a user in the authority": (b"GET http://u:p@a.example/public/ HTTP/1.1", 400),
    "a bad port in the authority": (b"GET http://a.example:x/public/ HTTP/1.1", 400),
    "a bracket in the method": (b"G(T /public/ HTTP/1.1", 400),
    "a colon in the method": (b"GET: /public/ HTTP/1.1", 400),
    "a NUL in the method": (b"G\x00T /public/ HTTP/1.1", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
    "HTTP/2's preface": (b"PRI * HTTP/2.0", 505),
    "a PROXY line": (b"PROXY TCP4 6.6.6.6 127.0.0.1 1 80", 400),
    "a status line": (b"HTTP/1.1 200 OK", 400),
}


def requests() -> Iterable[tuple[str, bytes]]:
    """All vectors by name, as whole requests."""
    tables = {"A1": BOTH, "A2": LENGTHS, "A3": CODINGS, "A4": CHUNKS, "A5": FIELDS, "A6": HOSTS}
    for rule, table in tables.items():
        yield from ((f"{rule} {what}", request) for what, request in table.items())
    for what, (line, _) in REQUEST_LINES.items():
        yield f"A7 {what}", line + b"\r\n" + HOST + b"\r\n"


# One bad request for each of these rules.
SAMPLES = {
    "A1": BOTH["length first"],
    "A2": LENGTHS["two different"],
    "A3": CODINGS["twice in a list"],
    "A4": CHUNKS["LF behind the size"],
    "A5": FIELDS["a space before the colon"],
}

"""Answers of an upstream that are no HTTP/1.1, or that two readers could read differently."""

from tests.support.raw import OK

BAD_ANSWERS = {
    what: b"HTTP/1.1 200 OK\r\n" + lines
    for what, lines in {
        "length and coding": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "coding and length": b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "a list of lengths": b"Content-Length: 2, 3\r\n\r\nok",
        "a negative length": b"Content-Length: -2\r\n\r\nok",
        "a length with a plus": b"Content-Length: +2\r\n\r\nok",
        "a hexadecimal length": b"Content-Length: 0x2\r\n\r\nok",
        "a length of nothing": b"Content-Length:\r\n\r\nok",
        "a length over 2^63": b"Content-Length: 9223372036854775808\r\n\r\nok",
        "another coding": b"Transfer-Encoding: gzip\r\n\r\nok",
        "two codings": b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "a line of 1 MiB": b"X: " + b"x" * 2**20 + b"\r\n\r\n",
        "a line without end": b"X: " + b"x" * 2**20,
        "a head of 1 MiB": b"X: y\r\n" * 170_000 + b"\r\n",
        "a space before the colon": b"X : y\r\nContent-Length: 2\r\n\r\nok",
        "a folded line": b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "a NUL": b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        "a bare CR": b"X: a\rb\r\nContent-Length: 2\r\n\r\nok",
        "a bare LF": b"X: a\nContent-Length: 2\r\n\r\nok",
        "no name": b": y\r\nContent-Length: 2\r\n\r\nok",
        "no colon": b"nonsense\r\nContent-Length: 2\r\n\r\nok",
    }.items()
} | {
    "status 99": b"HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok",
    "status 1000": b"HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok",
    "status 60x": b"HTTP/1.1 60x High\r\nContent-Length: 2\r\n\r\nok",
    "a CR behind status 600": b"HTTP/1.1 600 O\rK\r\nContent-Length: 2\r\n\r\nok",
    "status 2000": b"HTTP/1.1 2000 High\r\nContent-Length: 2\r\n\r\nok",
    "status +200": b"HTTP/1.1 +200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICY": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "LF alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "an empty line before": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no HTTP": b"nonsense\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\n\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.0 and chunked": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a 101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "a bad interim head": b"HTTP/1.1 103 Hints\r\nX : y\r\n\r\n" + OK,
}

"""wire-rules.md#B1 to #B8: what a proxy passes on, and what it keeps."""

import re
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.support.gateway import Gateway
from tests.support.raw import (
    OK,
    Client,
    Upstream,
    Visit,
    always,
    ask,
    field_lines,
    field_names,
    status,
)

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"


def test_hop_by_hop_fields_are_not_passed_on(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B1 [9110 §7.6.1]: neither they nor what Connection names passes, either way."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Secret\r\n"
            b"X-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\n"
            b"Upgrade: h2c\r\n\r\nok"
        )
    )
    answer = ask(
        relay.port,
        b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
        b"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAA\r\nProxy-Authorization: Basic eA==\r\nX-Kept: 1\r\n\r\n",
    )
    gone = {b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authorization"}
    gone |= {b"x-mine", b"http2-settings", b"connection"}
    assert not gone & set(field_names(shop.got))
    assert b"\r\nX-Kept: 1\r\n" in shop.got
    gone = {b"x-secret", b"keep-alive", b"proxy-authenticate", b"upgrade"}
    assert not gone & set(field_names(answer))
    assert b"\r\nX-Kept: 1\r\n" in answer


def test_connection_strips_no_field_of_the_gateways(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#B1: the gateway's own fields are added after what Connection names is gone."""
    request = (
        b"GET /api/ HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer %b\r\n"
        b"Connection: close, authorization, x-forwarded-for, host, x-user-id, content-length\r\n\r\n"
    )
    assert status(ask(relay.port, request % key.encode())) == 200
    names = field_names(shop.got)
    for name in (b"authorization", b"x-forwarded-for", b"host", b"x-user-id"):
        assert names.count(name) == 1


def test_fields_pass_byte_for_byte(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B2: in order, with duplicates, case, white space and bytes above 127; both
    ways.
    """
    ours = [b"x-b:  two", b"X-A:1\t", b"X-B: three", b"x-UTF: caf\xc3\xa9 \xff", b"X-Empty:"]
    theirs = [b"Set-Cookie: a=1", b"x-z:\ty", b"Set-Cookie: b=2; Path=/", b"X-L: \xe9"]
    shop.clear(
        always(
            b"HTTP/1.1 200 Fine, caf\xe9\r\n"
            + b"\r\n".join(theirs)
            + b"\r\nContent-Length: 0\r\n\r\n"
        )
    )
    answer = ask(relay.port, GET + b"\r\n".join(ours) + b"\r\n\r\n")
    assert b"\r\n".join(ours) in shop.got
    assert answer.startswith(b"HTTP/1.1 200 Fine, caf\xe9\r\n")
    assert b"\r\n".join(theirs) in answer


def test_via_both_ways_and_a_loop_is_508(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B3 [9110 §7.6.3]: `Via` both ways; a request that was here before is 508."""
    answer = ask(relay.port, GET + b"Via: 1.0 other\r\n\r\n")
    assert b"\r\nVia: 1.1 latchkey\r\n" in answer
    via = [line for line in field_lines(shop.got) if line.startswith(b"Via:")]
    assert via[0] == b"Via: 1.0 other"
    assert re.fullmatch(rb"Via: 1\.1 latchkey \([0-9a-f]{16}\)", via[1])
    shop.clear()
    assert status(ask(relay.port, GET + via[1] + b"\r\n\r\n")) == 508
    assert status(ask(relay.port, GET + b"Via: 1.1 latchkey (0123456789abcdef)\r\n\r\n")) == 200


def test_max_forwards_is_lowered_or_answered(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B4 [9110 §7.6.2]: OPTIONS at 0 is answered here, else the number is lowered."""
    options = GET.replace(b"GET", b"OPTIONS")
    assert status(ask(relay.port, options + b"Max-Forwards: 0\r\n\r\n")) == 204
    assert shop.got == b""
    assert status(ask(relay.port, options + b"Max-Forwards: 3\r\n\r\n")) == 200
    assert b"\r\nMax-Forwards: 2\r\n" in shop.got


EXPECTING = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


def test_the_upstream_decides_on_an_expectation(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B5 [9110 §10.1.1]: the head goes first; the upstream's 100 or its final answer
    decides.
    """

    def wants_it(visit: Visit) -> None:
        head = visit.head()
        assert b"\r\nExpect: 100-continue\r\n" in head
        visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        visit.request()
        visit.send(OK)

    shop.clear(wants_it)
    with Client(relay.port) as client:
        client.send(EXPECTING)
        assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.answer()[::2] == (200, b"ok")

    def refuses(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")

    shop.clear(refuses)
    with Client(relay.port) as client:
        client.send(EXPECTING)
        assert client.answer()[0] == 417
        assert client.rest() == b""
    assert b"hello" not in shop.got


def test_a_silent_upstream_gets_the_body_all_the_same(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B5: after a moment the gateway asks for the body; a late 100 is swallowed."""

    def late(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)

    shop.clear(late)
    with Client(relay.port) as client:
        client.send(EXPECTING)
        assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.answer()[::2] == (200, b"ok")


def test_other_expectations_are_417(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B5: 417; and an HTTP/1.0 client is never sent a 100."""
    assert status(ask(relay.port, GET + b"Expect: magic\r\n\r\n")) == 417
    assert shop.got == b""
    answer = ask(relay.port, EXPECTING.replace(b"1.1", b"1.0") + b"hello")
    assert status(answer) == 200


def test_early_hints_go_to_http_1_1_clients_only(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B6 [9110 §15.2]: 103 goes to HTTP/1.1 clients only."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    shop.clear(always(hints + hints + OK))
    answer = ask(relay.port, GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n") == 2
    assert answer.endswith(b"ok")
    answer = ask(relay.port, GET.replace(b"1.1", b"1.0") + b"\r\n")
    assert status(answer) == 200


def test_trailers_go_to_clients_that_ask_for_them(relay: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#B7 [9110 §6.5.1]: only for who said `TE: trailers`, and never a dangerous one."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n"
            b"X-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nX-Latchkey-A: 1\r\n\r\n"
        )
    )
    post = (
        b"POST /public/ HTTP/1.1\r\nHost: a.example\r\n%bTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\nX-Mine: 1\r\nAuthorization: x\r\nX_User_Id: 7\r\nX-Forwarded-For: 1\r\n"
        b"X-Leak: " + key.encode() + b"\r\n\r\n"
    )
    answer = ask(relay.port, post % b"Connection: close, TE\r\nTE: trailers\r\n")
    assert answer.endswith(b"\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert shop.got.endswith(b"\r\n2\r\nhi\r\n0\r\nX-Mine: 1\r\n\r\n")
    shop.clear(shop.answer)
    answer = ask(relay.port, post % b"Connection: close\r\n")
    assert answer.endswith(b"\r\n2\r\nok\r\n0\r\n\r\n")
    assert shop.got.endswith(b"\r\n2\r\nhi\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "target",
    [
        b"/public/a%2Fb",
        b"/public/a%2fb%5Cc",
        b"/public//x",
        b"/public/x//",
        b"/public/x;y=1?z",
        b"/public/;x",
        b"/public/?",
        b"/public/??",
        b"/public/?a=%20&b=%00",
        b"/public/%7Euser/~",
        b"/public/a/./b/../c",
        b"/public/a/%2e/b",
        b"/public/caf%c3%a9%FF",
        b"/public/a%0d%0ab",
        b"/public/a%7fb%0A",
        b"/public/%09%1fx",
        b"/public/%2525252541",
        b"/public/%25252520x",
        b"/public/%252e",
        b"/public/...",
        b"/public/.hidden",
        b'/public/a|b^c`d"e<f>{g}',
        b"/public/x?next=//evil.example/..%2f",
        b"/public/x?a=b?c=d;e",
        b"/public/?q=50%",
        b"/public/?a=%4",
        b"/public/?a=%zz&b=%u0041&%",
        b"/public/?q=%ed%95%9c&%%20%0a%25252525",
        b"/%70ublic/x",
        b"/public/" + b"a/" * 900,
    ],
)
def test_the_target_goes_as_it_came(relay: Gateway, shop: Upstream, target: bytes) -> None:
    """wire-rules.md#B8: whatever the spelling, if its readings match the same route. Control bytes
    in escapes and escapes of escapes were 400 everywhere, also where they lead around no rule.
    """
    assert status(ask(relay.port, GET.replace(b"/public/", target) + b"\r\n")) == 200
    assert shop.got.startswith(b"GET " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=한글&50%".encode(), b"?q=%ED%95%9C%EA%B8%80&50%"),
        ("?é=%e9".encode(), b"?%C3%A9=%e9"),
        (b"?\xe9\xff?/\\", b"?%E9%FF?/\\"),
    ],
)
def test_a_query_that_is_not_escaped_goes_in_escapes(
    relay: Gateway, shop: Upstream, query: bytes, expected: bytes
) -> None:
    """wire-rules.md#B8 [9112 §3.2, 3987 §3.1]: bytes above 127 are no URI's, so they go upstream in
    escapes, which mean the same; not in a path, where a route may depend on what each backend takes
    them for.
    """
    for target in (b"/public/x", b"http://a.example/public/x"):
        shop.clear()
        assert status(ask(relay.port, GET.replace(b"/public/", target + query) + b"\r\n")) == 200
        assert shop.got.startswith(b"GET /public/x" + expected + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "target",
    [
        b"/public/%zz",
        b"/public/%",
        b"/public/%4",
        b"/public/%u0041",
        b"/public/%zz?a=%20",
        b"/public/../api/x",
        b"/public/%2e%2e/api/x",
        b"/public/.%2E/api/x",
        b"/public/..%2fapi/x",
        b"/public/..\\api\\x",
        b"/public/..%5capi/x",
        b"/public/%2e%2e%2fapi/x",
        b"/public/%2e%2e%5capi/x",
        b"/public/%252e%252e/api/x",
        b"/public/%252e%252e%252fapi/x",
        b"/public/%25252e%25252e/api/x",
        b"/public/..;/api/x",
        b"/public/..;a=b/api/x",
        b"/public/..%3b/api/x",
        b"/public/x/../../api/x",
        b"/public//../../api/x",
        b"/public/./../api/x",
        b"/public\\..\\api/x",
        b"/public/a%00b",
        b"/public%0a/x",
        b"/publi%0ac/x",
        b"/public/x%0a/api/x",
        b"/public/x%250a/api/x",
        b"/public/.%0a./api/x",
        b"/ap%0ai/x",
        b"/public/" + b"%0a" * 5 + b"a%0a" * 8,
        b"/public%2fx",
        b"//public/x",
        b"/./public/x",
        b"/x/../public/x",
        b"/api/../public/x",
        b"/api/..%2fpublic/x",
        b"/public/..",
        b"/../public/x",
        b"/../x",
        b"/%2e%2e/x",
    ],
)
def test_a_path_with_two_readings_is_refused(relay: Gateway, shop: Upstream, target: bytes) -> None:
    """wire-rules.md#B8: 400 where a backend could serve another route's path than the one
    authorised.
    """
    assert status(ask(relay.port, GET.replace(b"/public/", target) + b"\r\n")) == 400
    assert shop.got == b""


def test_strip_prefix_cuts_the_prefix_in_any_spelling(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B8: strip_prefix cuts the prefix, in whatever escapes it is spelled."""
    for target, expected in (
        (b"/strip/a%2Fb?c", b"/a%2Fb?c"),
        (b"/%73trip/a?c", b"/a?c"),
        (b"/strip/", b"/"),
    ):
        shop.clear()
        assert status(ask(relay.port, GET.replace(b"/public/", target) + b"\r\n")) == 200
        assert shop.got.startswith(b"GET " + expected + b" HTTP/1.1\r\n")


def test_an_expectation_of_the_gateways_own_endpoints(relay: Gateway) -> None:
    """wire-rules.md#B5: a login is an exchange like any other; a refusal does not ask for the body
    first.
    """
    body = b'{"username": "alice"}'
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with Client(relay.port) as client:
        client.send(head % (b"/login", len(body)))
        assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        assert client.answer()[0] == 200
    for path, expected in ((b"/api/", 401), (b"/get/", 405), (b"/small/", 413)):
        with Client(relay.port) as client:
            client.send(head % (path, 5000))
            assert client.answer()[0] == expected
            assert client.rest() == b""


@pytest.mark.parametrize("code", [b"600", b"699", b"999"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_statuses_above_599_pass(
    relay: Gateway, shop: Upstream, code: bytes, method: bytes
) -> None:
    """wire-rules.md#A14: they are unknown (RFC 9110 §15), and pass with their body, as they do with
    nginx and HAProxy; the connection is used again.
    """
    head = b"HTTP/1.1 %b Odd\r\nContent-Length: 2\r\n\r\n" % code
    shop.clear(always(head + (b"ok" if method == b"GET" else b"")))
    with Client(relay.port) as client:
        for _ in range(2):
            client.send(b"%b /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n" % method)
            answer = client.head()
            assert answer.startswith(b"HTTP/1.1 %b Odd\r\n" % code)
            if method == b"GET":
                assert client.exactly(2) == b"ok"
    assert len(shop.visits) == 1


@pytest.mark.parametrize(
    ("lines", "dates"),
    [
        (b"", 1),
        (b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 0),
        (b"dAtE:Thu, 01 Jan 1970 00:00:00 GMT\r\n", 0),
        (b"Connection: date\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 1),
    ],
)
def test_an_answer_without_a_date_gets_one(
    relay: Gateway, shop: Upstream, lines: bytes, dates: int
) -> None:
    """RFC 9110 §6.6.1: a recipient with a clock adds it. The upstream's own stays as it is."""
    shop.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % lines))
    before = time.time()
    answer = ask(relay.port, GET + b"\r\n")
    found = [line for line in field_lines(answer) if line.lower().startswith(b"date:")]
    assert len(found) == 1
    date = parsedate_to_datetime(found[0].partition(b":")[2].strip().decode()).timestamp()
    assert (date >= int(before)) is bool(dates)

"""Fields that routes set, add and remove; and those by which browsers protect a site."""

import json

import pytest

from tests.conftest import LOGIN, SIGNING_SECRET, Start, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, field_lines, field_names, status

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
HSTS = b"Strict-Transport-Security: max-age=31536000"


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    asked = {
        "set": {
            "X-Subject": "user ${subject}",
            "X-Role": "${claims.role}",
            "X-Missing": "${claims.no_such}",
            "X-Id": "${path.id}",
            "X-Fixed": "1",
            "X-Handle": "${session.handle}",
        },
        "add": {"X-More": "2"},
        "remove": "X-Gone",
    }
    answered = {
        "set": {"X-Who": "${subject}", "Cache-Control": "public, max-age=60"},
        "add": {"X-Item": "${path.id}"},
        "remove": ["Server", "X-Powered-By"],
    }
    shop = {"upstream": "shop"}
    return start(
        upstreams={"accounts": login_upstream.url, "shop": upstream.url},
        login=LOGIN,
        jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
        security_headers=True,
        trusted_proxies="127.0.0.1",
        routes=[
            {"path": "/item/{id}", **shop, "request_headers": asked, "response_headers": answered},
            {"path": "/any/{id}", **shop, "auth": "optional", "request_headers": asked},
            {
                "path": "/claims/*",
                **shop,
                "accept_jwt": "verify",
                "request_headers": {"set": {"X-Claim": "a ${claims.value} b", "X-Next": "1"}},
                "response_headers": {"set": {"Y-Claim": "${claims.value}"}},
            },
            {"path": "/plain/*", **shop, "auth": "public"},
            {
                "path": "/shown/{id}",
                **shop,
                "auth": "public",
                "response_headers": {"add": {"X-Item": "${path.id}"}},
            },
            {
                "path": "/guarded/*",
                **shop,
                "tokens": "refuse",
                "response_headers": {"set": {"Content-Type": "text/plain"}},
            },
            {
                "path": "/fixed/*",
                **shop,
                "auth": "public",
                "request_headers": {"set": {"X-Tier": "free"}, "remove": "X-Debug"},
            },
            {"path": "/{name}/*", "bare": False, **shop, "auth": "public"},
            {"path": "/open/*", **shop, "auth": "public", "security_headers": "off"},
            {
                "path": "/own/*",
                "respond": "x",
                "auth": "public",
                "security_headers": {"hsts": {"max_age": "1h", "subdomains": True}},
            },
        ],
    )


@pytest.fixture(autouse=True)
def _cleared(shop: Upstream) -> None:
    shop.clear(always(OK + b"\r\n"))


def send(site: Gateway, path: str, *lines: str, key: str = "") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    fields += f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n"
    return ask(site.port, head.encode())


def test_fields_of_requests(site: Gateway, shop: Upstream) -> None:
    """Set replaces what came, in every spelling; add lets it stand; a missing claim has no field."""
    key = log_in(site.port)
    came = ("X-Fixed: evil", "x_fixed: evil", "X-More: 1", "X-Gone: 1", "x_gone: 1", "X-Kept: 1")
    for _ in range(2):
        assert status(send(site, "/item/a%20b", *came, key=key)) == 200
        lines = field_lines(shop.got)
        assert {b"X-Subject: user alice", b"X-Id: a b", b"X-Fixed: 1", b"X-Kept: 1"} <= {*lines}
        assert [line for line in lines if line.startswith(b"X-More")] == [
            b"X-More: 1",
            b"X-More: 2",
        ]
        assert not {b"x-missing", b"x-gone", b"x_gone", b"x_fixed"} & {*field_names(shop.got)}
        assert b"evil" not in shop.got


@pytest.mark.parametrize("path", ["/any/5", "/plain/x", "/open/x"])
@pytest.mark.parametrize("name", ["X-Subject", "x_subject", "X.Role", "X-Missing", "x-handle"])
def test_no_client_sets_a_value_of_sessions(
    site: Gateway, shop: Upstream, path: str, name: str
) -> None:
    """wire-rules.md#B11: on no route of the gateway, whether or not it sets the field itself."""
    assert status(send(site, path, f"{name}: evil")) == 200
    assert b"evil" not in shop.got
    if path == "/any/5":
        assert b"\r\nX-Fixed: 1\r\n" in shop.got


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:1", "a%0aX-Evil:1", "a%00", "%C3%A9"])
def test_a_value_of_the_path_ends_no_line(site: Gateway, shop: Upstream, value: str) -> None:
    """Control bytes are 400; what no field can hold is left out."""
    answer = send(site, f"/any/{value}")
    assert status(answer) == (200 if value == "%C3%A9" else 400)
    if value == "%C3%A9":
        line = "routes[1].request_headers: X-Id is left out where a value holds other letters"
        assert site.log.read_text().count(line) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b", "a b"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (["a", "b"], "a,b"),
        ("${subject}", "${subject}"),
        ("x" * 4000, "x" * 4000),
        *(
            (value, None)
            for value in (
                *("a\r\nX-Evil: 1", "a\rX-Evil: 1", "a\nX-Evil: 1", "a\r\n X-Evil: 1", "a\0b"),
                *("a\x1bb", "a\x7fb", "a\x85X-Evil: 1", "a\u2028X-Evil: 1", "é", "\uff0d", "", " "),
                *(None, [], {}, {"a": 1}, ["a\r\nX-Evil: 1"], ["a,b", "c"], [["a"]], [None]),
            )
        ),
    ],
)
def test_a_claim_ends_no_field(
    site: Gateway, shop: Upstream, value: object, shown: str | None
) -> None:
    """What no field can hold has none, in requests and answers; the other fields are there."""
    shop.clear(always(OK + b"\r\n"))
    answer = send(site, "/claims/x", "X-Claim: evil", key=token_of("robot", value=value))
    assert status(answer) == 200
    for head, line in ((shop.got, f"X-Claim: a {shown} b"), (answer, f"Y-Claim: {shown}")):
        assert b"Evil" not in head
        assert b"evil" not in head
        name = line.partition(":")[0].encode()
        found = [line for line in field_lines(head) if line.startswith(name)]
        assert found == ([] if shown is None else [line.encode()])
    assert b"X-Next: 1" in field_lines(shop.got)


def test_fields_of_answers(site: Gateway, shop: Upstream) -> None:
    """They are confined to their caller all the same (wire-rules.md#B15)."""
    shop.clear(always(OK + b"Server: x\r\nX-Powered-By: y\r\nCache-Control: no-cache\r\n\r\n"))
    key = log_in(site.port)
    lines = field_lines(send(site, "/item/5", key=key))
    assert {b"X-Who: alice", b"X-Item: 5", b"Cache-Control: public, max-age=60"} <= {*lines}
    assert not {b"server", b"x-powered-by"} & {*field_names(b"\r\n".join([b"", *lines]))}
    lines = field_lines(send(site, "/item/5", f"Cookie: latchkey={key}"))
    assert b"Cache-Control: private, max-age=60" in lines or any(
        line.startswith(b"Vary:") and b"Cookie" in line for line in lines
    )


@pytest.mark.parametrize("value", ["a%2Fb", "a%0Ab", "%FF", "a%252Fb", ";x"])
def test_a_value_for_an_answer_is_read_before_the_request_goes_on(
    site: Gateway, shop: Upstream, value: str
) -> None:
    """What backends may read in two ways is 400, as for a field of the request."""
    assert status(send(site, f"/shown/{value}")) == 400
    assert shop.got == b""


@pytest.mark.parametrize("path", ["/fixed/x", "/FIXED/x", "/fixed/x/", "/%66ixed/x", "/fixed"])
def test_no_spelling_of_a_path_saves_a_clients_own_field(
    site: Gateway, shop: Upstream, path: str
) -> None:
    """A route that replaces fields is stricter than one that lets them stand (wire-rules.md#C8)."""
    assert status(send(site, path, "X-Tier: gold", "x_debug: 1")) == 200
    assert b"gold" not in shop.got
    assert b"x_debug" not in shop.got
    assert b"X-Tier: free" in field_lines(shop.got)


def test_no_trailer_is_a_field_that_a_route_replaces(site: Gateway, shop: Upstream) -> None:
    """Backends merge trailers with fields (RFC 9110 §6.5.1); clients do so with answers'."""
    chunked = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    fields = b"Host: a.example\r\nConnection: close, TE\r\nTE: trailers\r\n"
    trailers = b"X-Tier: gold\r\nx_debug: 1\r\nX-Sum: 1\r\n\r\n"
    ask(site.port, b"POST /fixed/x HTTP/1.1\r\n" + fields + chunked + trailers)
    assert b"X-Sum: 1\r\n" in shop.got
    assert b"gold" not in shop.got
    assert b"x_debug" not in shop.got
    shop.clear(always(b"HTTP/1.1 200 OK\r\n" + chunked + b"Server: x\r\nX-Sum: 1\r\n\r\n"))
    key = f"Authorization: Bearer {log_in(site.port)}\r\n\r\n".encode()
    answer = ask(site.port, b"GET /item/5 HTTP/1.1\r\n" + fields + key)
    assert b"X-Sum: 1\r\n" in answer
    assert b"Server: x" not in answer


def test_a_changed_type_hides_no_token(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E1: what the upstream says of its reply decides whether it is looked at."""
    key = log_in(site.port)
    body = json.dumps({"token": token_of("alice")}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    shop.clear(always(head % len(body) + body))
    answer = send(site, "/guarded/x", key=key)
    assert status(answer) == 502
    assert body not in answer


def test_security_fields_of_answers(site: Gateway, shop: Upstream) -> None:
    """The upstream's own stay. HSTS is for https alone (RFC 6797 §7.2)."""
    shop.clear(always(OK + b"x-frame-options: DENY\r\n\r\n"))
    secure = "X-Forwarded-Proto: https"
    lines = field_lines(send(site, "/plain/x", secure))
    assert {HSTS, b"x-frame-options: DENY", b"X-Content-Type-Options: nosniff"} <= {*lines}
    assert not any(line.startswith(b"X-Frame-Options") for line in lines)
    assert b"Referrer-Policy: strict-origin-when-cross-origin" in lines
    assert HSTS not in field_lines(send(site, "/plain/x"))
    names = field_names(send(site, "/open/x", secure))
    assert not {b"strict-transport-security", b"x-content-type-options"} & {*names}


@pytest.mark.parametrize("path", ["/none", "/item/5", "/sessions", "/login"])
def test_security_fields_of_the_gateways_own_answers(site: Gateway, path: str) -> None:
    """Refusals and endpoints have them too, each once."""
    for accept in ("*/*", "text/html"):
        answer = send(site, path, "X-Forwarded-Proto: https", f"Accept: {accept}")
        assert status(answer) >= 400
        names = field_names(answer)
        for name in (b"strict-transport-security", b"x-content-type-options", b"referrer-policy"):
            assert names.count(name) == 1


def test_security_fields_of_the_answer_to_what_is_no_request(site: Gateway) -> None:
    """HSTS goes over https alone, which no field of such a request can tell."""
    for data in (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%b HTTP/1.1\r\n" % (b"x" * 9000)):
        answer = ask(site.port, data)
        assert status(answer) in (400, 414)
        assert field_names(answer).count(b"x-content-type-options") == 1
        assert b"strict-transport-security" not in field_names(answer)


def test_a_route_has_its_own(site: Gateway) -> None:
    lines = field_lines(send(site, "/own/x", "X-Forwarded-Proto: https"))
    assert b"Strict-Transport-Security: max-age=3600; includeSubDomains" in lines


def test_no_via(start: Start, upstream: Upstream, shop: Upstream) -> None:
    """`via: off`: neither way; a client's own goes on."""
    public = {"path": "/*", "upstream": "shop", "auth": "public", "websocket": True}
    site = start(upstreams={"shop": upstream.url}, routes=[public], via=False)
    answer = send(site, "/x", "Via: 1.0 other")
    assert b"x-request-id" in field_names(answer)
    assert b"via" not in field_names(answer)
    assert [line for line in field_lines(shop.got) if line.lower().startswith(b"via")] == [
        b"Via: 1.0 other"
    ]
    assert b"latchkey" not in shop.got


@pytest.mark.parametrize("way", [True, False])
def test_a_route_says_whether_there_is_via(
    start: Start, upstream: Upstream, shop: Upstream, *, way: bool
) -> None:
    """In place of the top level, for its own requests and answers, also from a trusted proxy."""
    public = {"upstream": "shop", "auth": "public"}
    site = start(
        upstreams={"shop": upstream.url},
        routes=[{"path": "/*", **public}, {"path": "/own/*", **public, "via": not way}],
        via=way,
        trusted_proxies=["127.0.0.1"],
    )
    for path, has_via in (("/x", way), ("/own/x", not way)):
        for lines in ((), ("X-Forwarded-For: 192.0.2.7",)):
            shop.clear(always(OK + b"\r\n"))
            assert (b"via" in field_names(send(site, path, *lines))) is has_via
            assert (b"via" in field_names(shop.got)) is has_via

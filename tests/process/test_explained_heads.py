"""`gateway routes explain` tells what the relay does: the head that goes upstream, byte by byte."""

import re

import pytest

from tests.conftest import LOGIN, Start, log_in
from tests.support.command_line import run
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, ask, status

CHANGES = {
    "set": {"X-Who": "${subject} of ${path.id}", "X-Handle": "${session.handle}", "X-Fixed": "1"},
    "remove": "X-Gone",
}


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    shop = {"upstream": "shop"}
    return start(
        upstreams={
            "accounts": login_upstream.url,
            "shop": upstream.url,
            "based": {"servers": upstream.url + "/base", "host": "shop.internal:81"},
        },
        login=LOGIN,
        identity={"X-User-Id": "sub", "X-Session": {"session": "handle"}},
        routes=[
            {"path": "/api/*", **shop},
            {"path": "/any/*", **shop, "auth": "public"},
            {"path": "/cut/*", "upstream": "based", "strip_prefix": "/cut", "websocket": True},
            {"path": "/item/{id}", **shop, "request_headers": CHANGES},
            {"path": "/old/{id}", **shop, "rewrite": "/new/${path.id}", "via": False},
            {"path": "/basic/*", **shop, "send_token": "cookie:jwt"},
            {"path": "/query/*", **shop, "send_token": "query:t"},
            {"path": "/whole/*", **shop, "tokens": "refuse"},
            {"path": "/maybe/*", **shop, "auth": "optional"},
            {"path": "/whole-body/*", **shop, "buffer_request": "1KiB"},
            {"path": "/busy", "maintenance": True, "auth": "public"},
            {"path": "/go/{id}", "redirect": "/to/${path.id}${query}", "auth": "public"},
        ],
    )


@pytest.fixture(autouse=True)
def _cleared(shop: Upstream) -> None:
    shop.clear()


def explained(site: Gateway, method: str, target: str, *fields: str) -> list[str]:
    """The lines of the head that `explain` shows."""
    headers = [part for field in fields for part in ("-H", field)]
    url = f"http://a.example:8080{target}"
    done = run(
        "routes", "explain", "-c", str(site.log.with_name("config.yaml")), method, url, *headers
    )
    assert (done.returncode, done.stderr) == (0, "")
    return shown_heads(done.stdout)[0]


def shown_heads(output: str) -> list[list[str]]:
    """The lines of each head that `explain` has printed."""
    shown = re.split(r"^the (?:upstream|client) gets.*\n", output, flags=re.MULTILINE)[1:]
    return [[line.removeprefix("  ") for line in head.splitlines()] for head in shown]


def matching(line: str) -> str:
    """The expression of a line with placeholders."""
    known = {
        "<the session's token>": "eyJ[A-Za-z0-9._-]+",
        "<sub of the session>": "alice",
        "<handle of the session>": "[A-Za-z0-9_-]{16,}",
        "<as it came>": "[^;]*",
        "<request id>": "[0-9a-f]+",
        "<length of the body>": "3",
        "(instance)": r"\([0-9a-f]+\)",
        "192.0.2.1": "127.0.0.1",
    }
    parts = re.split("(" + "|".join(map(re.escape, known)) + ")", line)
    return "".join(known.get(part, re.escape(part)) for part in parts)


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("GET", "/api/me?a=%20b", ["X-A: 1", "x-a: 2", "Accept: text/html"]),
        ("HEAD", "/api/me", []),
        ("FOO", "/api/%7eme", []),
        ("OPTIONS", "/any/x", ["Max-Forwards: 3"]),
        ("GET", "/any//x/./y;z", ["Connection: X-Gone", "X-Gone: 1", "Via: 1.0 other"]),
        ("POST", "/any/x", ["Content-Length: 0", "TE: trailers"]),
        ("GET", "/cut/%63ut?x", ["Upgrade: websocket", "Connection: Upgrade"]),
        ("GET", "/cut/x", ["Upgrade: h2c, websocket", "Connection: Upgrade"]),
        ("GET", "/cut", ["X-Forwarded-Prefix: /evil", "X-User-Id: evil"]),
        ("GET", "/item/a%20b", ["X-Gone: 1", "x_fixed: 2", "Cookie: a=1; b=2"]),
        ("POST", "/whole-body/x", ["Transfer-Encoding: chunked"]),
        ("PUT", "/old/a%20b?q", ["Expect: 100-continue", "Content-Length: 0"]),
        ("GET", "/basic/x", ["Cookie: a=1"]),
        ("GET", "/query/x?a=b", []),
        ("GET", "/whole/x", ["Accept-Encoding: gzip", "Range: bytes=0-1"]),
    ],
)
def test_the_head_for_the_upstream(
    site: Gateway, shop: Upstream, method: str, target: str, fields: list[str]
) -> None:
    """The relay's head, with placeholders for what only a request and its session have."""
    lines = explained(site, method, target, *fields)
    head = [f"{method} {target} HTTP/1.1", "Host: a.example:8080", *fields]
    head.append(f"Authorization: Bearer {log_in(site.port)}")
    body = b"3\r\nabc\r\n0\r\n\r\n" if "Transfer-Encoding: chunked" in fields else b""
    with Client(site.port) as client:
        client.send("\r\n".join([*head, "", ""]).encode() + body)
        client.head()
    sent = shop.got.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    assert len(sent) == len(lines), (sent, lines)
    for line, expected in zip(sent, lines, strict=True):
        assert re.fullmatch(matching(expected), line), (line, expected)


def test_the_answer_of_a_redirect(site: Gateway) -> None:
    lines = explained(site, "GET", "/go/%2a?q=1")
    head = b"GET /go/%2a?q=1 HTTP/1.1\r\nHost: a.example:8080\r\nConnection: close\r\n\r\n"
    answer = ask(site.port, head)
    assert status(answer) == 302
    sent = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    for line, expected in zip(sent, lines, strict=False):
        assert line.startswith("Date:") or re.fullmatch(matching(expected), line)
    assert "Location: /to/%2A?q=1" in lines


def test_other_readings_of_a_path_are_legible(site: Gateway) -> None:
    """Letters beyond ASCII stand in escapes, as in requests."""
    file = str(site.log.with_name("config.yaml"))
    done = run("routes", "explain", "-c", file, "GET", "http://a.example/caf%C3%A9")
    assert done.returncode == 1
    assert "a backend may read '/caf%C3%A9', for no route" in done.stdout

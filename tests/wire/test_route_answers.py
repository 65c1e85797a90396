"""Routes that the gateway itself answers: texts, redirects, maintenance."""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.conftest import LOGIN, Start, log_in
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Client, Upstream, ask, field_lines, status

PUBLIC = {"auth": "public"}
CORS = {"origins": "https://app.example", "credentials": True}

CHANGED = {
    "response_headers": {
        "set": {"X-Who": "${subject}", "Cache-Control": "private", "X-Id": "${path.id}"},
        "add": {"x-b": "2"},
        "remove": "Retry-After",
    },
    "cors": CORS,
    "security_headers": True,
}


@pytest.fixture(scope="module")
def site(
    start: Start,
    upstream: Upstream,
    login_upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Gateway:
    file = tmp_path_factory.mktemp("site") / "robots.txt"
    file.write_text("User-agent: *\n")
    text = {"body": '{"ok": 1}', "content_type": "application/json", "headers": {"X-A": "1"}}
    return start(
        upstreams={
            "accounts": login_upstream.url,
            "shop": upstream.url,
            "closed": {"servers": upstream.url, "maintenance": {"retry_after": "2m"}},
        },
        login=[
            LOGIN,
            {**LOGIN, "path": "/closed-login", "upstream": "closed", "subject_prefix": "c:"},
        ],
        cors=CORS,
        routes=[
            {"path": "/text", "respond": "hello", **PUBLIC},
            {"path": "/json", "respond": {"status": 418, **text}, **PUBLIC},
            {"path": "/robots.txt", "respond": {"file": str(file)}, **PUBLIC},
            {"path": "/none", "respond": {"status": 204}, **PUBLIC},
            {"path": "/mine", "respond": "yours"},
            {"path": "/old/*", "redirect": {"to": "/new/${path.*}${query}"}, **PUBLIC},
            {"path": "/top/*", "redirect": "/${path.*}", **PUBLIC},
            {"path": "/swap/{id}/*", "redirect": "/${path.*}/${path.id}", **PUBLIC},
            {
                "path": "/u/{id}",
                "redirect": {"to": "https://id.example/u?id=${path.id}${query}", "status": 308},
                **PUBLIC,
            },
            {"path": "/mine/*", "redirect": "/elsewhere"},
            {"path": "/works/*", "upstream": "shop", "maintenance": True, **PUBLIC},
            {"path": "/closed/*", "upstream": "closed", **PUBLIC},
            {"path": "/changed/{id}", "respond": {"body": "x", "headers": {"X-B": "1"}}, **CHANGED},
            {"path": "/changed/{id}/old", "redirect": "/new", **CHANGED},
            {"path": "/changed/{id}/off", "upstream": "closed", **CHANGED},
        ],
    )


def send(site: Gateway, path: str, *lines: str, method: str = "GET") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    head = f"{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n"
    return ask(site.port, head.encode())


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_a_text(site: Gateway) -> None:
    for method in ("GET", "HEAD", "POST"):
        answer = send(site, "/text", method=method)
        assert status(answer) == 200
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
        assert b"\r\nContent-Length: 5\r\n" in answer
        assert body(answer) == (b"" if method == "HEAD" else b"hello")
    answer = send(site, "/json")
    assert answer.startswith(b"HTTP/1.1 418 ")
    assert {b"X-A: 1", b"Content-Type: application/json"} <= set(field_lines(answer))
    assert body(answer) == b'{"ok": 1}'
    assert body(send(site, "/robots.txt")) == b"User-agent: *\n"
    answer = send(site, "/none")
    assert status(answer) == 204
    assert b"Content-Length" not in answer


def test_the_connection_goes_on(site: Gateway) -> None:
    with Client(site.port) as client:
        for method in (b"GET", b"HEAD", b"GET"):
            client.send(b"%b /text HTTP/1.1\r\nHost: a.example\r\n\r\n" % method)
            assert status(client.head()) == 200
            if method == b"GET":
                assert client.exactly(5) == b"hello"


@pytest.mark.parametrize(
    ("path", "code"),
    [("/text", 200), ("/old/x", 302), ("/works/x", 503), ("/mine", 401), ("/no", 404)],
)
@pytest.mark.parametrize(
    ("framing", "content"),
    [
        (b"Content-Length: 3", b"abc"),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n"),
    ],
)
def test_the_connection_goes_on_behind_a_body(
    site: Gateway, path: str, code: int, framing: bytes, content: bytes
) -> None:
    """wire-rules.md#A13: one that has come as a whole. It is dropped, and is no next request."""
    post = b"POST %b HTTP/1.1\r\nHost: a.example\r\n%b\r\n\r\n%b"
    with Client(site.port) as client:
        client.send(post % (path.encode(), framing, content) * 2 + b"GET /text HTTP/1.1\r\n")
        client.send(b"Host: a.example\r\nConnection: close\r\n\r\n")
        answers = client.rest()
    assert answers.count(f"HTTP/1.1 {code} ".encode()) >= 2
    assert answers.count(b"HTTP/1.1 ") == 3
    assert answers.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "request_",
    [
        b"Content-Length: 9\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_a_body_that_is_still_to_come_ends_the_connection(site: Gateway, request_: bytes) -> None:
    """wire-rules.md#A13: what follows would be read as a request, or is malformed."""
    head = b"POST /text HTTP/1.1\r\nHost: a.example\r\n"
    with Client(site.port) as client:
        client.send(head + request_)
        answers = client.rest()
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answers


@pytest.mark.parametrize("path", ["/mine", "/mine/x"])
def test_a_session_may_be_required(site: Gateway, path: str) -> None:
    """No cache hands the answer to others."""
    assert status(send(site, path)) == 401
    answer = send(site, path, f"Authorization: Bearer {log_in(site.port)}")
    assert status(answer) in (200, 302)
    assert b"\r\nCache-Control: no-store\r\n" in answer


@pytest.mark.parametrize("path", ["/text", "/old/x", "/works/x"])
def test_pages_of_other_origins_may_read_it(site: Gateway, path: str) -> None:
    origin = "Origin: https://app.example"
    asked = "Access-Control-Request-Method: GET"
    for answer in (send(site, path, origin), send(site, path, origin, asked, method="OPTIONS")):
        assert b"Access-Control-Allow-Origin: https://app.example" in field_lines(answer)


@pytest.mark.parametrize(
    ("path", "code", "location"),
    [
        ("/old/a/b?x=1", 302, "/new/a/b?x=1"),
        ("/old/", 302, "/new/"),
        ("/old/%2e%2e%2Fx", 400, None),
        ("/u/5", 308, "https://id.example/u?id=5"),
        ("/u/5?a=b", 308, "https://id.example/u?id=5&a=b"),
        ("/u/a%26b", 308, "https://id.example/u?id=a%26b"),
        ("/top//evil.example/x", 302, "/evil.example/x"),
        ("/top/\\evil.example", 302, "/evil.example"),
        ("/top/https://evil.example", 302, "/https://evil.example"),
        ("/top/https:evil.example", 302, "/https:evil.example"),
        ("/top/%5c%5cevil.example", 302, "/%5C%5Cevil.example"),
        ("/top/%0d%0aX-Evil:1", 302, "/%0D%0AX-Evil:1"),
        ("/swap/evil.example/", 302, "/evil.example"),
        ("/swap/evil.example", 302, "/evil.example"),
        ("/swap/a/b", 302, "/b/a"),
        ("/top/%5Cevil.example", 302, "/%5Cevil.example"),
        ("/top/%2Fevil.example", 302, "/%2Fevil.example"),
        ("/top/@evil.example", 302, "/@evil.example"),
        ("/top/javascript:x", 302, "/javascript:x"),
        ("/old/x?%0d%0aSet-Cookie:a=b", 302, "/new/x?%0d%0aSet-Cookie:a=b"),
        ("/old/x?\"'<>", 302, "/new/x?%22'%3C%3E"),
    ],
)
def test_redirects(site: Gateway, path: str, code: int, location: str | None) -> None:
    """No value of a request says at which site a browser arrives (CWE-601), nor ends a line."""
    answer = send(site, path)
    assert status(answer) == code
    found = [line for line in field_lines(answer) if line.startswith(b"Location: ")]
    assert found == ([] if location is None else [f"Location: {location}".encode()])


@pytest.mark.parametrize(("path", "wait"), [("/works/x", b"300"), ("/closed/x", b"120")])
def test_maintenance(site: Gateway, shop: Upstream, path: str, wait: bytes) -> None:
    """Programs get JSON, people a page in their language; the upstream gets nothing."""
    answer = send(site, path)
    assert status(answer) == 503
    assert b"\r\nRetry-After: " + wait + b"\r\n" in answer
    assert json.loads(body(answer))["reason"] == "maintenance"
    for language, text in (("en", "working on this"), ("ko", "점검 중")):
        page = send(site, path, "Accept: text/html", f"Accept-Language: {language}")
        assert b"\r\nRetry-After: " + wait + b"\r\n" in page
        assert text in body(page).decode()
    assert body(send(site, path, method="HEAD")) == b""
    assert not shop.visits


def test_a_login_at_an_upstream_that_is_worked_on(site: Gateway, shop: Upstream) -> None:
    answer = send(site, "/closed-login", "Content-Length: 0", method="POST")
    assert status(answer) == 503
    assert json.loads(body(answer))["reason"] == "maintenance"
    assert not shop.visits


@pytest.mark.parametrize("path", ["", "/old", "/off"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_fields_of_an_answer_change(site: Gateway, path: str, accept: str) -> None:
    """As they do in an upstream's answers; refusals of a route with a session have none of it."""
    key = f"Authorization: Bearer {log_in(site.port)}"
    fields = (key, f"Accept: {accept}", "Origin: https://app.example")
    answer = send(site, f"/changed/a%20b{path}", *fields)
    lines = field_lines(answer)
    assert {b"X-Who: alice", b"Cache-Control: private", b"X-Id: a b"} <= {*lines}
    assert {b"Access-Control-Allow-Origin: https://app.example"} <= {*lines}
    assert {b"X-Content-Type-Options: nosniff"} <= {*lines}
    names = [line.partition(b":")[0].lower() for line in lines]
    assert len(names) == len(set(names))
    assert b"retry-after" not in names
    assert [line.lower() for line in lines if line.lower().startswith(b"x-b")] == (
        [b"x-b: 2"] if path else [b"x-b: 1, 2"]
    )
    assert b"X-Who" not in send(site, f"/changed/a{path}")


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:1", "%00", "%2f", "..%2f", "%E2%80%A8", "%FF"])
def test_a_value_of_the_path_ends_no_line(site: Gateway, value: str) -> None:
    key = f"Authorization: Bearer {log_in(site.port)}"
    answer = send(site, f"/changed/{value}", key)
    assert status(answer) == 400
    assert b"X-Evil" not in answer


def test_a_worker_that_is_replaced_answers_with_the_same_file(site: Gateway) -> None:
    """It was read with config.yaml; what has become of it since is for the next reload."""
    config = yaml.safe_load(site.log.with_name("config.yaml").read_text())
    [file] = [rule["respond"]["file"] for rule in config["routes"] if rule["path"] == "/robots.txt"]
    Path(file).unlink()
    [worker] = site.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: site.workers() not in ([], [worker]))
    assert body(send(site, "/robots.txt")) == b"User-agent: *\n"

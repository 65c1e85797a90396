"""wire-rules.md#C8: routes by host, field and query, in every spelling of them."""

from collections.abc import Iterator

import pytest

from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, status


def answer(visit: Visit) -> None:
    for got in visit.requests():
        if b"login" in got.split(b"\r\n")[0]:
            visit.send(json_answer("200 OK", {"token": token_of("alice")}))
        else:
            visit.send(json_answer("200 OK", {"line": got.split(b"\r\n")[0].decode()}))


@pytest.fixture(scope="module")
def app() -> Iterator[Upstream]:
    with Upstream(answer) as server:
        yield server


@pytest.fixture(scope="module")
def front(start: Start, app: Upstream) -> Gateway:
    return start(
        upstreams={"app": app.url},
        login={"kind": "backend", "path": "/in", "upstream": "app", "backend_path": "/login"},
        verify="/ask",
        trusted_proxies=["127.0.0.1"],
        routes=[
            {"path": "/*", "upstream": "app", "auth": "public"},
            {"path": "/*", "host": "admin.test", "upstream": "app"},
            {"path": "/open/*", "host": "*.test", "upstream": "app", "auth": "public"},
            {"path": "/*.css", "host": "admin.test", "upstream": "app", "auth": "public"},
            {"path": "/profile", "host": "admin.test", "upstream": "app"},
            {"path": "/api/*", "host": "admin.test", "upstream": "app"},
            {"path": "/doc", "upstream": "app", "query": {"edit": True}},
            {"path": "/doc", "upstream": "app", "auth": "public"},
            {"path": "/note", "upstream": "app", "headers": {"X-Edit": True}},
            {"path": "/note", "upstream": "app", "auth": "public"},
            {"path": "/*", "upstream": "app", "host": "bare.test"},
            {"path": "/cart/*", "upstream": "app", "host": "bare.test", "auth": "public"},
            {
                "path": "/shop/*",
                "upstream": "app",
                "host": "bare.test",
                "auth": "public",
                "bare": False,
            },
            {"path_regex": "/v[0-9]+/private", "upstream": "app", "host": "regex.test"},
            {"path_regex": "/caf%C3%A9/.*", "upstream": "app", "host": "regex.test"},
            {"path_regex": "/%ED%95%9C%20x", "upstream": "app", "host": "regex.test"},
            {"path": "/*", "upstream": "app", "host": "[2001:db8::1]"},
        ],
    )


def asked(front: Gateway, lines: str) -> int:
    """The status of a request of these lines."""
    with Client(front.port) as client:
        client.send(lines.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        return status(client.head())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("GET /x HTTP/1.1\nHost: www.test", 200),
        ("GET /x HTTP/1.1\nHost: admin.test", 401),
        ("GET /x HTTP/1.1\nHost: ADMIN.test.:80", 401),
        ("GET http://admin.test/x HTTP/1.1\nHost: www.test", 401),
        ("GET http://www.test/x HTTP/1.1\nHost: admin.test", 200),
        ("GET /x HTTP/1.1\nHost: %61dmin.test", 400),
        ("GET /x HTTP/1.0", 200),
        ("GET /x HTTP/1.0\nHost: admin.test", 401),
        ("GET /a.css HTTP/1.1\nHost: admin.test", 200),
        ("GET /profile.css HTTP/1.1\nHost: admin.test", 401),
        ("GET /PROFILE.css HTTP/1.1\nHost: admin.test", 401),
        ("GET /api.css HTTP/1.1\nHost: admin.test", 401),
        ("GET /api/a.css HTTP/1.1\nHost: admin.test", 401),
        ("GET /A.CSS HTTP/1.1\nHost: admin.test", 401),
        ("GET /a.css;/x HTTP/1.1\nHost: admin.test", 401),
        ("GET /open/x HTTP/1.1\nHost: a.b.test", 200),
        ("GET /open HTTP/1.1\nHost: a.test", 200),
        ("GET /login HTTP/1.1\nHost: www.test", 404),
        ("GET /Login/ HTTP/1.1\nHost: admin.test", 404),
        ("POST /open/../login HTTP/1.1\nHost: admin.test", 404),
        ("GET /doc HTTP/1.1\nHost: w", 200),
        ("GET /doc?%65dit HTTP/1.1\nHost: w", 401),
        ("GET /doc?a;edit=1 HTTP/1.1\nHost: w", 401),
        ("GET /Doc/?EDIT[]=1 HTTP/1.1\nHost: w", 401),
        ("GET /note HTTP/1.1\nHost: w", 200),
        ("GET /note HTTP/1.1\nHost: w\nX_Edit: 1", 401),
        ("GET /note HTTP/1.1\nHost: w\nx-edit:", 401),
        ("GET /cart HTTP/1.1\nHost: bare.test", 200),
        ("GET /shop/x HTTP/1.1\nHost: bare.test", 200),
        ("GET /shop HTTP/1.1\nHost: bare.test", 401),
        ("GET /v12/private HTTP/1.1\nHost: regex.test", 401),
        ("GET /V12/Private/ HTTP/1.1\nHost: regex.test", 401),
        ("GET /v12/%70rivate HTTP/1.1\nHost: regex.test", 401),
        ("GET /v/private HTTP/1.1\nHost: regex.test", 200),
        ("GET /caf%C3%A9/x HTTP/1.1\nHost: regex.test", 401),
        ("GET /caf%c3%a9/%C3%BC HTTP/1.1\nHost: regex.test", 401),
        ("GET /CAF%C3%89/x HTTP/1.1\nHost: regex.test", 401),
        ("GET /cafe/x HTTP/1.1\nHost: regex.test", 401),
        ("GET /caf%25C3%25A9/x HTTP/1.1\nHost: regex.test", 400),
        ("GET /%ED%95%9C%20x HTTP/1.1\nHost: regex.test", 401),
        ("GET /%ED%95%9C%20X/ HTTP/1.1\nHost: regex.test", 401),
        ("GET /x HTTP/1.1\nHost: [2001:db8::1]:8080", 401),
        ("GET /x HTTP/1.1\nHost: [2001:DB8:0:0::1]", 401),
        ("GET /x HTTP/1.1\nHost: [2001:db8::2]", 200),
        ("GET /x HTTP/1.1\nHost: w\nX-Forwarded-Host: admin.test", 401),
        ("GET /x HTTP/1.1\nHost: admin.test\nX-Forwarded-Host: w", 401),
        ("GET /x HTTP/1.1\nHost: w\nX-Forwarded-Host: w\nX-Forwarded-Host: admin.test", 401),
        ("GET /x HTTP/1.1\nHost: w\nX-Forwarded-Host: w, admin.test", 401),
        ("GET /ask HTTP/1.1\nHost: w\nX-Forwarded-Method: GET\nX-Forwarded-Uri: /x", 200),
        (
            "GET /ask HTTP/1.1\nHost: w\nX-Forwarded-Method: GET\nX-Forwarded-Uri: /x"
            "\nX-Forwarded-Host: ADMIN.test:8080",
            401,
        ),
        (
            "GET /ask HTTP/1.1\nHost: w\nX-Forwarded-Method: GET\nX-Forwarded-Uri: /doc?edit"
            "\nX-Forwarded-Host: w",
            401,
        ),
    ],
)
def test_no_spelling_leads_around_a_stricter_route(
    front: Gateway, lines: str, expected: int
) -> None:
    """A route that needs a key is asked for one, however the request is written."""
    assert asked(front, lines) == expected

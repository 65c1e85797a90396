"""wire-rules.md#C12: who gets a page and who gets JSON, on every surface, is one question.

RFC 9110 §12.5.1: a weight of 0 means "not acceptable", and the most specific range counts.
"""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import accounts, log_in
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer

PROVIDER = {
    "kind": "oidc",
    "path": "/login/one",
    "issuer": "http://127.0.0.1:1/realm",
    "client_id": "shop",
    "subject_prefix": "one:",
}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    upstream: Upstream,
    login_upstream: Upstream,
) -> Iterator[Gateway]:
    """A gateway with all of its pages."""
    with gateway(
        tmp_path_factory.mktemp("pages"),
        redis.url,
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=[{"kind": "backend", "path": "/login", "upstream": "accounts"}, PROVIDER],
        pages={"login": "/signin"},
        verify={},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/program/*", "upstream": "shop", "on_unauthenticated": 401},
        ],
    ) as running:
        login_upstream.clear(accounts)
        yield running
        login_upstream.clear(accounts)


@pytest.fixture(scope="module")
def key(site: Gateway) -> str:
    return log_in(site.port)


# A request line, the fields beside Accept, and the status either way.
SURFACES = {
    "a refusal of the relay": ("GET /nothing", (), 404),
    "a refusal of a route": ("GET /program/x", (), 401),
    "a refusal of an endpoint": ("PUT /logout", (), 405),
    "a refusal of a login": ("PUT /login", (), 405),
    "the login page": ("GET /signin", (), 200),
    "the sessions page": ("GET /sessions", ("Authorization: Bearer {key}",), 200),
    "forward authentication": (
        "GET /.well-known/latchkey/verify",
        ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /program/x"),
        401,
    ),
}

NAVIGATES, SCRIPT = "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors"

# Fields of a request, and whether it gets a page.
ASKED = {
    "a browser's": (("Accept: text/html,application/xhtml+xml,*/*;q=0.8", NAVIGATES), True),
    "html": (("Accept: text/html",), True),
    "html in capitals": (("Accept: TEXT/HTML",), True),
    "html of an older browser": (("Accept: text/html,*/*;q=0.8",), True),
    "html rather than JSON": (("Accept: application/json;q=0.8, text/html;q=0.9",), True),
    "html in a second line": (("Accept: image/png", "Accept: text/html"), True),
    "any text": (("Accept: text/*",), True),
    "html, by a script": (("Accept: text/html", SCRIPT), True),
    "nothing, going somewhere": ((NAVIGATES,), True),
    "no html": (("Accept: text/html;q=0",), False),
    "no html, with three digits": (("Accept: text/html;q=0.000",), False),
    "no html, in capitals": (("Accept: Text/HTML ; Q=0",), False),
    "no html, but all else": (("Accept: text/html;q=0, */*",), False),
    "no html, but other text": (("Accept: text/*, text/html;q=0",), False),
    "no html, in a second line": (("Accept: text/*", "Accept: text/html;q=0"), False),
    "no html, going somewhere": (("Accept: text/html;q=0", NAVIGATES), False),
    "JSON rather than html": (("Accept: application/json, text/html;q=0.9",), False),
    "a weight that is none": (("Accept: text/html;q=2",), False),
    "another type that is named alike": (("Accept: text/html5",), False),
    "anything": (("Accept: */*",), False),
    "nothing": ((), False),
    "nothing, by a script": ((SCRIPT,), False),
}


def asks(site: Gateway, line: str, *fields: str, body: str = "") -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: shop.example", "Connection: close", *fields]
    return ask(site.port, "\r\n".join([*lines, "", body]).encode())


def is_page(answer: bytes) -> bool:
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert (b"\r\ncontent-type: text/html" in head) != (b"json" in head)
    return b"\r\ncontent-type: text/html" in head


@pytest.mark.parametrize("surface", SURFACES)
def test_one_answer_on_every_surface(site: Gateway, key: str, surface: str) -> None:
    """Whatever a request asks for, all that the gateway answers itself understands it alike."""
    line, fields, code = SURFACES[surface]
    own = [field.format(key=key) for field in fields]
    for name, (wanted, page) in ASKED.items():
        answer = asks(site, line, *own, *wanted)
        assert (status(answer), is_page(answer)) == (code, page), name


def test_who_is_sent_to_the_login_page(site: Gateway) -> None:
    """A person's browser that goes somewhere; and no client that takes no page."""
    for name, (wanted, page) in ASKED.items():
        leads = page and SCRIPT not in wanted
        described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/x")
        for line, more in (
            ("GET /api/x", ()),
            ("GET /.well-known/latchkey/verify", described),
        ):
            answer = asks(site, line, *more, *wanted)
            assert status(answer) == (303 if leads else 401), (name, line)
            assert (b"\r\nLocation: /signin" in answer) is leads, (name, line)
        assert status(asks(site, "GET /sessions", *wanted)) == (303 if page else 401), name


def test_a_form_that_takes_no_page_gets_its_key_in_the_reply(site: Gateway) -> None:
    """Only a form whose answer may be a page is a browser's, which keeps the key in a cookie."""
    body = json.dumps({"username": "alice"})  # the backend of these tests reads JSON alone
    form = (
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Sec-Fetch-Site: same-origin",
    )
    for accept, by_cookie in (
        ("text/html", True),
        ("image/png, text/html;q=0.1", True),
        ("text/html;q=0", False),
        ("TEXT/HTML;q=0.0, */*", False),
    ):
        answer = asks(site, "POST /login", *form, f"Accept: {accept}", body=body)
        assert status(answer) in (200, 204), answer
        assert (b"\r\nSet-Cookie: latchkey=lk_" in answer) is by_cookie, accept
        assert (b'"lk_' in answer) is not by_cookie, accept

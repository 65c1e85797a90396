"""Heads of answers, as clients get them (`gateway.relay.answers.heads`)."""

from typing import Any

import pytest

from gateway.core.http.cors import Policy
from gateway.core.logins.token_sending import InQuery
from gateway.relay.access.decision import Forward
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.answers import heads
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead, ResponseReader

ID = b"7" * 32
TOKEN = b"eyJ0.eyJ1.c2ln"

APP = "https://app.example"
SHARED = Policy(frozenset({APP}), ("GET",), (), (), credentials=True, max_age=60)


class Entry:
    """A resolved session, as far as heads look at it."""

    token = TOKEN


def forward(*, access: Access | None = None, endpoint: bool = False, **action: Any) -> Forward:
    """A decision for the session of `Entry`."""
    access = access or Access(Auth.REQUIRED)
    route = Route("/api/*", access, Action(**action), is_endpoint=endpoint)
    return Forward(route, Entry(), b"")  # type: ignore[arg-type]


def answer(*lines: bytes, status: int = 200) -> ResponseHead:
    head = ResponseHead(b"1", status, b" OK")
    head.passed = [line + b"\r\n" for line in lines]
    head.has_date = True
    head.set_cookies = tuple(
        line for line in head.passed if line.lower().startswith(b"set-cookie:")
    )
    return head


def render(response: ResponseHead, request: RequestHead, sent: Forward, **more: Any) -> list[bytes]:
    """The lines of the head."""
    options = {"request_id": ID, "framing": b"Content-Length: 0\r\n", "close": False, **more}
    head = heads.final_head(response, request, sent, **options)
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def asked(minor: bytes = b"1", **fields: Any) -> RequestHead:
    head = RequestHead(b"GET", b"/", minor)
    for name, value in fields.items():
        setattr(head, name, value)
    return head


def test_the_gateways_own_fields_stand_behind_the_upstreams() -> None:
    lines = render(answer(b"X-A: 1"), asked(), forward())
    own = [b"Content-Length: 0", b"Via: 1.1 latchkey", b"X-Request-Id: " + ID]
    assert lines == [b"HTTP/1.1 200 OK", b"X-A: 1", *own]


@pytest.mark.parametrize(
    ("minor", "close", "line"),
    [(b"1", True, b"Connection: close"), (b"0", False, b"Connection: keep-alive")],
)
def test_a_client_learns_what_becomes_of_its_connection(
    minor: bytes, *, close: bool, line: bytes
) -> None:
    """A client of HTTP/1.0 closes unless it reads otherwise (RFC 9112 §9.3)."""
    assert line in render(answer(), asked(minor), forward(), close=close)


def test_a_line_with_the_token_does_not_pass() -> None:
    """wire-rules.md#C4. The gateway's own endpoints say what they mean to say."""
    response = (b"X-A: 1", b"X-Echo: Bearer " + TOKEN)
    assert response[1] not in render(answer(*response), asked(), forward())
    assert response[1] in render(answer(*response), asked(), forward(endpoint=True))
    assert heads.hidden_token(forward()) == TOKEN
    assert heads.hidden_token(forward(endpoint=True)) is None


def test_a_backend_cannot_replace_the_keys_cookie() -> None:
    """wire-rules.md#E7: a cookie of another name passes."""
    response = (b"Set-Cookie: key=theirs; Path=/", b"set-cookie: other=1")
    lines = render(answer(*response), asked(cookie=b"key"), forward())
    assert response[0] not in lines
    assert response[1] in lines


DELETIONS = ("sid=; Max-Age=0; Path=/", "sid=; Max-Age=0; Path=/api")


def cookies_set(*lines: str, endpoint: bool = True) -> list[str]:
    """The Set-Cookie values of an answer with these lines, to a request with a dead cookie."""
    data = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()
    response = ResponseReader(own_cookies=()).read(data, len(data) - 4)
    request = asked(cookie_settings=DELETIONS, path=b"/api/x")
    opened = heads.upgraded_head(response, request, forward(endpoint=endpoint))
    rendered = render(response, request, forward(endpoint=endpoint))
    values = [line[12:].decode() for line in rendered if line.startswith(b"Set-Cookie: ")]
    assert [line for line in opened.split(b"\r\n") if line.startswith(b"Set-Cookie: ")] == [
        f"Set-Cookie: {value}".encode() for value in values
    ]
    return values


@pytest.mark.parametrize("endpoint", [False, True])
def test_cookies_of_dead_keys_are_deleted(*, endpoint: bool) -> None:
    """In each answer, and in the 101 of a tunnel."""
    assert cookies_set(endpoint=endpoint) == list(DELETIONS)


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ("sid=lk_new; Path=/", DELETIONS[1:]),
        ("sid=lk_new", DELETIONS[:1]),  # in the folder of the request
        ("theme=dark; Path=/", DELETIONS),
    ],
)
def test_what_an_endpoint_sets_is_not_deleted(setting: str, left: tuple[str, ...]) -> None:
    """A cookie of the same name and place holds a new key, or is deleted already."""
    assert cookies_set(f"Set-Cookie: {setting}") == [setting, *left]


def test_no_cache_keeps_a_deletion_for_all() -> None:
    """The public keys of the gateway are for every cache."""
    assert cookies_set("Cache-Control: public, max-age=60") == []


def test_a_policy_of_the_route_replaces_the_upstreams() -> None:
    """Two answers to one question would contradict each other."""
    request = asked(passed=[f"Origin: {APP}\r\n".encode()])
    response = answer(b"access-control-allow-origin: *", b"X-A: 1")
    lines = render(response, request, forward(access=Access(Auth.REQUIRED, cors=SHARED)))
    assert b"access-control-allow-origin: *" not in lines
    assert b"Access-Control-Allow-Origin: " + APP.encode() in lines
    assert b"X-A: 1" in lines


def test_an_interim_head_has_the_upstreams_lines_alone() -> None:
    """And no token (RFC 9110 §15.2)."""
    early = answer(b"Link: </a>", b"X-Echo: " + TOKEN, status=103)
    assert heads.interim_head(early, asked(), forward()) == (
        b"HTTP/1.1 103 OK\r\nLink: </a>\r\n\r\n"
    )


def test_a_head_that_opens_a_tunnel() -> None:
    """RFC 9110 §7.8: it repeats the protocol, and the connection ends with the tunnel."""
    response = answer(status=101)
    response.upgrade = b"websocket"
    head = heads.upgraded_head(response, asked(), forward())
    assert head.startswith(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")


def test_a_head_that_opens_a_tunnel_has_the_gateways_lines() -> None:
    """The cookie of a client that opens nothing but tunnels keeps it at its server."""
    sent = forward()
    sent.answer_lines = b"Set-Cookie: stay=abc; Path=/\r\n"
    assert b"\r\nSet-Cookie: stay=abc; Path=/\r\n" in heads.upgraded_head(
        answer(status=101), asked(), sent
    )


OPAQUE = b"1|ab+cd/ef=="
SPELLED = b"1%7Cab%2Bcd/ef%3D%3D"


@pytest.mark.parametrize("token", [OPAQUE, SPELLED, b"1%7cab%2bcd%2fef%3d%3d", b"%31|ab+cd/ef=="])
@pytest.mark.parametrize("whole", [None, 0])
def test_a_token_from_the_query_comes_back_in_no_spelling(token: bytes, whole: int | None) -> None:
    """Backends repeat the query as it came, or encode it again; on routes that capture, too."""
    sent = forward(send_token=InQuery("key"), whole=whole)
    assert sent.resolved is not None
    sent.resolved.token = OPAQUE
    lines = render(
        answer(
            b"Location: /x/?a=1&key=%b#top" % token,
            b"Link: </x?page=2&key=%b>; rel=next" % token,
            b"X-A: 50%",
            status=301,
        ),
        asked(),
        sent,
    )
    assert lines[1:3] == [b"Location: /x/?a=1#top", b"X-A: 50%"]
    assert not any(b"ab" in line for line in lines)

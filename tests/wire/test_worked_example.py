"""The happy path as transcripts: all that a client sends and gets, and what the upstream saw of it.

What differs from run to run is written in angle brackets. The order of fields is not compared here;
that those of the peers keep theirs is wire-rules.md#B2.
"""

import pytest

from tests.conftest import Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.raw import OK, Client, Upstream, Visit, always
from tests.support.transcripts import TOLD, assert_same, crlf


def test_login_call_logout(relay: Gateway, shop: Upstream, login_upstream: Upstream) -> None:
    """The main job: a token goes in, a key comes out, the key works until the logout."""
    login_upstream.clear(accounts)
    with Client(relay.port) as client:
        client.send(
            crlf("""
                POST /login HTTP/1.1
                Host: a.example
                Content-Type: application/json
                Content-Length: 21

                {"username": "alice"}""")
        )
        head = client.head()
        body = client.exactly(65)
        assert_same(
            head + body,
            """
            HTTP/1.1 200 OK
            Content-Type: application/json
            Cache-Control: no-store
            Date: <now>
            Content-Length: 65
            Via: 1.1 latchkey
            X-Request-Id: <id>

            {"token": "<key>"}""",
        )
        assert_same(
            login_upstream.got,
            """
            POST /backend/login HTTP/1.1
            Host: a.example
            Content-Type: application/json
            Content-Length: 21
            Accept-Encoding: identity
            Connection: close
            """,
            TOLD,
            """

            {"username": "alice"}""",
        )
        key = body[11:63].decode()
        call = crlf(
            """
            GET /api/things?page=2 HTTP/1.1
            Host: a.example
            Authorization: Bearer <key>
            Accept: */*

            """,
            key=key,
        )
        client.send(call)
        assert_same(
            client.head() + client.exactly(2),
            """
            HTTP/1.1 200 OK
            Content-Length: 2
            Date: <now>
            Via: 1.1 latchkey
            X-Request-Id: <id>

            ok""",
        )
        assert_same(
            shop.got,
            """
            GET /api/things?page=2 HTTP/1.1
            Host: a.example
            Accept: */*
            Authorization: Bearer <token>
            X-User-Id: alice
            """,
            TOLD + "\n",
        )
        client.send(call.replace(b"GET /api/things?page=2", b"POST /logout"))
        assert_same(
            client.head(),
            """
            HTTP/1.1 204 No Content
            Cache-Control: no-store
            Date: <now>
            Via: 1.1 latchkey
            X-Request-Id: <id>

            """,
        )
        shop.clear()
        client.send(call)
        assert_same(
            client.head() + client.exactly(171),
            """
            HTTP/1.1 401 Unauthorized
            Content-Type: application/problem+json
            Content-Length: 171
            Cache-Control: no-store
            WWW-Authenticate: Bearer realm="latchkey", error="invalid_token"
            Date: <now>
            X-Request-Id: <id>

            {"type": "about:blank", "title": "The key is unknown or its session has ended.", \
"status": 401, "reason": "invalid_key", "request_id": "<id>"}
            """,
        )
    assert shop.got == b""


def test_a_key_in_a_cookie(relay: Gateway, shop: Upstream) -> None:
    """The key is cut out of the field, and the answer is kept out of shared caches."""
    with Client(relay.port) as client:
        client.send(
            crlf(
                """
                GET /api/ HTTP/1.1
                Host: a.example
                Cookie: theme=dark; session=<key>; lang=en

                """,
                key=log_in(relay.port),
            )
        )
        assert_same(
            client.head() + client.exactly(2),
            """
            HTTP/1.1 200 OK
            Content-Length: 2
            Cache-Control: private
            Vary: Cookie
            Date: <now>
            Via: 1.1 latchkey
            X-Request-Id: <id>

            ok""",
        )
    assert_same(
        shop.got,
        """
        GET /api/ HTTP/1.1
        Host: a.example
        Cookie: theme=dark; lang=en
        Authorization: Bearer <token>
        X-User-Id: alice
        """,
        TOLD + "\n",
    )


def test_chunks_and_trailers(relay: Gateway, shop: Upstream) -> None:
    """Both ways, for a client that says it reads them."""
    shop.clear(
        always(
            crlf("""
                HTTP/1.1 103 Early Hints
                Link: </a.css>; rel=preload

                HTTP/1.1 200 OK
                Transfer-Encoding: chunked
                Trailer: X-Sum

                5
                hello
                0
                X-Sum: 5

                """)
        )
    )
    with Client(relay.port) as client:
        client.send(
            crlf("""
                POST /public/ HTTP/1.1
                Host: a.example
                TE: trailers
                Connection: TE
                Transfer-Encoding: chunked

                2;note=dropped
                hi
                0
                X-Check: 2

                """)
        )
        assert_same(client.head(), "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\n")
        assert_same(
            client.head() + client.exactly(25),
            """
            HTTP/1.1 200 OK
            Transfer-Encoding: chunked
            Trailer: X-Sum
            Date: <now>
            Via: 1.1 latchkey
            X-Request-Id: <id>

            5
            hello
            0
            X-Sum: 5

            """,
        )
    assert_same(
        shop.got,
        """
        POST /public/ HTTP/1.1
        Host: a.example
        TE: trailers
        Connection: TE
        Transfer-Encoding: chunked
        """,
        TOLD,
        """

        2
        hi
        0
        X-Check: 2

        """,
    )


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        ("GET /public/ HTTP/1.1\nHost: a.example\nConnection: close\n\n", "close"),
        ("GET /public/ HTTP/1.0\nHost: a.example\n\n", "close"),
        ("GET /public/ HTTP/1.0\nHost: a.example\nConnection: keep-alive\n\n", "keep-alive"),
    ],
)
def test_how_a_connection_goes_on(
    relay: Gateway, shop: Upstream, request_: str, connection: str
) -> None:
    """Closed or kept, as the client asked for; the upstream's own connection stays either way."""
    with Client(relay.port) as client:
        client.send(crlf(request_))
        assert_same(
            client.head() + client.exactly(2),
            f"""
            HTTP/1.1 200 OK
            Content-Length: 2
            Connection: {connection}
            Date: <now>
            Via: 1.1 latchkey
            X-Request-Id: <id>

            ok""",
        )
        if connection == "close":
            assert client.rest() == b""
    assert_same(shop.got, "GET /public/ HTTP/1.1\nHost: a.example\n", TOLD + "\n")


def test_one_connection_carries_all(start: Start, shop: Upstream) -> None:
    """Keep-alive, pipelining, HEAD, a body: over one connection here and one there.

    The gateway is not shared: once a server has cut a kept connection, bodies get new ones for a
    while (wire-rules.md#D6).
    """

    def knows_head(visit: Visit) -> None:
        for request in visit.requests():
            visit.send(OK[:-2] if request.startswith(b"HEAD") else OK)

    shop.clear(knows_head)
    running = start(
        upstreams={"shop": shop.url},
        routes=[{"path": "/public/*", "upstream": "shop", "auth": "public"}],
    )
    with Client(running.port) as client:
        client.send(
            crlf("""
                HEAD /public/1 HTTP/1.1
                Host: a.example

                PUT /public/2 HTTP/1.1
                Host: a.example
                Content-Length: 5

                helloGET /public/3 HTTP/1.1
                Host: a.example

                """)
        )
        for body in (b"", b"ok", b"ok"):
            assert_same(
                client.head(),
                """
                HTTP/1.1 200 OK
                Content-Length: 2
                Date: <now>
                Via: 1.1 latchkey
                X-Request-Id: <id>

                """,
            )
            assert client.exactly(len(body)) == body
    assert len(shop.visits) == 1

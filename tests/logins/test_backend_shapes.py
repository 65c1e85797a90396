"""The many shapes of a backend's own login: forms, redirects, nested JSON, GraphQL."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from aiohttp import web

from tests.conftest import SIGNING_SECRET, token_of
from tests.support.endpoints import World, answer, count, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

LOGIN = {
    "kind": "backend",
    "path": "/login",
    "upstream": "accounts",
    "backend_path": "/backend/login",
}

# Forms.

NAME = "김철수"
FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="username"\r\n'
    b"Content-Type: text/plain; charset=euc-kr\r\n\r\n%b\r\n"
    b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.bin"\r\n\r\n%b\r\n--x--\r\n'
)


def form(encoding: str) -> bytes:
    return b"username=" + quote_from_bytes(NAME.encode(encoding)).encode() + b"&password=a+b%26"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, form("utf-8")),
        (f"{FORM}; charset=EUC-KR", form("euc-kr")),
        (f'{FORM};charset="shift_jis"', "username=さくら".encode("shift_jis")),
        (f"{FORM}; charset=utf-16", "username=a".encode("utf-16")),
        (FORM, b"username=%zz&username=b&&=;\xff\x00"),
        ("multipart/form-data; boundary=x", MULTIPART % (NAME.encode("euc-kr"), bytes(range(256)))),
        ("multipart/form-data; boundary=other", b"no such boundary"),
        ("text/plain; charset=nonsense", NAME.encode()),
        ("nonsense", b"\xff\xfe"),
    ],
)
async def test_a_form_reaches_the_backend_as_it_came(
    place: World, content_type: str, body: bytes
) -> None:
    """Whatever it is written in: the bytes are the backend's to read, and so are their names."""
    place.backend.answer = answer({"token": token_of("alice")})
    status, _, _ = await place.ask("POST", "/login", body, Content_Type=content_type)
    assert status == 200
    assert place.backend.last.body == body
    assert place.backend.last.headers.getall("Content-Type") == [content_type]


# Bodies by mistake.

BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no object": b"[5, null, true]",
    "half": b'{"username": "al',
    "deep": b"[" * 100_000,
    "of the wrong type": b'{"username": 5, "password": ["x"], "email": {"a": null}}',
    "the same name twice": b'{"username": "alice", "username": "bob"}',
    "many names": b"&".join(b"username=%d" % n for n in range(500)),
    "zeros": b"\0" * 100,
    "a lone surrogate": b'{"username": "\\ud800"}',
    "another charset": '{"username": "김철수"}'.encode("euc-kr"),
    "wide characters": '{"username": "alice"}'.encode("utf-16"),
    "no number": b'{"username": NaN, "password": 1e999}',
    "a long name": b'{"username": "' + b"a" * 100_000 + b'"}',
}
MINT = {"kind": "mint", "path": "/login", "upstream": "accounts", "claims": {"sub": "header:X-Id"}}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("login", [LOGIN, MINT], ids=["backend", "mint"])
async def test_a_bad_body_is_the_backends_to_refuse(
    redis: RedisServer, login: dict[str, Any], body: bytes
) -> None:
    """It comes to the backend as it was sent, whatever it claims to be, and its answer comes back;
    what the gateway itself reads of it breaks nothing.
    """
    async with world(redis.url, login=login, signing=signing()) as place:
        place.backend.answer = answer({"detail": "what is that?"}, status=400, X_Id="alice")
        for content_type in ("application/json", FORM, "multipart/form-data; boundary=", "\xff"):
            status, _, told = await place.ask("POST", "/login", body, Content_Type=content_type)
            assert (status, json.loads(told)) == (400, {"detail": "what is that?"})
            assert place.backend.last.body == body
        assert await count(place) == 0


# Redirects.


def redirect(**fields: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return web.Response(status=302, headers={"Location": "/welcome", **named})


REDIRECTS: dict[str, tuple[str, Callable[[str], web.Response], str]] = {
    "a cookie": (
        "Set-Cookie",
        lambda token: redirect(Set_Cookie=f"jwt={token}; Path=/; Secure"),
        "jwt={}; Path=/; Secure",
    ),
    "a field": ("X-Auth-Token", lambda token: redirect(X_Auth_Token=token), "{}"),
    "a scheme": (
        "Authorization",
        lambda token: redirect(Authorization=f"Bearer {token}"),
        "Bearer {}",
    ),
}


@pytest.mark.parametrize(("name", "make", "expected"), REDIRECTS.values(), ids=REDIRECTS.keys())
async def test_a_form_login_that_redirects(
    place: World, name: str, make: Callable[[str], web.Response], expected: str
) -> None:
    """The token may be in a field or a cookie, where the key is afterwards. The gateway does not
    follow the redirect (wire-rules.md#E12).
    """
    token = token_of("alice")
    place.backend.answer = make(token)
    status, headers, body = await place.ask("POST", "/login", form("utf-8"), Content_Type=FORM)
    assert (status, body) == (302, b"")
    before, after = expected.split("{}")
    key = headers[name].removeprefix(before).removesuffix(after)
    assert headers[name] == f"{before}{key}{after}"
    assert (await place.resolved(key)).session.token.reveal() == token
    assert token not in str(headers)
    assert len(place.backend.asked) == 1


ADDRESS = {**LOGIN, "token": "header:Location"}


async def test_a_token_in_an_address(redis: RedisServer) -> None:
    """There it is only where config.yaml says so, for many an address repeats what was typed."""
    token = token_of("alice")
    for login, is_in in ((LOGIN, False), (ADDRESS, True)):
        async with world(redis.url, login=login) as place:
            place.backend.answer = redirect(Location=f"/app#token={token}&state=1")
            status, headers, _ = await place.ask("POST", "/login", form("utf-8"), Content_Type=FORM)
            key = headers["Location"].removeprefix("/app#token=").removesuffix("&state=1")
            assert (status, key != "", await count(place)) == (302, is_in, int(is_in))
            if is_in:
                assert (await place.resolved(key)).session.token.reveal() == token


async def test_a_browser_that_is_redirected_gets_a_cookie(redis: RedisServer) -> None:
    """A form whose answer is a page: the key is in a cookie, and not in the address."""
    token = token_of("alice")
    async with world(redis.url, login=ADDRESS) as place:
        place.backend.answer = redirect(Location=f"/app#token={token}")
        status, headers, _ = await place.ask(
            "POST",
            "/login",
            form("utf-8"),
            Content_Type=FORM,
            Accept="text/html",
            Sec_Fetch_Site="same-origin",
        )
        assert (status, headers["Location"]) == (302, "/app#token=")
        assert "latchkey=lk_" in headers["Set-Cookie"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_any_kind_without_a_token_passes(place: World, status: int) -> None:
    """With its cookies, which are none of a token's; and nothing is issued."""
    place.backend.answer = web.Response(
        status=status, headers={"Location": "/login?error=1", "Set-Cookie": "flash=wrong; Path=/"}
    )
    got, headers, _ = await place.ask("POST", "/login", form("utf-8"), Content_Type=FORM)
    assert (got, headers["Location"]) == (status, "/login?error=1")
    assert headers["Set-Cookie"] == "flash=wrong; Path=/"
    assert await count(place) == 0


# GraphQL, and others that say in the body what was wrong.

MUTATION = json.dumps({"query": "mutation { login(name: $n, password: $p) { token } }"}).encode()


@pytest.mark.parametrize("where", ["data.login.token", "/data/login/token", "auto"])
async def test_a_graphql_login(redis: RedisServer, where: str) -> None:
    """The place may be written with dots, too."""
    token = token_of("alice")
    async with world(redis.url, login={**LOGIN, "token": where}) as place:
        place.backend.answer = answer({"data": {"login": {"token": token, "user": {"id": 7}}}})
        status, _, body = await place.ask("POST", "/login", MUTATION)
        data = json.loads(body)["data"]["login"]
        assert (status, data["user"]) == (200, {"id": 7})
        assert (await place.resolved(data["token"])).session.token.reveal() == token


NO: dict[str, Any] = {
    "no data": {"errors": [{"message": "Wrong password.", "path": ["login"]}], "data": None},
    "no login": {"errors": [{"message": "Wrong password."}], "data": {"login": None}},
    "no token": {"errors": [{"message": "Wrong."}], "data": {"login": {"token": None}}},
    "only errors": {"errors": [{"message": "Wrong.", "extensions": {"key": "E1", "code": 401}}]},
    "a text": {"errors": "Wrong password."},
}


@pytest.mark.parametrize("reply", NO.values(), ids=NO.keys())
async def test_a_graphql_login_that_fails(redis: RedisServer, reply: Any) -> None:
    """Its status is 200 all the same. It passes as it came, and nothing is issued."""
    async with world(redis.url, login={**LOGIN, "token": "data.login.token"}) as place:
        place.backend.answer = answer(reply)
        status, _, body = await place.ask("POST", "/login", MUTATION)
        assert (status, json.loads(body)) == (200, reply)
        assert await count(place) == 0
        assert [event.kind for event in place.events] == ["login_failed"]


async def test_a_failed_graphql_login_leaks_nothing(redis: RedisServer) -> None:
    """A token that stands where none is expected is blotted out."""
    token = token_of("alice")
    async with world(redis.url, login={**LOGIN, "token": "data.login.token"}) as place:
        place.backend.answer = answer(
            {"errors": [{"message": f"bad token {token}"}], "data": None}, X_Debug=token
        )
        status, headers, body = await place.ask("POST", "/login", MUTATION)
        assert (status, headers["X-Debug"]) == (200, "")
        assert json.loads(body)["errors"] == [{"message": "bad token "}]


STRANGE: dict[str, Any] = {
    "no errors": {"errors": [], "data": {"login": None}},
    "errors that are none": {"errors": None, "data": {"login": None}},
    "errors elsewhere": {"data": {"login": {"errors": [{"message": "wrong"}]}}},
    "an opaque token": {"errors": [{"message": "odd"}], "data": {"login": {"token": "opaque"}}},
    "another opaque token": {"errors": [{"message": "odd"}], "data": {"accessToken": "opaque"}},
    "a list": [{"errors": [1]}],
}


@pytest.mark.parametrize("reply", STRANGE.values(), ids=STRANGE.keys())
async def test_a_success_without_a_token_is_none(redis: RedisServer, reply: Any) -> None:
    """Unless it says what was wrong and hands out nothing, it is 502, and goes to no client."""
    async with world(redis.url, login={**LOGIN, "token": "data.login.token"}) as place:
        place.backend.answer = answer(reply)
        status, _, body = await place.ask("POST", "/login", MUTATION)
        assert (status, json.loads(body)["reason"]) == (502, "no_token")
        assert b"opaque" not in body
        assert await count(place) == 0


@pytest.mark.parametrize(
    ("failed", "reply"),
    [
        ("data.login.errors", {"data": {"login": {"token": None, "errors": [{"code": "WRONG"}]}}}),
        ("/data/login/errors/0", {"data": {"login": {"errors": ["wrong"]}}}),
        ("/error", {"error": "wrong password"}),
        ("/failed", {"failed": True, "message": "no"}),
        ("/errors/0/text", {"errors": [{"text": "wrong"}]}),
    ],
)
async def test_where_a_login_says_no_is_configurable(
    redis: RedisServer, failed: str, reply: Any
) -> None:
    """Some APIs return what was wrong beside the token, or under a name of their own."""
    async with world(redis.url, login={**LOGIN, "failed": failed}) as place:
        place.backend.answer = answer(reply)
        status, _, body = await place.ask("POST", "/login", MUTATION)
        assert (status, json.loads(body)) == (200, reply)
        assert await count(place) == 0


async def test_an_index_names_one_answer_of_a_batch(redis: RedisServer) -> None:
    """Or, in each answer, an error of it."""
    reply = [{"data": {"login": {"token": token_of("alice")}}}, {"errors": ["wrong"]}]
    for failed in ("/1/errors", "/1/errors/0", "/errors/0"):
        async with world(redis.url, login={**LOGIN, "failed": failed}) as place:
            place.backend.answer = answer(reply)
            assert (await place.ask("POST", "/login", MUTATION))[0] == 502
            assert await count(place) == 0


SAYS_NO: dict[str, tuple[str, str]] = {
    "errors": (
        "/errors",
        '{"errors": [{"path": ["news"]}], "data": {"login": {"token": "TOKEN"}}}',
    ),
    "a flag": ("/mfa_required", '{"mfa_required": true, "mfa_token": "TOKEN", "token": "TOKEN"}'),
    "a flag and an opaque token": ("/failed", '{"failed": true, "token": "opaque", "a": "TOKEN"}'),
    "a text": ("/error", '{"error": "wrong password", "jwt": "TOKEN"}'),
    "deep": ("data.login.problem", '{"data": {"login": {"problem": 1, "token": "TOKEN"}}}'),
    "at first": ("/errors", '{"errors": ["wrong"], "token": "TOKEN", "errors": []}'),
    "at last": ("/errors", '{"errors": null, "token": "TOKEN", "errors": {"a": "wrong"}}'),
    "deep and twice": ("/a/no", '{"a": {"no": 0, "no": 1}, "a": {"no": 0}, "token": "TOKEN"}'),
}


@pytest.mark.parametrize("where", ["named", "auto"])
@pytest.mark.parametrize(("failed", "reply"), SAYS_NO.values(), ids=SAYS_NO.keys())
async def test_a_no_is_a_no_whatever_else_the_reply_holds(
    redis: RedisServer, failed: str, reply: str, where: str
) -> None:
    """It is asked first, and passes without the token that stands beside it."""
    token = "/token" if where == "named" else "auto"
    async with world(redis.url, login={**LOGIN, "failed": failed, "token": token}) as place:
        jwt = token_of("alice")
        place.backend.answer = answer(
            reply.replace("TOKEN", jwt).encode(), Set_Cookie=f"jwt={jwt}", X_Auth_Token=jwt
        )
        status, headers, body = await place.ask("POST", "/login", MUTATION)
        assert (status, body) == (200, reply.replace("TOKEN", "").encode())
        assert ("Set-Cookie" in headers, headers["X-Auth-Token"]) == (False, "")
        assert await count(place) == 0
        assert [event.kind for event in place.events] == ["login_failed"]


@pytest.mark.parametrize(
    "reply",
    [
        '[{"errors": ["wrong"]}, {"data": {"login": {"token": "TOKEN"}}}]',
        '[{"data": {"login": {"token": "TOKEN"}}}, {"data": null, "errors": ["wrong"]}]',
        '[{"errors": ["wrong"], "token": "TOKEN"}]',
    ],
)
async def test_a_batch_in_which_one_answer_is_a_no(place: World, reply: str) -> None:
    """Of several logins at once, one that has failed is not told from one that has not."""
    place.backend.answer = answer(reply.replace("TOKEN", token_of("alice")).encode())
    status, _, body = await place.ask("POST", "/login", MUTATION)
    assert (status, json.loads(body)["reason"]) == (502, "no_token")
    assert await count(place) == 0


async def test_a_batch_of_logins(place: World) -> None:
    """One token becomes a key; two are refused."""
    one, other = token_of("alice"), token_of("bob")
    for tokens, expected in (([one], 200), ([one, one], 200), ([one, other], 502)):
        place.backend.answer = answer([{"data": {"login": {"token": token}}} for token in tokens])
        assert (await place.ask("POST", "/login", MUTATION))[0] == expected


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399, 400, 401, 404, 500])
async def test_only_a_success_or_a_redirect_logs_in(place: World, status: int) -> None:
    """Whatever else there is in the reply: other statuses say that nothing was done."""
    token = token_of("alice")
    place.backend.answer = web.Response(status=status, headers={"Set-Cookie": f"jwt={token}"})
    got, headers, _ = await place.ask("POST", "/login", MUTATION)
    assert (got, "Set-Cookie" in headers) == (status, False)
    assert await count(place) == 0


RENAMED = [
    "query { login: user(id: 5) { token: bio } }",
    "query { login { token: bio } }",
    "query { login: user(id: 5) { token } }",
]


@pytest.mark.parametrize("where", ["data.login.token", "auto"])
@pytest.mark.parametrize("document", RENAMED)
async def test_what_a_client_calls_a_token_is_none(
    redis: RedisServer, document: str, where: str
) -> None:
    """By an alias, anything that a user has written before stands where a token does. Only one that
    is verified is believed there.
    """
    token = token_of("alice", role="admin")
    body = json.dumps({"query": document}).encode()
    login = {**LOGIN, "token": where}
    for more, expected in (({}, 502), ({"verify": {"secret": SIGNING_SECRET}}, 200)):
        async with world(redis.url, login={**login, **more}) as place:
            place.backend.answer = answer({"data": {"login": {"token": token}}})
            status, _, answered = await place.ask("POST", "/login", body)
            assert (status, b"lk_" in answered) == (expected, expected == 200)
            assert (await place.ask("POST", "/login", MUTATION))[0] == 200


async def test_names_of_other_apis_are_the_backends(place: World) -> None:
    """Whatever is typed: only in GraphQL a client says what its reply's members are called."""
    token = token_of("alice")
    body = json.dumps({"password": "token: bio login: x data: y"}).encode()
    for reply in ({"token": token}, {"result": {"login": {"token": token}}}):
        place.backend.answer = answer(reply)
        assert (await place.ask("POST", "/login", body))[0] == 200


# Nested, and in other places.


@pytest.mark.parametrize(
    ("where", "reply", "at"),
    [
        ("/a/0/b~1c/~0", {"a": [{"b/c": {"~": "TOKEN"}}]}, ["a", 0, "b/c", "~"]),
        ("a.0.b", {"a": [{"b": "TOKEN"}]}, ["a", 0, "b"]),
        ("/x.y", {"x.y": "TOKEN", "x": {"y": "z"}}, ["x.y"]),
        ("자료.열쇠", {"자료": {"열쇠": "TOKEN"}}, ["자료", "열쇠"]),
        ("auto", {"result": {"auth": {"jwt": "TOKEN", "name": "a"}}}, ["result", "auth", "jwt"]),
    ],
)
async def test_a_token_deep_in_json(
    redis: RedisServer, where: str, reply: Any, at: list[str | int]
) -> None:
    """A pointer says where, or dots do where no name has any."""
    token = token_of("alice")
    async with world(redis.url, login={**LOGIN, "token": where}) as place:
        place.backend.answer = answer(json.dumps(reply).replace("TOKEN", token).encode())
        status, _, body = await place.ask("POST", "/login", MUTATION)
        value = json.loads(body)
        for part in at:
            value = value[part]
        assert status == 200
        assert (await place.resolved(value)).session.token.reveal() == token

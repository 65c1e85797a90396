"""`pending`: the reply to a first step passes whole, and only the second step makes a session."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import SIGNING_SECRET, token_of
from tests.logins.test_mfa_throttling import ask
from tests.logins.test_throttling import HOME
from tests.support.endpoints import BODY, Asked, World, answer, count, world
from tests.support.redis_server import RedisServer

VERIFY = {"secret": SIGNING_SECRET}
KIND = {"kind": "backend", "upstream": "accounts"}
TEMPORARY = token_of("alice", purpose="mfa")


def sections(**changes: Any) -> dict[str, Any]:
    first = {**KIND, "path": "/login", "backend_path": "/first", "pending": "/mfa_required"}
    second = {**KIND, "path": "/login/code", "backend_path": "/second", "subject_prefix": ""}
    return {
        "guessing": {"per_account": 3, "delay_after": 0},
        "login": [{**first, "subject_prefix": "", **changes}, second],
    }


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    async with world(redis.url, **sections()) as built:
        yield built


# The reply.


@pytest.mark.parametrize("status", [200, 202, 401, 403])
@pytest.mark.parametrize("token", [TEMPORARY, "tmp-3f2504e04f89"])
async def test_a_pending_reply_passes_whole(place: World, status: int, token: str) -> None:
    """With its temporary token, opaque or a JWT, wherever it stands."""
    said = {"mfa_required": True, "mfa_token": token, "methods": ["totp"]}
    place.backend.answer = answer(
        said, status, X_MFA_Token=token, Set_Cookie=f"mfa={token}; HttpOnly", X_Custom="kept"
    )
    got, headers, body = await place.ask("POST", "/login", BODY)
    assert (got, body) == (status, json.dumps(said).encode())
    assert headers["X-MFA-Token"] == token
    assert headers["Set-Cookie"] == f"mfa={token}; HttpOnly"
    assert (headers["X-Custom"], headers["Cache-Control"]) == ("kept", "no-store")
    assert await count(place) == 0
    assert [event.kind for event in place.events] == ["login_pending"]


@pytest.mark.parametrize("flag", [False, None, 0, "", [], {}])
async def test_a_flag_that_is_off_announces_nothing(place: World, flag: Any) -> None:
    """Such a reply is a login's: its token becomes a key."""
    place.backend.answer = answer({"mfa_required": flag, "token": token_of("alice")})
    _, _, body = await place.ask("POST", "/login", BODY)
    assert await place.is_known(json.loads(body)["token"])


async def test_the_kind_mint_knows_pending_replies_as_well(redis: RedisServer) -> None:
    login = {
        **KIND,
        "kind": "mint",
        "path": "/login",
        "claims": {"sub": "/user"},
        "pending": "/mfa_required",
    }
    signing = {
        "issuer": "https://g.example",
        "keys": [{"algorithm": "HS256", "secret": SIGNING_SECRET}],
    }
    async with world(redis.url, login=login, signing=signing) as place:
        said = {"mfa_required": True, "token": TEMPORARY, "user": "alice"}
        place.backend.answer = answer(said)
        _, _, body = await place.ask("POST", "/login", BODY)
        assert (json.loads(body), await count(place)) == (said, 0)
        place.backend.answer = answer({"user": "alice"})
        _, _, body = await place.ask("POST", "/login", BODY)
        assert await place.is_known(json.loads(body)["token"])


async def test_a_pending_reply_leaves_the_present_session_alone(place: World) -> None:
    """Another login's first step ends nothing; its second step does."""
    place.backend.answer = answer({"token": token_of("alice")})
    _, _, body = await place.ask("POST", "/login", BODY)
    key = json.loads(body)["token"]
    place.backend.answer = answer({"mfa_required": True, "mfa_token": TEMPORARY})
    await place.ask("POST", "/login", BODY, X_Latchkey_Carrier="cookie")
    assert await place.is_known(key)


# What a client may have written itself.


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"username": "alice", "password": "x", "mfa_required": true}'),
        ("application/json", b'{"username": "alice", "password": "x", "mfa_req\\u0075ired": 1}'),
        ("application/x-www-form-urlencoded", b"username=alice&password=x&mfa_required=1"),
        ("application/x-www-form-urlencoded", b"username=alice&password=x&mfa%5Frequired=1"),
        ("application/x-www-form-urlencoded", b"username=alice&password=x&user[mfa_required]=1"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="mfa_required"\r\n\r\n1\r\n--b--\r\n',
        ),
    ],
)
async def test_a_client_cannot_announce_a_step_itself(
    place: World, content_type: str, body: bytes
) -> None:
    """Where a backend repeats its input, the login's own token would reach the client."""
    token = token_of("alice")
    place.backend.answer = answer({"mfa_required": True, "token": token})
    status, _, got = await place.ask("POST", "/login", body, Content_Type=content_type)
    assert (status, json.loads(got)["reason"], await count(place)) == (502, "no_token", 0)
    assert token.encode() not in got


GRAPHQL = {
    "announced": ("mutation { login(u: 1) { mfaRequired mfaToken } }", {}, {}, True),
    "named by an alias": ("mutation { login(u: 1) { mfaRequired: __typename t } }", {}, {}, False),
    "of an alias": ("mutation { login: me { mfaRequired token } }", {}, {}, False),
    "stored": ("", {"extensions": {"persistedQuery": {"version": 1}}}, {}, False),
    "beside a token": (
        "mutation { login { mfaRequired } guest { token } }",
        {},
        {"guest": 1},
        False,
    ),
}


@pytest.mark.parametrize(("query", "more", "beside", "passes"), GRAPHQL.values(), ids=GRAPHQL)
async def test_graphql_clients_choose_what_is_answered(
    redis: RedisServer, query: str, more: dict[str, Any], beside: dict[str, Any], passes: bool
) -> None:
    """So only the part that announces the step may hold tokens, under its own names."""
    other = {name: {"token": token_of("guest")} for name in beside}
    said = {"data": {"login": {"mfaRequired": True, "mfaToken": TEMPORARY}, **other}}
    async with world(redis.url, **sections(pending="/data/login/mfaRequired")) as place:
        place.backend.answer = answer(said)
        body = json.dumps({"query": query, **more}).encode()
        status, _, got = await place.ask("POST", "/login", body, Content_Type="application/json")
        assert (status, b"eyJ" in got) == ((200, True) if passes else (502, False))
        assert await count(place) == 0


LEFT_OUT = {
    "not asked for": ("mutation { login { token } }", {}),
    "asked for under another name": ("mutation { login { x: mfaRequired token } }", {"x": True}),
    "another field has its name": (
        "mutation { login { mfaRequired: isNew token } }",
        {"mfaRequired": False},
    ),
    "skipped": ("mutation { login { mfaRequired @skip(if: true) token } }", {}),
}


@pytest.mark.parametrize(("query", "flags"), LEFT_OUT.values(), ids=LEFT_OUT)
@pytest.mark.parametrize("in_cookie", [False, True])
async def test_a_graphql_client_cannot_leave_the_announcement_out(
    redis: RedisServer, query: str, flags: dict[str, Any], in_cookie: bool
) -> None:
    """Without it, a temporary token would look like a session's."""
    fields = {"Set_Cookie": f"token={TEMPORARY}; HttpOnly"} if in_cookie else {}
    login = {**flags, **({} if in_cookie else {"token": TEMPORARY})}
    async with world(redis.url, **sections(pending="/data/login/mfaRequired")) as place:
        place.backend.answer = answer({"data": {"login": login}}, 200, **fields)
        body = json.dumps({"query": query}).encode()
        status, _, got = await place.ask("POST", "/login", body, Content_Type="application/json")
        assert (status, b"eyJ" in got, await count(place)) == (502, False, 0)


async def test_a_graphql_login_that_answers_whether_a_step_follows(redis: RedisServer) -> None:
    """It begins a session, and so does another part of the API, such as a sign-up."""
    async with world(redis.url, **sections(pending="/data/login/mfaRequired")) as place:
        parts: dict[str, dict[str, Any]] = {"login": {"mfaRequired": None}, "signUp": {}}
        for name, flags in parts.items():
            place.backend.answer = answer({"data": {name: {**flags, "token": token_of("alice")}}})
            body = json.dumps({"query": f"mutation {{ {name} {{ mfaRequired token }} }}"}).encode()
            sent = {"Content_Type": "application/json"}
            status, _, got = await place.ask("POST", "/login", body, **sent)
            assert (status, b"lk_" in got) == (200, True)


@pytest.mark.parametrize(
    "query",
    [
        "mutation { login { user { id } } }",
        "mutation { login { mfaRequired: isNew user { id } } }",
        "{ login: author(post: 1) { mfaRequired user { id } } }",
        "mutation { login { mfaRequired user: invitedBy { id } } }",
    ],
)
async def test_a_graphql_client_chooses_no_name_of_a_minted_session(
    redis: RedisServer, query: str
) -> None:
    """Neither by an alias, nor by leaving out that a second step follows."""
    login = {
        **KIND,
        "kind": "mint",
        "path": "/login",
        "claims": {"sub": "/data/login/user/id"},
        "pending": "/data/login/mfaRequired",
        "reply": "/data/key",
    }
    signing = {
        "issuer": "https://g.example",
        "keys": [{"algorithm": "HS256", "secret": SIGNING_SECRET}],
    }
    async with world(redis.url, login=login, signing=signing) as place:
        said = {"user": {"id": "alice"}, **({"mfaRequired": False} if "Req" in query else {})}
        place.backend.answer = answer({"data": {"login": said}})
        body = json.dumps({"query": query}).encode()
        sent = {"Content_Type": "application/json"}
        status, _, _ = await place.ask("POST", "/login", body, **sent)
        assert (status, await count(place)) == (502, 0)
        body = json.dumps({"query": "mutation { login { mfaRequired user { id } } }"}).encode()
        place.backend.answer = answer({"data": {"login": {**said, "mfaRequired": False}}})
        status, _, _ = await place.ask("POST", "/login", body, **sent)
        assert (status, await count(place)) == (200, 1)


# The temporary token.


async def test_a_temporary_token_is_never_a_sessions(redis: RedisServer) -> None:
    """Not even where a later reply hands it out under the name of a login's, unasked."""
    verified = sections(verify=VERIFY)
    async with world(redis.url, **verified) as place:
        for said in ({"mfa_token": TEMPORARY}, {"token": TEMPORARY}, {"a": {"b": TEMPORARY}}):
            place.backend.answer = answer({"mfa_required": True, **said})
            assert (await place.ask("POST", "/login", BODY))[0] == 200
            place.backend.answer = answer({"token": TEMPORARY})
            for path in ("/login", "/login/code"):
                status, _, _ = await place.ask("POST", path, b'{"code": "123456"}')
                assert (status, await count(place)) == (502, 0)


@pytest.mark.parametrize("token", [TEMPORARY, "tmp-3f2504e04f89"])
@pytest.mark.parametrize("way", ["body", "form", "authorization", "field", "cookie"])
async def test_the_second_step_makes_the_session(place: World, token: str, way: str) -> None:
    """However it sends the temporary token, which reaches the backend as it came."""
    place.backend.answer = answer({"mfa_required": True, "mfa_token": token})
    await place.ask("POST", "/login", BODY)
    sent: dict[str, str] = {
        "authorization": {"Authorization": f"Bearer {token}"},
        "field": {"X_MFA_Token": token},
        "cookie": {"Cookie": f"mfa={token}"},
        "form": {"Content_Type": "application/x-www-form-urlencoded"},
    }.get(way, {})
    body = {"form": f"mfa_token={token}&code=123456".encode()}.get(way, b'{"code": "123456"}')
    if way == "body":
        body = json.dumps({"mfa_token": token, "code": "123456"}).encode()
    place.backend.answer = answer({"token": token_of("alice", mfa=True)})
    status, _, got = await place.ask("POST", "/login/code", body, **sent)
    assert (status, await place.is_known(json.loads(got)["token"])) == (200, True)
    asked = place.backend.last
    assert token in f"{asked.headers}{asked.body.decode()}"


# Counting.


class Backend:
    """Asks for a code after a password, or after a name alone."""

    begun = 0

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        typed = json.loads(asked.body)
        if asked.target == "/second":
            if typed["code"] != "good":
                return answer({"mfa_required": True, "error": "wrong"}, typed.get("status", 401))
            return answer({"token": token_of("alice")})
        if typed.get("password", "good") != "good":
            return answer({"detail": "wrong"}, 401)
        self.begun += 1
        payload = {"mfa_required": True, "token": token_of(typed["username"], n=self.begun)}
        return answer(payload)


@pytest.fixture
async def asking(redis: RedisServer) -> AsyncIterator[World]:
    """Both steps may be announced: a wrong code asks for another one."""
    changed = sections()
    changed["login"][1]["pending"] = "/mfa_required"
    async with world(redis.url, **changed) as built:
        built.backend.answer = Backend()
        yield built


async def test_a_first_step_neither_fails_nor_succeeds(asking: World) -> None:
    """Whether it holds a password, or a name alone; and it forgives no wrong password."""
    good = {"username": "alice", "password": "good"}
    assert [(await ask(asking, "/login", good))[0] for _ in range(5)] == [200] * 5
    assert [(await ask(asking, "/login", {"username": "alice"}))[0] for _ in range(5)] == [200] * 5
    bad = {"username": "alice", "password": "bad"}
    assert [(await ask(asking, "/login", bad))[0] for _ in range(2)] == [401] * 2
    assert (await ask(asking, "/login", good))[0] == 200
    assert [(await ask(asking, "/login", bad))[0] for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("status", [200, 401])
async def test_wrong_codes_count_for_the_account_that_began(asking: World, status: int) -> None:
    """Though the reply still asks for a code, and whichever of its tokens comes."""

    async def begin(name: str) -> str:
        _, said, _ = await ask(asking, "/login", {"username": name, "password": "good"})
        return str(said["token"])

    async def second(token: str, code: str = "bad") -> int:
        typed = {"session": token, "code": code, "status": status}
        return (await ask(asking, "/login/code", typed))[0]

    mine, again, other = await begin("alice"), await begin("alice"), await begin("bob")
    assert [await second(token) for token in (mine, again, mine)] == [status] * 3
    assert await second(again, "good") == 429
    assert (await ask(asking, "/login", {"username": "alice", "password": "good"}))[0] == 429
    assert await second(other) == status
    assert await second(other, "good") == 200


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"otp": "123456"}, {}),
        ({"second": 123456}, {}),
        ({}, {"X_GitHub_OTP": "123456"}),
        ({}, {"X_2FA_Code": "a1b2c3"}),
        ({"password": ""}, {"X_OTP": "123456"}),
    ],
)
async def test_a_code_with_the_password_is_a_guess(
    asking: World, typed: dict[str, Any], fields: dict[str, str]
) -> None:
    """A reply that asks for another code then says that this one was wrong."""
    asking.backend.answer = answer({"mfa_required": True})
    body = {"username": "alice", "password": "good", **typed}
    got = [(await ask(asking, "/login", body, HOME, **fields))[0] for _ in range(4)]
    assert got == [200] * 3 + [429]


# A temporary token in the path.


@pytest.fixture
async def by_path(redis: RedisServer) -> AsyncIterator[World]:
    changed = sections()
    shaped = {"path": "/mfa/{token}/verify", "backend_path": "/api/mfa/{token}/check"}
    changed["login"][1].update(shaped)
    async with world(redis.url, **changed) as built:
        yield built


async def test_the_second_step_may_send_its_token_in_the_path(by_path: World) -> None:
    """It reaches the backend at its own place, as it came, and its reply makes the session."""
    by_path.backend.answer = answer({"token": token_of("alice")})
    for token in ("tmp-3f2504e04f89", TEMPORARY, "a%20b%2Fc"):
        status, _, got = await by_path.ask(
            "POST", f"/mfa/{token}/verify?x=1", b'{"code": "123456"}'
        )
        assert (status, await by_path.is_known(json.loads(got)["token"])) == (200, True)
        assert by_path.backend.last.target == f"/api/mfa/{token}/check?x=1"


async def test_a_token_in_the_path_is_no_token_of_the_reply(by_path: World) -> None:
    """It is text that the client sent."""
    forged = token_of("root")
    by_path.backend.answer = answer({"token": forged})
    status, _, _ = await by_path.ask("POST", f"/mfa/{forged}/verify", b'{"code": "123456"}')
    assert (status, await count(by_path)) == (502, 0)


async def test_codes_count_by_the_token_in_the_path(by_path: World) -> None:
    """For the account that began the login; an unknown token is an account of its own."""

    async def begin(name: str, token: str) -> None:
        by_path.backend.answer = answer({"mfa_required": True, "ticket": token})
        await ask(by_path, "/login", {"username": name, "password": "good"})
        by_path.backend.answer = answer({"detail": "wrong"}, 401)

    async def second(token: str) -> int:
        return (await ask(by_path, f"/mfa/{token}/verify", {"code": "123456"}))[0]

    await begin("alice", "t-alice-1")
    await begin("alice", "t-alice-2")
    await begin("bob", "t-bob")
    assert [await second(t) for t in ("t-alice-1", "t-alice-2", "t-alice-1")] == [401] * 3
    assert await second("t-alice-2") == 429
    assert await second("t-bob") == 401
    assert [await second("made-up") for _ in range(4)] == [401] * 3 + [429]
    assert await second("made-up-too") == 401

"""Logins in two steps: the password alone is no failure, and the code is guessed at one account."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import token_of
from tests.logins.test_throttling import ABROAD, HOME, names
from tests.support.endpoints import Asked, World, answer, world
from tests.support.redis_server import RedisServer

RULES = {"per_account": 3, "delay_after": 0}


class Backend:
    """Asks for a code after the password; how it names the login meanwhile, a test may change."""

    def __init__(self) -> None:
        self.carrier = "mfa_token"
        self.status = 200
        self.begun = 0

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        typed = json.loads(asked.body)
        if asked.target == "/first":
            return self._first(typed)
        token = typed.get(self.carrier, asked.headers.get("Cookie", "").removeprefix("flow="))
        token = token or asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if typed["code"] != "good":
            return answer({"detail": "wrong"}, 401)
        return answer({"token": token_of(token.split("-")[-1])})

    def _first(self, typed: dict[str, Any]) -> web.StreamResponse:
        if typed["password"] != "good":
            return answer({"detail": "wrong"}, 401)
        self.begun += 1
        token = f"00112233-4455-{self.begun}-{typed['username']}"
        if self.carrier == "cookie":
            cookie = {"Set_Cookie": f"flow={token}; HttpOnly"}
            return answer({"mfa_required": True}, self.status, **cookie)
        return answer({"mfa_required": True, "mfa_token": token}, self.status)


@pytest.fixture
def backend() -> Backend:
    return Backend()


def sections(**rules: Any) -> dict[str, Any]:
    kinds = {"kind": "backend", "upstream": "accounts"}
    return {
        "guessing": {**RULES, **rules},
        "login": [
            {**kinds, "path": "/login", "backend_path": "/first", "failed": "/mfa_required"},
            {**kinds, "path": "/login/code", "backend_path": "/second"},
        ],
    }


@pytest.fixture
async def place(redis: RedisServer, backend: Backend) -> AsyncIterator[World]:
    async with world(redis.url, **sections()) as built:
        built.backend.answer = backend
        yield built


async def ask(
    place: World, path: str, typed: dict[str, Any], address: str = HOME, **fields: str
) -> tuple[int, Any, str]:
    """The status, what the answer says, and the cookie that it sets."""
    sent = {"X_Real_IP": address, "Content_Type": "application/json", **fields}
    status, headers, body = await place.ask("POST", path, json.dumps(typed).encode(), **sent)
    return status, json.loads(body), headers.get("Set-Cookie", "").partition(";")[0]


async def first(
    place: World, name: str = "alice", password: str = "good", address: str = HOME
) -> int:
    status, _, _ = await ask(place, "/login", {"username": name, "password": password}, address)
    return status


async def begin(place: World, name: str = "alice", address: str = HOME) -> str:
    """What a first step hands out."""
    typed = {"username": name, "password": "good"}
    status, said, cookie = await ask(place, "/login", typed, address)
    assert status < 429, said
    return str(said.get("mfa_token") or cookie)


async def second(
    place: World, token: str, code: str = "bad", address: str = HOME, **typed: Any
) -> int:
    status, _, _ = await ask(
        place, "/login/code", {"mfa_token": token, "code": code, **typed}, address
    )
    return status


# The first step.


@pytest.mark.parametrize("status", [200, 202, 401, 403])
async def test_a_first_step_is_no_failure(place: World, backend: Backend, status: int) -> None:
    """However many logins begin, and whatever status says so. Wrong passwords count, and a right
    one that leads to no session does not set them back.
    """
    backend.status = status
    assert [await first(place) for _ in range(6)] == [status] * 6
    assert [await first(place, password="bad") for _ in range(2)] == [401, 401]
    assert await first(place) == status
    assert [await first(place, password="bad") for _ in range(2)] == [401, 429]
    assert await first(place) == 429


async def test_whole_logins_never_wait(place: World) -> None:
    """The second step's success is the account's: it sets back what was mistyped in both steps, and
    its address is known from then on.
    """
    for _ in range(3):
        assert await first(place, password="bad") == 401
        token = await begin(place)
        assert await second(place, token) == 401
        assert await second(place, token, "good") == 200


async def test_a_whole_login_makes_its_address_known(redis: RedisServer, backend: Backend) -> None:
    """So strangers cannot keep out an owner who logs in by two steps, either."""
    async with world(redis.url, **sections(per_account_everywhere=4)) as place:
        place.backend.answer = backend
        assert await second(place, await begin(place), "good") == 200
        got = [await first(place, "alice", "bad", f"198.51.100.{n}") for n in range(5)]
        assert got == [401] * 4 + [429]
        assert await second(place, await begin(place), "good") == 200


async def test_a_whole_login_by_graphql_never_waits(place: World) -> None:
    """There the client chooses the names in the reply, so that a first step counts as a failure: as
    one of its own account, which the second step's success sets back.
    """
    query = "{ login { mfa_required mfa_token } }"
    for _ in range(5):
        typed = {"username": "alice", "password": "good", "query": query}
        status, said, _ = await ask(place, "/login", typed)
        assert (status, await second(place, said["mfa_token"], "good")) == (200, 200)
    assert [(await ask(place, "/login", typed))[0] for _ in range(4)] == [200] * 3 + [429]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"otp": "123456"}, {"mfa_required": True, "error": "wrong code"}),
        ({"second": 123456}, {"mfa_required": True}),
        ({"mfa_required": "x"}, {"mfa_required": "x"}),
        ({"query": "{ mfa_required: __typename }"}, {"mfa_required": "Query"}),
        ({}, {"mfa_required": False, "detail": "wrong"}),
        ({}, {"mfa_required": None, "errors": ["wrong"]}),
    ],
)
async def test_what_is_no_first_step(
    place: World, typed: dict[str, Any], said: dict[str, Any]
) -> None:
    """A code was tried as well, the client has chosen the name, or nothing says so."""
    place.backend.answer = answer(said, 401)
    body = {"username": "alice", "password": "guess", **typed}
    assert [(await ask(place, "/login", body))[0] for _ in range(4)] == [401] * 3 + [429]


# The second step.


async def test_codes_are_guessed_at_one_account(place: World) -> None:
    """With any token of its logins, and with decoys beside it. No other account at the address has
    to wait, and a new token gives no other chance.
    """
    mine, other = await begin(place), await begin(place, "bob")
    again = await begin(place)
    assert await second(place, mine) == 401
    assert await second(place, again, username="decoy") == 401
    assert await second(place, mine, email="another") == 401
    assert await second(place, again, "good") == 429
    assert await first(place) == 429
    assert await second(place, other) == 401
    assert await second(place, other, "good") == 200


async def test_codes_are_guessed_at_one_account_from_everywhere(
    redis: RedisServer, backend: Backend
) -> None:
    """Who knows a password and has many addresses has as many guesses as for the password."""
    async with world(redis.url, **sections(per_account_everywhere=4)) as place:
        place.backend.answer = backend
        addresses = [f"198.51.100.{number}" for number in range(6)]
        tokens = [await begin(place, address=address) for address in addresses]
        tries = zip(tokens, addresses, strict=True)
        got = [await second(place, token, address=address) for token, address in tries]
        assert got == [401] * 4 + [429] * 2


async def test_a_login_that_was_begun_elsewhere(place: World) -> None:
    """By a temporary token that no login of the gateway's gave: each is an account of its own."""
    assert [await second(place, "t-alice") for _ in range(4)] == [401] * 3 + [429]
    assert await second(place, "t-bob", "good") == 200
    assert await second(place, "t-alice", "good", ABROAD) == 200


async def test_a_login_that_goes_on_by_a_cookie(place: World, backend: Backend) -> None:
    """As backends with sessions of their own do it."""
    backend.carrier = "cookie"
    mine, other = await begin(place), await begin(place, "bob")
    assert mine.startswith("flow=0011")

    async def go_on(cookie: str, code: str) -> int:
        return (await ask(place, "/login/code", {"code": code}, Cookie=cookie))[0]

    assert [await go_on(mine, "bad") for _ in range(4)] == [401] * 3 + [429]
    assert await go_on(other, "bad") == 401
    assert await go_on(other, "good") == 200


async def test_a_login_that_goes_on_by_a_token_in_authorization(
    place: World, backend: Backend
) -> None:
    mine, other = await begin(place), await begin(place, "bob")
    backend.carrier = "authorization"

    async def go_on(token: str, code: str) -> int:
        field = {"Authorization": f"Bearer {token}"}
        return (await ask(place, "/login/code", {"code": code}, **field))[0]

    assert [await go_on(mine, "bad") for _ in range(4)] == [401] * 3 + [429]
    assert await go_on(other, "good") == 200


@pytest.mark.parametrize(
    "typed",
    [
        {"token": "{}23456"},
        {"otp_token": "{}23456"},
        {"mfa": "{}23456"},
        {"mfa_code": "{}a1b2c3"},
        {"mfa_token": "made-up-{}", "password": "guess", "mail": "alice"},
    ],
)
async def test_what_is_guessed_names_no_login(place: World, typed: dict[str, str]) -> None:
    """A code, whatever it is called; nor does a made-up token beside a password."""
    place.backend.answer = answer({"detail": "wrong"}, 401)
    got = []
    for number in range(4):
        sent = {name: text.format(number) for name, text in typed.items()}
        got.append((await ask(place, "/login/code", sent))[0])
    assert got == [401] * 3 + [429]


@pytest.mark.parametrize("name", ["x{}", "temp_token_{}"])
async def test_junk_beside_a_temporary_token_hides_nothing(
    redis: RedisServer, backend: Backend, name: str
) -> None:
    """Nor over many addresses: whatever could be one is looked up."""
    async with world(redis.url, **sections(per_account_everywhere=4)) as place:
        place.backend.answer = backend
        token = await begin(place)
        got = []
        for number in range(6):
            junk = {name.format(n): f"junk-junk-junk-junk-{number}-{n}" for n in range(100)}
            got.append(await second(place, token, address=f"198.51.100.{number}", **junk))
        assert got == [401] * 4 + [429] * 2


async def test_the_store_learns_no_temporary_token(redis: RedisServer, place: World) -> None:
    """Only digests, and for as long as a login may take."""
    token = await begin(place)
    kept = names(redis, place, "t:")
    assert len(kept) == 1
    with redis.client() as client:
        assert 500 < client.ttl(kept[0]) <= 600
        assert token.encode() not in kept[0] + client.get(kept[0])
        assert b"alice" not in kept[0] + client.get(kept[0])

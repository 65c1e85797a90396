"""Login throttling: too many failures make the next attempt wait, and no other user."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from gateway.observe.events import Event
from tests.conftest import SIGNING_SECRET, token_of
from tests.support.endpoints import Asked, World, answer, backend, world
from tests.support.processes import HANG, free_port
from tests.support.raw import Upstream, Visit
from tests.support.redis_server import RedisServer, redis_server
from tests.support.signing_keys import signing
from tests.support.users import user, write

RULES = {"window": 60, "per_account": 3, "delay_after": 0}
HOME, ABROAD = "192.0.2.7", "198.51.100.1"


async def judge(asked: Asked) -> web.StreamResponse:
    """A backend that knows a good password from a bad one."""
    typed = json.loads(asked.body)
    if typed["password"] != "good":
        return answer({"detail": "wrong"}, 401)
    return answer({"token": token_of(typed["username"])})


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    """A login that lets three attempts fail."""
    async with world(redis.url, guessing=RULES) as built:
        built.backend.answer = judge
        yield built


async def attempt(
    place: World,
    password: str = "bad",
    *,
    name: str = "alice",
    address: str = HOME,
    path: str = "/login",
    **more: str,
) -> int:
    """The status that one attempt gets; a 429 says when the next one may come."""
    body = json.dumps({"username": name, "password": password, **more}).encode()
    fields = {"X_Real_IP": address, "Content_Type": "application/json"}
    status, headers, text = await place.ask("POST", path, body, **fields)
    if status == 429:
        assert json.loads(text)["reason"] == "too_many_attempts"
        assert int(headers["Retry-After"]) >= 1
        assert headers["Cache-Control"] == "no-store"
    return status


async def attempts(place: World, number: int, password: str = "bad", **more: Any) -> list[int]:
    """The statuses of some attempts, one after the other."""
    return [await attempt(place, password, **more) for _ in range(number)]


async def retry_after(place: World) -> int:
    """How long the next attempt would have to wait."""
    body = json.dumps({"username": "alice", "password": "good"}).encode()
    status, headers, _ = await place.ask("POST", "/login", body, X_Real_IP=HOME)
    assert status == 429
    return int(headers["Retry-After"])


def names(redis: RedisServer, place: World, part: str) -> list[bytes]:
    """What the store has of this world, beside its sessions."""
    with redis.client() as client:
        return list(client.scan_iter(f"{place.config.store.prefix}{part}*"))


# What is counted.


async def test_after_some_failures_the_right_password_has_to_wait_too(place: World) -> None:
    """Else the answer would tell a guesser that it is right. The backend is not even asked."""
    assert await attempts(place, 3) == [401, 401, 401]
    assert await attempts(place, 2, "good") == [429, 429]
    assert len(place.backend.asked) == 3
    assert 1 <= await retry_after(place) <= 60


async def test_nobody_else_has_to_wait(place: World) -> None:
    """Not another account at this address, nor this account's owner at another one."""
    assert await attempts(place, 4) == [401, 401, 401, 429]
    assert await attempt(place, "good", name="bob") == 200
    assert await attempt(place, "good", address=ABROAD) == 200


async def test_spellings_of_an_account_are_one(place: World) -> None:
    """Neither case nor blanks nor accents make another account."""
    for name in ("alice", " ALICE ", "ａｌｉｃé"):
        assert await attempt(place, name=name) == 401
    assert await attempt(place, "good", name="alice") == 429


async def test_a_window_ends(redis: RedisServer) -> None:
    """It begins with the first failure, and then all is forgotten."""
    async with world(redis.url, guessing={**RULES, "window": "1s"}) as place:
        place.backend.answer = judge
        assert await attempts(place, 4) == [401, 401, 401, 429]
        await asyncio.sleep(1.1)
        assert await attempt(place, "good") == 200


async def test_a_success_sets_the_count_back(place: World) -> None:
    """A client that knows the password does not guess."""
    for _ in range(3):
        assert await attempts(place, 2) == [401, 401]
        assert await attempt(place, "good") == 200
    assert await attempts(place, 4) == [401, 401, 401, 429]


async def test_an_account_is_guarded_for_each_login(redis: RedisServer) -> None:
    """A name at one login may be another user's at the next: a success here forgives nothing there.
    Each login may have its own rules, or none.
    """
    kinds = {"kind": "backend", "upstream": "accounts", "backend_path": "/in"}
    logins = [
        {**kinds, "path": "/one"},
        {**kinds, "path": "/two"},
        {**kinds, "path": "/own", "guessing": {"per_account": 1}},
        {**kinds, "path": "/off", "guessing": False},
    ]
    async with world(redis.url, guessing=RULES, login=logins) as place:
        place.backend.answer = judge
        assert await attempts(place, 3, path="/one") == [401] * 3
        assert await attempt(place, "good", path="/two") == 200
        assert await attempt(place, "good", path="/one") == 429
        assert await attempts(place, 2, path="/own") == [401, 429]
        assert await attempts(place, 20, path="/off") == [401] * 20


async def test_off_is_off(redis: RedisServer) -> None:
    """Then nothing is counted, and nothing is kept."""
    async with world(redis.url, guessing="off") as place:
        place.backend.answer = judge
        assert await attempts(place, 20) == [401] * 20
        assert await attempt(place, "good") == 200
        assert names(redis, place, "f:") == []


@pytest.mark.parametrize(
    "reply",
    [
        answer({"detail": "no"}, 400),
        answer({"detail": "no"}, 403),
        answer({"detail": "no"}, 404),
        answer({"detail": "no"}, 422),
        web.Response(status=302, headers={"Location": "/login?error"}),
        answer({"error": "wrong password"}),
        answer(b"x", Content_Encoding="unheard-of"),
    ],
)
async def test_ways_to_say_no(place: World, reply: web.Response) -> None:
    """Any 4xx, a redirect that hands out no token, and a reply that could be used for nothing."""
    place.backend.answer = reply
    assert 429 not in await attempts(place, 3)
    assert await attempt(place) == 429


async def test_every_kind_of_login_is_guarded(redis: RedisServer, tmp_path: Path) -> None:
    """The gateway's own users, and those of a backend that leaves the token to the gateway."""
    users = write(tmp_path / "users.json", alice=user("good"))
    mint = {"upstream": "accounts", "claims": {"sub": "/token"}}
    logins = [
        {"kind": "users", "path": "/users", "file": str(users)},
        {"kind": "mint", "path": "/mint", **mint},
    ]
    async with world(redis.url, guessing=RULES, login=logins, signing=signing()) as place:
        place.backend.answer = judge
        for path in ("/users", "/mint"):
            assert await attempts(place, 2, path=path) == [401, 401]
            assert await attempt(place, "good", path=path) == 200
            assert await attempts(place, 4, path=path) == [401, 401, 401, 429]
            assert await attempt(place, "good", path=path) == 429


async def test_a_backend_that_cannot_say_does_not_count(place: World) -> None:
    """5xx, or no server: a client that may be right does not wait."""
    place.backend.answer = answer({"detail": "broken"}, 503)
    assert await attempts(place, 6) == [503] * 6
    place.backend.answer = judge
    assert await attempts(place, 4) == [401, 401, 401, 429]


async def test_a_backend_that_breaks_down_counts_for_the_account(redis: RedisServer) -> None:
    """A guesser may know what breaks it wherever a password is wrong. So an account has as many
    such attempts as guessers from everywhere have; its address is not kept out, nor another's.
    """

    async def break_down(asked: Asked) -> web.StreamResponse:
        is_good = json.loads(asked.body)["password"] == "good"
        return await judge(asked) if is_good else web.Response(status=500)

    async with world(redis.url, guessing={**RULES, "per_account_everywhere": 5}) as place:
        place.backend.answer = break_down
        assert await attempts(place, 7) == [500] * 5 + [429] * 2
        assert await attempt(place, "good", address=ABROAD) == 429
        assert await attempt(place, name="bob") == 500
        assert await attempt(place, "good", name="bob") == 200


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_backend_that_closes_counts_for_the_account(
    redis: RedisServer, answered: bytes
) -> None:
    """Before its answer or in the middle of it: something of the request made it do so."""
    server = Upstream()

    def close(visit: Visit) -> None:
        visit.request()
        visit.send(answered)
        visit.close()

    server.answer = close
    rules = {**RULES, "per_account_everywhere": 5}
    try:
        async with world(redis.url, guessing=rules, upstreams={"accounts": server.url}) as place:
            assert await attempts(place, 7) == [502] * 5 + [429] * 2
            assert await attempt(place, name="bob") == 502
    finally:
        server.stop()


async def test_a_backend_that_is_away_does_not_count(redis: RedisServer) -> None:
    """Neither does one that does not answer in time."""
    away = {"upstreams": {"accounts": f"http://127.0.0.1:{free_port()}"}}
    async with world(redis.url, guessing=RULES, timeouts={"connect": 0.1}, **away) as place:
        assert await attempts(place, 6) == [502] * 6


async def test_a_preflight_is_no_attempt(place: World) -> None:
    """A browser's question is the backend's to answer, however often it comes."""
    place.backend.answer = answer({"detail": "no"}, 403)
    for _ in range(6):
        assert (await place.ask("OPTIONS", "/login", Access_Control_Request_Method="POST"))[
            0
        ] == 403


GUESS = json.dumps({"username": "alice", "password": "good"}).encode()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_preflight_with_a_body_is_refused(place: World, chunked: bool) -> None:
    """A backend that takes any method for a login would decide on a guess that nothing counts."""

    async def pieces() -> AsyncIterator[bytes]:
        yield GUESS

    place.backend.answer = judge
    async with place.client.options(
        f"{place.url}/login",
        data=pieces() if chunked else GUESS,
        headers={"Access-Control-Request-Method": "POST"},
    ) as answered:
        assert answered.status == 400
    assert place.backend.asked == []


async def test_nothing_in_a_preflight_can_be_a_guess(place: World) -> None:
    """The backend gets what browsers and proxies put into one, and nothing else: no query, no
    credentials, no field that makes another method of it.
    """
    place.backend.answer = answer({})
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
        "Access-Control-Request-Private-Network": "true",
        "X-Forwarded-Proto": "https",
        "X-Request-Id": "r1",
    }
    typed = {
        "Authorization": "Basic YWxpY2U6Z29vZA==",
        "Cookie": "username=alice; password=good",
        "X-HTTP-Method-Override": "POST",
        "X-Auth-User": "alice",
        "X-Auth-Key": "good",
        "Content-Type": "application/json",
    }
    fields = {name.replace("-", "_"): value for name, value in {**asked, **typed}.items()}
    target = "/login?username=alice&password=good"
    assert (await place.ask("OPTIONS", target, **fields))[0] == 200
    got = place.backend.last
    assert (got.method, got.target, got.body) == ("OPTIONS", "/backend/login", b"")
    assert asked.items() <= got.headers.items()
    assert not {name.lower() for name in typed} & {name.lower() for name in got.headers}


async def test_options_that_ask_for_nothing_are_refused(place: World) -> None:
    """Without the field of a preflight it is none, and its method logs no user in."""
    place.backend.answer = judge
    assert (await place.ask("OPTIONS", "/login", GUESS))[0] == 405
    assert place.backend.asked == []


async def test_a_refusal_is_reported(place: World) -> None:
    """Without what was typed."""
    await attempts(place, 4)
    assert place.events[-1].reason == "too_many_attempts"
    assert place.events[-1] == Event(
        "login_failed",
        address=HOME,
        device="Unknown device",
        reason="too_many_attempts",
        request_id=place.events[-1].request_id,
    )
    assert [refusal.reason for refusal in place.refused] == ["too_many_attempts"]


# Growing waits.


async def test_waits_grow_and_are_told(redis: RedisServer) -> None:
    """They double up to the longest one; each is over when it says so. A success ends them."""
    rules = {"per_account": 50, "delay_after": 2, "delay": 100, "longest_delay": 300}
    async with world(redis.url, guessing=rules) as place:
        place.backend.answer = judge
        assert await attempts(place, 4) == [401, 401, 429, 429]
        for longest in (100, 200, 300, 300):
            told = await retry_after(place)
            assert longest - 100 < told <= longest
            [left] = _waits(redis, place)
            assert told - HANG < left <= told
            _time_passes(redis, place)
            assert await attempt(place) == 401
        assert len(place.backend.asked) == 6
        _time_passes(redis, place)
        assert await attempt(place, "good") == 200
        assert await attempts(place, 3) == [401, 401, 429]


async def test_who_waits_is_not_counted(redis: RedisServer) -> None:
    """A client that asks again and again does not make it longer."""
    rules = {"delay_after": 1, "delay": 100, "longest_delay": 1000, "per_account": 50}
    async with world(redis.url, guessing=rules) as place:
        place.backend.answer = judge
        assert await attempts(place, 20) == [401] + [429] * 19
        assert await retry_after(place) <= 100


def _waits(redis: RedisServer, place: World) -> list[float]:
    """How long the waits still last in the store (seconds)."""
    with redis.client() as client:
        return [client.pttl(name) / 1000 for name in names(redis, place, "f:wait/")]


def _time_passes(redis: RedisServer, place: World) -> None:
    with redis.client() as client:
        for name in names(redis, place, "f:wait/"):
            client.delete(name)


# Floods.


async def flood(place: World, **by_number: Any) -> list[int]:
    """200 attempts at once, at a backend that takes its time; the text may hold the number."""

    async def slow(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return await judge(asked)

    place.backend.answer = slow
    return await asyncio.gather(
        *(
            attempt(place, **{name: text.format(number) for name, text in by_number.items()})
            for number in range(200)
        )
    )


@pytest.mark.parametrize(
    ("rules", "by_number", "most"),
    [
        ({"per_account": 7}, {}, 7),
        ({"per_account_everywhere": 9}, {"address": "192.0.2.{}"}, 9),
        ({"per_account_everywhere": 9}, {"address": "2001:db8:0:{}::1"}, 9),
        ({"per_address": 11}, {"name": "user-{}"}, 11),
        ({"per_address": 11, "per_account": 0}, {"address": "2001:db8::{}"}, 11),
        ({"per_address": 1}, {"name": "user-{}", "address": "2001:db8:0:{}::1"}, 10),
        ({"in_all": 13}, {"name": "user-{}", "address": "192.0.2.{}"}, 13),
    ],
)
async def test_a_flood(
    redis: RedisServer, rules: dict[str, int], by_number: dict[str, str], most: int
) -> None:
    """However many come at once, no more reach the backend than may fail, and no less in the end:
    those that have to wait are not counted.
    """
    rules = {"delay_after": 0, **rules}
    async with world(redis.url, guessing=rules) as place:
        statuses = await flood(place, **by_number)
        assert set(statuses) == {401, 429}
        assert len(place.backend.asked) == statuses.count(401) <= most
        by_number = {name: text.format(1) for name, text in by_number.items()}
        await attempts(place, most, **by_number)
        assert len(place.backend.asked) == most


async def test_after_some_failures_there_is_one_attempt_at_a_time(redis: RedisServer) -> None:
    """Of those that come at once when a wait is over, one reaches the backend."""
    rules = {"per_account": 50, "delay_after": 2, "delay": 100, "longest_delay": 1000}
    async with world(redis.url, guessing=rules) as place:
        place.backend.answer = judge
        assert await attempts(place, 3) == [401, 401, 429]
        _time_passes(redis, place)
        assert sorted(await flood(place)) == [401] + [429] * 199
        assert 100 < await retry_after(place) <= 200


async def test_many_right_logins_at_once(redis: RedisServer) -> None:
    """They take the room that failures would: who finds none comes again a moment later. When they
    have succeeded, nothing is left of them.
    """
    async with world(redis.url, guessing=RULES) as place:

        async def slow(asked: Asked) -> web.StreamResponse:
            await asyncio.sleep(0.2)
            return await judge(asked)

        place.backend.answer = slow
        body = json.dumps({"username": "alice", "password": "good"}).encode()
        got = await asyncio.gather(
            *(place.ask("POST", "/login", body, X_Real_IP=HOME) for _ in range(20))
        )
        assert {status for status, _, _ in got} == {200, 429}
        assert {fields["Retry-After"] for status, fields, _ in got if status == 429} == {"1"}
        assert names(redis, place, "f:") == []
        assert await attempts(place, 4) == [401, 401, 401, 429]
        assert await retry_after(place) > 1


async def test_what_is_kept_of_a_flood_is_bounded(redis: RedisServer) -> None:
    """Accounts that are made up fill no store: what has to wait leaves nothing, and names of any
    length are kept as digests that end by themselves.
    """
    async with world(redis.url, guessing={**RULES, "per_address": 5}) as place:
        place.backend.answer = judge
        long = "x" * 4000
        got = [await attempt(place, name=f"{number}{long}") for number in range(40)]
        assert got == [401] * 5 + [429] * 35
        kept = [*names(redis, place, "f:"), *names(redis, place, "k:"), *names(redis, place, "t:")]
        assert len(kept) <= 5 * 5 + 4
        assert max(map(len, kept)) < 150
        with redis.client() as client:
            assert all(0 < client.ttl(name) <= 60 for name in kept)


# Many passwords in one request.

LOGIN = 'login(username: "{}", password: "{}") {{ token }}'


def document(*guesses: tuple[str, str]) -> str:
    """A document of GraphQL that tries each name with its password."""
    fields = (f"a{n}: {LOGIN.format(*guess)}" for n, guess in enumerate(guesses))
    return f"mutation {{ {' '.join(fields)} }}"


MANY = [("alice", f"guess {number}") for number in range(4)]
BATCH = json.dumps([{"username": name, "password": password} for name, password in MANY])
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (json.dumps({"query": document(*MANY)}), {}),
        (json.dumps([{"query": document(guess)} for guess in MANY]), {}),
        (urlencode({"query": document(*MANY)}), {"Content_Type": FORM}),
        (document(*MANY), {"Content_Type": "application/graphql"}),
        (BATCH, {}),
        (BATCH.replace("p", "\\u0070"), {}),
        (BATCH + " " * 20_000, {}),
        (gzip.compress(BATCH.encode(), mtime=0), {"Content_Encoding": "gzip"}),
        (b"whatever", {"Content_Encoding": "unheard-of"}),
        (b"", {"target": "/login?" + "&".join(f"username=alice&password={n}" for n in range(4))}),
    ],
)
async def test_each_password_in_a_request_is_a_guess(
    place: World, body: str | bytes, fields: dict[str, str]
) -> None:
    """In a batch, under aliases, in any format and coding: more than may fail never reach the
    backend, and neither does what cannot be read.
    """
    fields = {"Content_Type": "application/json", "X_Real_IP": HOME, **fields}
    target = fields.pop("target", "/login")
    sent = body.encode() if isinstance(body, str) else body
    status, _, _ = await place.ask("POST", target, sent, **fields)
    assert (status, place.backend.asked) == (429, [])


async def test_some_passwords_in_a_request_are_as_many_guesses(place: World) -> None:
    """They count each."""
    place.backend.answer = answer({"errors": ["no"]})
    two = json.dumps({"query": document(*MANY[:2])}).encode()
    for expected in (200, 429):
        status, _, _ = await place.ask("POST", "/login", two, X_Real_IP=HOME)
        assert status == expected
    assert len(place.backend.asked) == 1


async def test_a_success_beside_guesses_forgives_nothing(redis: RedisServer) -> None:
    """A guesser logs in to its own account in the same request: what else it tried, has failed.

    Under an alias, a token has to be verified.
    """
    login = {"kind": "backend", "path": "/login", "upstream": "accounts"}
    verified = {**login, "verify": {"secret": SIGNING_SECRET}}
    query = document(("alice", "guess"), ("mallory", "good"))
    sent = json.dumps({"query": query}).encode()
    async with world(redis.url, guessing=RULES, login=verified) as place:
        place.backend.answer = answer({"data": {"a0": None, "a1": {"token": token_of("mallory")}}})
        for expected in (200, 429):
            status, _, _ = await place.ask("POST", "/login", sent, X_Real_IP=HOME)
            assert status == expected


async def test_a_password_and_a_code_are_one_guess(place: World) -> None:
    """Each field is there once."""
    assert await attempts(place, 3, otp="123456") == [401, 401, 401]
    assert await attempt(place, "good", otp="123456") == 429


# Strangers.


async def test_strangers_cannot_keep_the_owner_out(redis: RedisServer) -> None:
    """However many addresses they have: a network from which the owner has logged in before still
    may. From others, an account at which many guess has to wait.
    """
    rules = {**RULES, "per_account_everywhere": 5}
    async with world(redis.url, guessing=rules) as place:
        place.backend.answer = judge
        assert await attempt(place, "good", address=HOME) == 200
        failed = [await attempt(place, address=f"198.51.100.{n}") for n in range(8)]
        assert failed == [401] * 5 + [429] * 3
        assert await attempt(place, "good", address=ABROAD) == 429
        assert await attempt(place, "good", address=HOME) == 200
        assert await attempts(place, 4, address=HOME) == [401, 401, 401, 429]
        assert await attempt(place, "good", name="bob", address="198.51.100.1") == 200


async def test_a_success_forgives_its_own_failures_only(redis: RedisServer) -> None:
    """A guesser has an account, too: logging in to it sets nothing else back."""
    async with world(redis.url, guessing={**RULES, "per_address": 6}) as place:
        place.backend.answer = judge
        for number in range(6):
            assert await attempt(place, name=f"victim-{number}") == 401
            assert await attempt(place, "good", name="guesser") == (200 if number < 5 else 429)
        assert await attempt(place, name="another") == 429
        assert await attempt(place, name="another", address=ABROAD) == 401


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{'username': 'alice', 'password': 'bad'}", {}),
        (b"<login><name>alice</name></login>", {"Content_Type": "text/xml"}),
        (b'{"username": {"$eq": "alice"}, "password": "bad"}', {}),
        (b"\x1f\x8b", {"Content_Encoding": "gzip"}),
        (b'{"username": "%b"}' % (b"x" * 9000), {}),
    ],
)
async def test_a_decoy_in_the_query_hides_nothing(
    place: World, body: bytes, fields: dict[str, str]
) -> None:
    """A body that can be read in another way, or not at all, may name another account."""
    place.backend.answer = answer({"detail": "no"}, 401)
    sent = {"X_Real_IP": HOME, "Content_Type": "application/json", **fields}
    for number, expected in enumerate([401, 401, 401, 429]):
        target = f"/login?username=decoy-{number}"
        assert (await place.ask("POST", target, body, **sent))[0] == expected


async def test_spellings_of_a_mail_address_are_one_account(redis: RedisServer) -> None:
    """Over many addresses as well, where nothing else would stop who has those."""
    async with world(redis.url, guessing={**RULES, "per_account_everywhere": 5}) as place:
        place.backend.answer = judge
        names = [f"al.ice+{number}@Mail.example." for number in range(7)]
        got = [await attempt(place, name=name, address=f"192.0.2.{name[7]}") for name in names]
        assert got == [401] * 5 + [429] * 2


LOOKALIKES = [
    ("alice", "álice"),
    ("Alice@a.example", "al.ice+1@a.example"),
    ("a\u200blice", "ALICE"),
]


@pytest.mark.parametrize(("victim", "own"), LOOKALIKES)
async def test_an_account_of_nearly_the_same_name_forgives_nothing(
    place: World, victim: str, own: str
) -> None:
    """A backend may tell apart what the counts do not. So a guesser who owns an account of nearly
    the same name sets back nothing by logging in to it.
    """
    for _ in range(2):
        assert await attempt(place, name=victim) == 401
        assert await attempt(place, "good", name=own) == 200
    assert await attempts(place, 2, name=victim) == [401, 429]


async def test_an_account_of_nearly_the_same_name_ends_no_wait(redis: RedisServer) -> None:
    """It had to wait as well, and has its turn; then the next attempt has to wait."""
    async with world(redis.url, guessing={"delay_after": 2, "per_account": 50}) as place:
        place.backend.answer = judge
        assert await attempts(place, 2) == [401, 401]
        _time_passes(redis, place)
        assert await attempt(place, "good", name="álice") == 200
        assert await attempt(place) == 429


async def test_an_account_of_nearly_the_same_name_makes_no_address_known(
    redis: RedisServer,
) -> None:
    """Else each of many addresses would log in to it once, and then guess as often as it likes."""
    async with world(redis.url, guessing={**RULES, "per_account_everywhere": 5}) as place:
        place.backend.answer = judge
        got = []
        for number in range(7):
            address = f"198.51.100.{number}"
            assert await attempt(place, "good", name="álice", address=address) in (200, 429)
            got.append(await attempt(place, address=address))
        assert got == [401] * 5 + [429] * 2


async def test_a_decoy_hides_nothing(place: World) -> None:
    """Beside other names, the one that is meant counts all the same. A success of an unclear
    account forgives nothing, and does not make the address a known one.
    """
    for number in range(3):
        assert await attempt(place, email=f"decoy-{number}") == 401
    assert await attempt(place, "good", email="decoy") == 429
    assert await attempts(place, 2, name="victim") == [401, 401]
    assert await attempt(place, "good", name="guesser", email="victim") == 200
    assert await attempts(place, 2, name="victim") == [401, 429]


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({}, {"Content_Encoding": "gzip"}),
        ({}, {"Content_Type": "application/json; charset=euc-kr"}),
        ({"decoys": [{"username": f"decoy-{n}"} for n in range(9)]}, {}),
        ({"decoy": "x" * 9000}, {}),
    ],
)
async def test_where_the_gateway_reads_the_name_nothing_hides_it(
    redis: RedisServer, tmp_path: Path, more: dict[str, Any], fields: dict[str, str]
) -> None:
    """At the gateway's own users, an attempt counts for the user who could log in by it: from many
    addresses together, in any disguise, and whatever `account` names.
    """
    users = write(tmp_path / "users.json", alice=user("good"))
    login = {"kind": "users", "path": "/login", "file": str(users)}
    rules = {**RULES, "per_account_everywhere": 4, "account": "badge"}
    async with world(redis.url, guessing=rules, login=login, signing=signing()) as place:
        got = []
        for number in range(6):
            body = json.dumps({"username": "alice", "password": "bad", **more}).encode()
            sent = {"X_Real_IP": f"198.51.100.{number}", "Content_Type": "application/json"}
            got.append((await place.ask("POST", "/login", body, **{**sent, **fields}))[0])
        assert got == [401] * 4 + [429] * 2
        assert await attempt(place, name="bob", address="198.51.100.1") == 401


async def test_hiding_the_name_gains_nothing(place: World) -> None:
    """Attempts of which no name can be read are attempts at one account."""
    place.backend.answer = answer({"detail": "no"}, 401)
    for number, expected in enumerate([401, 401, 401, 429]):
        body = b"who-%d" % number
        assert (await place.ask("POST", "/login", body, X_Real_IP=HOME))[0] == expected


async def test_clients_without_an_address(redis: RedisServer) -> None:
    """Over a unix socket all clients are alike: failures count for an account only."""
    async with world(redis.url, guessing={**RULES, "per_address": 5}) as place:
        place.backend.answer = judge
        for number in range(8):
            assert await attempt(place, name=f"user-{number}", address="unknown") == 401
        assert await attempts(place, 4, address="unknown") == [401, 401, 401, 429]


# What the store has to do with it.


async def test_without_the_store_nobody_passes(tmp_path: Path) -> None:
    """While counts cannot be kept, no client may guess."""
    with redis_server(tmp_path) as own:
        async with world(own.url, guessing=RULES) as place:
            place.backend.answer = judge
            assert await attempt(place, "good") == 200
            own.stop()
            assert await attempt(place, "good") == 503
            assert len(place.backend.asked) == 1
            assert place.events[-1].reason == "store_unavailable"
            own.start()
            assert await attempt(place, "good") == 200


async def test_two_gateways_share_the_counts(redis: RedisServer) -> None:
    """By their store, whichever is asked."""
    async with backend() as server:
        server.answer = judge
        shared = {
            "guessing": RULES,
            "store": {"url": redis.url, "prefix": "shared:"},
            "upstreams": {"accounts": server.url},
        }
        async with world(redis.url, **shared) as one, world(redis.url, **shared) as two:
            statuses = [await attempt(place) for place in (one, two, one, two, one)]
            assert statuses == [401, 401, 401, 429, 429]
            assert await attempt(two, "good", name="bob") == 200


async def test_the_store_learns_nothing_of_what_was_typed(
    redis: RedisServer, place: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither names nor passwords nor addresses, in names or in values; nor does the log. Whatever
    is kept ends by itself.
    """
    await attempts(place, 4, "a-bad-secret", name="Wilhelmina", address="203.0.113.77")
    await attempt(place, "good", name="ottoline", address="203.0.113.77")
    kept = names(redis, place, "f:") + names(redis, place, "k:")
    assert len(kept) >= 4
    with redis.client() as client:
        held = b"\n".join([*kept, *(client.get(name) or b"" for name in kept)]).lower()
        assert all(client.pttl(name) > 0 for name in kept)
    log = caplog.text.lower().encode()
    for typed in (b"wilhelmina", b"ottoline", b"a-bad-secret", b"203.0.113"):
        assert typed not in held
        assert typed not in log

"""`kind: users`: a file says who may log in, and the gateway mints the token."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher

from gateway.config import users_file
from gateway.core.logins import passwords
from gateway.store.renewals import RenewalFailed, RenewalRefused
from tests.support.endpoints import World, count, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, cheap_hash, user, write

JSON = {"Content_Type": "application/json"}
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
STRONG = passwords.hashed(PASSWORD, b"0123456789abcdef")

# Takes as much memory as one of today, 64 MiB, and a third of the time.
LARGE = PasswordHasher(time_cost=1, memory_cost=2**16, parallelism=1).hash(PASSWORD)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Alice is an admin and Bob is not; their hashes are out of date."""
    return write(tmp_path / "users.json", alice=user(role="admin"), bob=user("builder's"))


@pytest.fixture
async def place(redis: RedisServer, file: Path) -> AsyncIterator[World]:
    async with world(redis.url, **sections(file)) as built:
        yield built


def sections(file: Path, **login: Any) -> dict[str, Any]:
    section = {"kind": "users", "path": "/login", "file": str(file), **login}
    return {"signing": signing(), "login": section}


def body(name: Any = "alice", password: Any = PASSWORD) -> bytes:
    return json.dumps({"username": name, "password": password}).encode()


async def log_in(place: World, name: str = "alice", password: str = PASSWORD) -> str:
    status, _, answered = await place.ask("POST", "/login", body(name, password), **JSON)
    assert status == 200, answered
    return str(json.loads(answered)["token"])


async def refusal(place: World, sent: bytes, **fields: str) -> tuple[int, str]:
    status, _, answered = await place.ask("POST", "/login", sent, **(fields or JSON))
    assert await count(place) == 0, "nothing is issued"
    return status, json.loads(answered)["reason"]


def said(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


async def test_a_user_gets_a_key(place: World) -> None:
    """And upstreams a token that says what the file does."""
    status, headers, answered = await place.ask("POST", "/login", body(), **JSON)
    data = json.loads(answered)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["Cache-Control"] == "no-store"
    assert (data["token_type"], 43_100 < data["expires_in"] <= 43_200) == ("Bearer", True)
    session = (await place.resolved(data["token"])).session
    payload = said(session.token.reveal())
    assert (session.subject, payload["sub"], payload["role"]) == ("alice", "alice", "admin")
    assert await log_in(place, "bob", "builder's") != data["token"]
    assert place.backend.asked == []


async def test_a_form(place: World) -> None:
    """A program's form gets JSON; a browser's a cookie and the way back, on this site only."""
    plain = b"username=alice&password=wonderland"
    sent = plain + b"&return_to=%2Fdevices%3Fa%3D1"
    status, _, answered = await place.ask("POST", "/login", sent, **FORM)
    assert status == 200
    assert await place.is_known(json.loads(answered)["token"])
    browser = {**FORM, "Accept": "text/html", "Sec_Fetch_Site": "same-origin"}
    for target, given, expected in (
        ("/login", sent, "/devices?a=1"),
        ("/login?return_to=/here", plain, "/here"),
        ("/login", plain, "/"),
        ("/login", plain + b"&return_to=//evil.example", "/"),
        ("/login?return_to=https://evil.example", plain, "/"),
    ):
        status, headers, answered = await place.ask("POST", target, given, **browser)
        assert (status, headers["Location"], answered) == (303, expected, b"")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert await place.is_known(cookie.partition("=")[2].partition(";")[0])


async def test_a_script_may_ask_for_the_cookie(place: World) -> None:
    """Then there is no key where it could read it."""
    status, headers, answered = await place.ask(
        "POST", "/login", body(), X_Requested_With="cookie", Sec_Fetch_Site="same-origin", **JSON
    )
    assert (status, answered) == (204, b"")
    assert headers["Set-Cookie"].startswith("latchkey=lk_")


async def test_another_sites_form_logs_nobody_in(place: World) -> None:
    """CWE-352: a visitor would act as another user unknowingly."""
    fields = {**FORM, "Accept": "text/html", "Sec_Fetch_Site": "cross-site"}
    status, _, _ = await place.ask(
        "POST", "/login", b"username=alice&password=wonderland", **fields
    )
    assert (status, await count(place)) == (403, 0)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("alice", "builder's"),
        ("alice", "x" * 10_000),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("ALICE", PASSWORD),
        ("alice ", PASSWORD),
        ("x" * 10_000, "y"),
        ("alice\x00", PASSWORD),
    ],
)
async def test_wrong_logins_are_told_alike(place: World, name: str, password: str) -> None:
    """401 with one reason, whichever of the two was wrong (CWE-204)."""
    status, headers, answered = await place.ask("POST", "/login", body(name, password), **JSON)
    problem = json.loads(answered)
    assert (status, problem["reason"]) == (401, "wrong_login")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["WWW-Authenticate"] == 'Bearer realm="latchkey"'
    assert set(problem) == {"type", "title", "status", "reason"}
    assert await count(place) == 0


async def test_people_read_it_on_a_page(place: World) -> None:
    """In their language."""
    fields = {**FORM, "Accept": "text/html", "Sec_Fetch_Site": "same-origin"}
    for language, words in (("en", "The name or the password is wrong"), ("ko", "비밀번호가")):
        status, _, answered = await place.ask(
            "POST", "/login", b"username=alice&password=wrong", Accept_Language=language, **fields
        )
        assert status == 401
        assert words in answered.decode()


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b'{"username": "alice"}', "application/json"),
        (b'{"username": ["alice"], "password": "wonderland"}', "application/json"),
        (b'{"username": "x", "username": "alice", "password": "wonderland"}', "application/json"),
        (b'{"username": "alice", "password": "\xff"}', "application/json"),
        (b'{"username": "alice", "password": "wonderland"}', "text/plain"),
        (b"username=x&username=alice&password=wonderland", FORM["Content_Type"]),
        (b"username=alice&password=%ff", FORM["Content_Type"]),
    ],
)
async def test_bodies_that_are_no_login(place: World, sent: bytes, kind: str) -> None:
    """400: an unclear form is refused."""
    assert await refusal(place, sent, Content_Type=kind) == (400, "bad_login")


async def test_a_huge_body_and_other_methods(place: World) -> None:
    """413, and 405 with what is served."""
    assert await refusal(place, body("x" * 20_000)) == (413, "body_too_large")
    for method in ("GET", "PUT", "DELETE"):
        status, headers, _ = await place.ask(method, "/login")
        assert (status, headers["Allow"]) == (405, "POST")
    status, _, answered = await place.ask(
        "OPTIONS", "/login", Origin="https://a.example", Access_Control_Request_Method="POST"
    )
    assert (status, answered) == (204, b"")


async def test_a_name_is_spelled_as_on_any_keyboard(place: World, file: Path) -> None:
    """A Mac may send Hangul in parts."""
    write(file, 홍길동=user())
    assert (
        await place.resolved(await log_in(place, "\u1112\u1169\u11bc길동"))
    ).session.subject == ("홍길동")


async def test_the_file_is_followed(place: World, file: Path) -> None:
    """Who is added can log in, who is removed cannot; what is broken changes nothing."""
    write(file, alice=user(), carol=user())
    await log_in(place, "carol")
    status, _, _ = await place.ask("POST", "/login", body("bob", "builder's"), **JSON)
    assert status == 401
    file.write_text("{")
    await log_in(place, "carol")
    file.unlink()
    await log_in(place, "carol")


async def test_without_a_file(redis: RedisServer, tmp_path: Path) -> None:
    """503: no password can be called wrong. A file is read as soon as there is one."""
    file = tmp_path / "users.json"
    async with world(redis.url, **sections(file)) as place:
        assert await refusal(place, body()) == (503, "users_unavailable")
        write(file, alice=user())
        await log_in(place)


async def test_a_hash_of_the_past_is_renewed_by_a_login(place: World, file: Path) -> None:
    """With the parameters of today, for the one who logs in; a wrong password renews nothing."""
    before = file.read_text()
    await place.ask("POST", "/login", body("alice", "wrong"), **JSON)
    assert file.read_text() == before
    await log_in(place)
    users = users_file.read(file)
    assert passwords.is_current(users["alice"].hash)
    assert users["bob"].hash == cheap_hash("builder's")
    assert users["alice"].claims == {"role": "admin"}
    renewed = file.read_text()
    await log_in(place)
    assert file.read_text() == renewed


async def test_a_file_that_cannot_be_written(
    place: World, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The login succeeds all the same, and the log says so without the hash."""
    await log_in(place, "bob", "builder's")
    file.write_text("{")
    await log_in(place)
    assert "cannot be renewed: BrokenFile" in caplog.text
    assert "$argon2id" not in caplog.text


async def test_timing_tells_nothing_of_names(redis: RedisServer, tmp_path: Path) -> None:
    """A name that is not known takes as much work as a wrong password; else it would take a
    thousandth of that. What counts is CPU time, which tells the same on a busy machine.
    """
    file = write(tmp_path / "users.json", alice={"hash": STRONG})
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    async with world(redis.url, **sections(file, guessing="off")) as place:
        for _ in range(7):
            for name, times in took.items():
                began = time.process_time()
                await place.ask("POST", "/login", body(name, "wrong"), **JSON)
                times.append(time.process_time() - began)
    known, unknown = map(statistics.median, took.values())
    assert 1 / 3 < known / unknown < 3


async def test_a_flood_of_logins(redis: RedisServer, tmp_path: Path) -> None:
    """A few are verified at a time, some wait, the others are told to come again; and whatever
    else is asked meanwhile is answered.
    """
    file = write(tmp_path / "users.json", alice={"hash": LARGE})
    async with world(redis.url, **sections(file, guessing="off")) as place:

        async def attempt() -> int:
            status, headers, _ = await place.ask("POST", "/login", body("alice", "no"), **JSON)
            assert status != 503 or int(headers["Retry-After"]) > 0
            return status

        before = peak = resident()
        flood = [asyncio.create_task(attempt()) for _ in range(70)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        assert (await place.ask("GET", "/.well-known/jwks.json"))[0] == 200
        assert not all(login.done() for login in flood)
        while not all(login.done() for login in flood):
            peak = max(peak, resident())
            await asyncio.sleep(0.005)
        assert 60 < peak - before < 2 * 64 + 32, "two at a time, and what else a flood takes"
        answers = await asyncio.gather(*flood)
        assert answers.count(401) == 52
        assert answers.count(503) == 18
        assert await log_in(place)


TRIED = (401, "wrong_login")


async def flood(
    place: World, name: str, address: str, answers: list[tuple[int, str]] | None = None
) -> list[tuple[int, str]]:
    """200 wrong passwords at once: what each was answered, also in `answers`, as it comes. Either
    text may hold the number.
    """
    told = [] if answers is None else answers

    async def attempt(number: int) -> None:
        sent = body(name.format(number), "no")
        fields = {**JSON, "X_Real_IP": address.format(number)}
        status, headers, answered = await place.ask("POST", "/login", sent, **fields)
        assert status == 401 or int(headers["Retry-After"]) > 0
        told.append((status, json.loads(answered)["reason"]))

    await asyncio.gather(*map(attempt, range(200)))
    return told


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("user-{}", "198.51.100.1"),
        ("user-{}", "2001:db8:0:{}::1"),
        ("alice", "198.51.100.{}"),
    ],
)
async def test_no_client_takes_all_the_turns(
    redis: RedisServer, tmp_path: Path, name: str, address: str
) -> None:
    """Who comes in numbers, from one address or for one account, is told to come again; another
    account's owner at another address has only a few of them before, and is never told so.
    """
    file = write(tmp_path / "users.json", alice={"hash": STRONG}, bob={"hash": STRONG})
    async with world(redis.url, **sections(file, guessing="off")) as place:
        answers: list[tuple[int, str]] = []
        flooding = asyncio.create_task(flood(place, name, address, answers))
        while not place.refused:
            await asyncio.sleep(0.01)
        before = answers.count(TRIED)
        status, _, _ = await place.ask("POST", "/login", body("bob"), **JSON, X_Real_IP="192.0.2.7")
        # Eight may wait before bob; on a busy machine, more come and go before he is heard. Without
        # turns, 50 would wait before him.
        assert status == 200
        assert answers.count(TRIED) - before <= 24
        assert set(await flooding) == {TRIED, (429, "too_many_at_once")}


async def test_who_had_to_wait_for_a_turn_has_not_guessed(
    redis: RedisServer, tmp_path: Path
) -> None:
    """The password was not checked, so it counts as no failure."""
    file = write(tmp_path / "users.json", alice={"hash": STRONG})
    rules = {"per_account": 300, "per_address": 300, "delay_after": 0}
    async with world(redis.url, **sections(file, guessing=rules)) as place:
        answers = await flood(place, "user-{}", "192.0.2.7")
        tried = answers.count(TRIED)
        assert 0 < tried < len(answers)
        prefix = f"{place.config.store.prefix}f:"
        with redis.client() as client:
            found = list(client.scan_iter(f"{prefix}*address/*"))
            assert [int(client.get(name)) for name in found] == [tried, tried]


def resident() -> float:
    """The memory that this process has, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_guesses_are_counted(redis: RedisServer, file: Path) -> None:
    """As those of every login; a success is no failure, and who has to wait learns nothing."""
    rules = {"per_account": 2, "delay_after": 9}
    async with world(redis.url, **sections(file, guessing=rules)) as place:
        await log_in(place)
        for expected in (401, 401, 429):
            status, _, _ = await place.ask("POST", "/login", body("alice", "guess"), **JSON)
            assert status == expected
        status, headers, _ = await place.ask("POST", "/login", body(), **JSON)
        assert status == 429
        assert int(headers["Retry-After"]) > 0
        await log_in(place, "bob", "builder's")


async def test_the_next_token_says_what_the_file_says_now(place: World, file: Path) -> None:
    """Claims that change come with the next token; who is removed gets none."""
    resolved = await place.resolved(await log_in(place))
    renew = place.sessions.renewals._logins["/login"]
    write(file, alice=user(role="guest"))
    renewed = await renew(resolved.session)
    assert said(renewed.token.reveal())["role"] == "guest"
    write(file, bob=user())
    with pytest.raises(RenewalRefused):
        await renew(resolved.session)


async def test_a_restart_with_a_broken_file_ends_no_session(
    redis: RedisServer, tmp_path: Path, place: World
) -> None:
    """While the file cannot be read, all users stay."""
    resolved = await place.resolved(await log_in(place))
    async with world(redis.url, **sections(tmp_path / "nowhere.json")) as restarted:
        with pytest.raises(RenewalFailed):
            await restarted.sessions.renewals._logins["/login"](resolved.session)


async def test_what_is_told_of_attempts(place: World, caplog: pytest.LogCaptureFixture) -> None:
    """Who logged in, and that a login failed; never what was typed."""
    await log_in(place)
    await place.ask("POST", "/login", body("my password", "hunter2hunter2"), **JSON)
    await place.ask("POST", "/login", b"{}", **JSON)
    told = [(event.kind, event.subject, event.reason) for event in place.events]
    assert told == [
        ("login", "alice", ""),
        ("login_failed", "", "wrong_login"),
        ("login_failed", "", "bad_login"),
    ]
    for typed in ("my password", "hunter2", PASSWORD):
        assert typed not in caplog.text + repr(place.events)

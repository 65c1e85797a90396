"""Two gateways on one store, before a backend that says whose token it got; and a load of users.

The load tells what must never happen, whatever happens to the store: an answer for another user, a
session that passes although its logout was answered 204, a user who is told to log in again, a
store that is away being anything but a 503 in time, a public route that fails.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.processes import HANG
from tests.support.serving import serving

TIMEOUT = 1.0  # the store's, in seconds
BOUND = 5.0  # within which every request is answered, in seconds

# How long a logout may take to be felt on the other gateway, in seconds: two timeouts, and as much
# for a slow machine.
FELT = 4 * TIMEOUT


# How many requests have been served when something happens to the store.
BUSY = 100


def sections(backend: str) -> dict[str, Any]:
    """What a gateway's configuration has beside its store."""
    return {
        "upstreams": {"shop": backend},
        "login": {"kind": "backend", "path": "/login", "upstream": "shop"},
        "routes": [
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    }


@dataclass
class Answer:
    """What came of a request."""

    status: int
    body: Any
    headers: Any
    seconds: float


@dataclass
class Pair:
    """The gateways, and what is asked of them. `at` is 0 or 1."""

    gateways: list[Gateway]
    client: aiohttp.ClientSession

    async def ask(self, at: int, method: str, path: str, key: str = "", **body: Any) -> Answer:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"http://127.0.0.1:{self.gateways[at].port}{path}"
        began = time.monotonic()
        async with self.client.request(method, url, headers=headers, json=body or None) as got:
            text = await got.read()
            said = json.loads(text) if "json" in got.content_type else text.decode()
            return Answer(got.status, said, got.headers, time.monotonic() - began)

    async def log_in(self, at: int, name: str) -> str:
        answer = await self.ask(at, "POST", "/login", username=name)
        assert answer.status == 200, answer
        return str(answer.body["token"])

    async def logged_in(self, at: int, name: str) -> str:
        """The same, as soon as the store answers in time, which a slow machine may delay."""
        until = time.monotonic() + HANG
        while (answer := await self.ask(at, "POST", "/login", username=name)).status == 503:
            assert time.monotonic() < until, answer
            await asyncio.sleep(0.1)
        assert answer.status == 200, answer
        return str(answer.body["token"])

    async def call(self, at: int, key: str) -> Answer:
        return await self.ask(at, "GET", "/api/me", key)

    async def log_out(self, at: int, key: str) -> int:
        return (await self.ask(at, "POST", "/logout", key)).status

    async def is_ready(self, at: int) -> bool:
        url = f"http://127.0.0.1:{self.gateways[at].admin_port}/readyz"
        async with self.client.get(url) as got:
            return got.status == 200

    async def recovered(self) -> None:
        """Waits until both gateways serve, and tell each other of a logout."""
        until = time.monotonic() + HANG
        while not (await self.is_ready(0) and await self.is_ready(1)):
            assert time.monotonic() < until, "the gateways never became ready"
            await asyncio.sleep(0.1)
        for at in (0, 1):
            key = await self.logged_in(at, "recovered")
            for number in (0, 1):
                await self.until(number, key, 200)
            assert await self.log_out(at, key) == 204
            await self.until(1 - at, key, 401)

    async def until(self, at: int, key: str, status: int) -> None:
        """Waits until a call has this status."""
        until = time.monotonic() + HANG
        while (answer := await self.call(at, key)).status != status:
            assert time.monotonic() < until, f"never {status}, but {answer}"
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def gateways(folder: Path, store: Any, backend: str, **changes: Any) -> Iterator[list[Gateway]]:
    """Two gateways with their own configurations of the same store."""
    if isinstance(store, str):
        store = {"url": store}
    store = {"timeout": TIMEOUT, **store}
    session = {"secrets": [SECRET], "clock_skew": 1}
    more = {**sections(backend), "session": session, **changes}
    with (
        gateway(folder / "one", store, **more) as one,
        gateway(folder / "two", store, **more) as two,
    ):
        yield [one, two]


@contextlib.asynccontextmanager
async def pair(running: list[Gateway]) -> AsyncIterator[Pair]:
    timeout = aiohttp.ClientTimeout(total=HANG)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        yield Pair(running, client)


@contextlib.contextmanager
def shop() -> Iterator[str]:
    """The backend's URL: logs in all but the password "wrong", says whose token it got
    with a call, and hands out no token for the password "none".
    """
    secret = "the backend's own secret, 32 bytes"

    async def log_in(request: web.Request) -> web.Response:
        typed = await request.json()
        if typed.get("password") == "wrong":
            return web.json_response({"detail": "wrong password"}, status=401)
        if typed.get("password") == "none":
            return web.json_response({"detail": "no token"})
        payload = {"sub": typed["username"], "exp": int(time.time()) + 3600}
        return web.json_response({"token": jwt.encode(payload, secret, algorithm="HS256")})

    async def call(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return web.json_response({"sub": jwt.decode(token, secret, algorithms=["HS256"])["sub"]})

    async def public(_request: web.Request) -> web.Response:
        return web.Response(text="open to all")

    app = web.Application()
    app.router.add_post("/login", log_in)
    app.router.add_get("/api/me", call)
    app.router.add_get("/public/page", public)
    with serving(app) as url:
        yield url


@dataclass
class Load:
    """Users at work while something happens to the store, and what was wrong with it."""

    pair: Pair
    users: int = 24
    served: int = 0
    refused: int = 0  # 503
    logouts: int = 0
    lost: dict[str, float] = field(default_factory=dict)  # who was wrongly 401 → when logged in
    ended: list[str] = field(default_factory=list)  # keys whose logout was answered 204
    wrong: list[str] = field(default_factory=list)

    async def during(self, what: Callable[[], Any], after: float = 1.0) -> None:
        """Works, then while `what` happens in a thread of its own, and for a while after it."""
        self._stop = False
        at_work = [asyncio.create_task(self._user(number)) for number in range(self.users)]
        at_work.append(asyncio.create_task(self._visitor()))
        try:
            async with asyncio.timeout(HANG):
                while self.served < BUSY:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(what)
            await asyncio.sleep(after)
        finally:
            self._stop = True
            done = await asyncio.gather(*at_work, return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error
        assert not self.wrong, self.wrong[:5]

    async def nobody_is_back(self) -> None:
        """No key whose logout was answered 204 opens anything, on either gateway."""
        for key in self.ended:
            for at in (0, 1):
                answer = await self.pair.call(at, key)
                assert answer.status == 401, answer

    async def _user(self, number: int) -> None:
        chance = random.Random(number)
        turn = 0
        while not self._stop:
            turn += 1
            name = f"user-{number}-{turn}"
            key = await self._log_in(chance.randrange(2), name)
            if key is None:
                continue
            issued = time.monotonic()
            for _ in range(chance.randrange(5, 40)):
                if self._stop:
                    return
                await self._call(chance.randrange(2), key, name, issued)
                await asyncio.sleep(0.01)
            await self._log_out(chance.randrange(2), key)

    async def _log_in(self, at: int, name: str) -> str | None:
        answer = await self.pair.ask(at, "POST", "/login", username=name)
        if answer.status == 200:
            return str(answer.body["token"])
        await self._is_a_refusal(answer, "login")
        return None

    async def _call(self, at: int, key: str, name: str, issued: float) -> None:
        answer = await self.pair.call(at, key)
        if answer.status == 200:
            self.served += 1
            if answer.body != {"sub": name}:
                self.wrong.append(f"{name} was answered as {answer.body}")
        elif answer.status == 401:
            self.lost[name] = issued
        else:
            await self._is_a_refusal(answer, "call")

    async def _log_out(self, at: int, key: str) -> None:
        answer = await self.pair.ask(at, "POST", "/logout", key)
        if answer.status != 204:
            await self._is_a_refusal(answer, "logout")
            return
        self.logouts += 1
        self.ended.append(key)
        here = await self.pair.call(at, key)
        if here.status == 200:
            self.wrong.append("a session passes where it was ended")
        elif here.status != 401:
            await self._is_a_refusal(here, "call")
        ended = time.monotonic()
        while (there := await self.pair.call(1 - at, key)).status == 200:
            if time.monotonic() - ended > FELT:
                self.wrong.append("a session passes long after it was ended")
                return
            await asyncio.sleep(0.01)
        if there.status != 401:
            await self._is_a_refusal(there, "call")

    async def _is_a_refusal(self, answer: Answer, what: str) -> None:
        """A 503 in time that says when to come back, and that takes no cookie away."""
        self.refused += 1
        if (
            answer.status != 503
            or "Retry-After" not in answer.headers
            or "Set-Cookie" in answer.headers
            or answer.seconds > BOUND
        ):
            self.wrong.append(f"{what}: {answer}")
        await asyncio.sleep(0.05)

    async def _visitor(self) -> None:
        while not self._stop:
            answer = await self.pair.ask(0, "GET", "/public/page")
            if (answer.status, answer.body) != (200, "open to all") or answer.seconds > BOUND:
                self.wrong.append(f"public: {answer}")
            await asyncio.sleep(0.05)

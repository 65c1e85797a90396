"""The endpoints for tests: the real application and store, and a backend that each test sets.

The application is spoken to as the relay speaks to it, but over a TCP port of its own.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gateway.config.model import Config
from gateway.core.http.refusals import Refusal
from gateway.core.sessions.session import Session
from gateway.endpoints import app
from gateway.observe.events import Event
from gateway.outbound.backends import backends
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.pools import PoolBuilder
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions, open_sessions
from tests.support.processes import HANG

SECRET = "a secret of the tests, long enough"

# What a client logs in with.
BODY = b'{"username": "alice", "password": "wonderland"}'


@dataclass
class Asked:
    """A request as the backend got it."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


Answer = Callable[[Asked], Awaitable[web.StreamResponse]]


@dataclass
class Backend:
    """An aiohttp server that records what it is asked, and answers as the test says."""

    url: str = ""
    answer: Answer | web.Response = field(default_factory=lambda: web.Response(text="unset"))
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        asked = Asked(request.method, request.raw_path, CIMultiDict(request.headers), body)
        self.asked.append(asked)
        if not isinstance(self.answer, web.Response):
            return await self.answer(asked)
        # A response can be sent once only.
        return web.Response(
            status=self.answer.status, headers=self.answer.headers, body=self.answer.body
        )

    @property
    def last(self) -> Asked:
        return self.asked[-1]


@dataclass
class World:
    """The endpoints, their store, and the client's side of the application."""

    backend: Backend
    sessions: Sessions
    client: aiohttp.ClientSession
    url: str
    config: Config
    events: list[Event] = field(default_factory=list)  # what has been reported
    refused: list[Refusal] = field(default_factory=list)

    async def ask(
        self, method: str, target: str, body: bytes = b"", /, **headers: str
    ) -> tuple[int, CIMultiDict[str], bytes]:
        """Sends a request with these fields (`_` stands for `-`) and returns the whole answer."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + target, encoded=True)
        async with self.client.request(
            method, url, data=body or None, headers=fields, allow_redirects=False
        ) as answer:
            return answer.status, CIMultiDict(answer.headers), await answer.read()

    async def resolved(self, key: str) -> ResolvedSession:
        """The session that a key opens."""
        resolved = await self.sessions.resolve(key.encode())
        assert isinstance(resolved, ResolvedSession), resolved
        return resolved

    async def is_known(self, key: str) -> bool:
        return isinstance(await self.sessions.resolve(key.encode()), ResolvedSession)


@asynccontextmanager
async def world(redis_url: str, **changes: Any) -> AsyncIterator[World]:
    """`changes` replace or add sections of the configuration.

    `store_timeout` (seconds) is short in tests that break the store; else it is long, since client,
    gateway and backend share one process, and a slow machine keeps the store waiting.
    """
    store_timeout = changes.pop("store_timeout", HANG / 2)
    async with backend() as server:
        data = {
            "version": 1,
            "store": {"url": redis_url, "prefix": f"{uuid.uuid4().hex}:", "timeout": store_timeout},
            "session": {"secrets": [SECRET]},
            "upstreams": {"accounts": server.url},
            "login": {
                "kind": "backend",
                "path": "/login",
                "upstream": "accounts",
                "backend_path": "/backend/login",
            },
            "routes": [],
            **changes,
        }
        config = Config.model_validate(data)
        events: list[Event] = []
        refused: list[Refusal] = []
        sessions = open_sessions(
            config, url=redis_url, secrets=(SECRET,), render=_lines, report=events.append
        )
        await sessions.start()
        try:
            async with (
                backends(config, PoolBuilder(config, basis_of(config)).called) as calls,
                app.run(config, sessions, calls, refused.append) as endpoints,
                _client() as client,
            ):
                loop = asyncio.get_running_loop()
                listener = await loop.create_server(endpoints, "127.0.0.1", 0)
                port = listener.sockets[0].getsockname()[1]
                url = f"http://127.0.0.1:{port}"
                yield World(server, sessions, client, url, config, events, refused)
                listener.close()
        finally:
            await sessions.close()


@asynccontextmanager
async def backend(at: int = 0, **site: Any) -> AsyncIterator[Backend]:
    """A backend on a free port of loopback, or `at` this one; `site` goes to its listener (a TLS
    context, say).
    """
    server = Backend()
    runner = web.ServerRunner(web.Server(server, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", at, **site).start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if site else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def answer(data: Any, status: int = 200, **headers: str) -> web.Response:
    """A backend's answer: bytes as they are, anything else as JSON (`_` stands for `-`)."""
    return web.Response(
        status=status,
        body=data if isinstance(data, bytes) else json.dumps(data).encode(),
        headers={
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Content-Type", "Accept-Encoding"),
    )


def _lines(session: Session) -> bytes:
    return f"X-User-Id: {session.subject}\r\n".encode()


async def count(place: World) -> int:
    """How many sessions the store holds."""
    client = place.sessions._client
    return len([name async for name in client.scan_iter(f"{place.config.store.prefix}s:*")])

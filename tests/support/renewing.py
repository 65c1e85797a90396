"""A backend with short tokens and rotating refresh tokens, in a thread of its own.

Like many, it takes the second use of a refresh token for a theft and ends the whole family.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import jwt
from aiohttp import WSMsgType, web

from tests.support.serving import serving

SECRET = "the backend's own secret, 32 bytes"


@dataclass
class Renewing:
    """What the backend does, and what it has seen. Lives are in seconds."""

    url: str = ""
    life: float = 2.0
    delay: float = 0.0  # of a refresh
    hold: float = 0.0  # of a call
    status: int = 0  # of a refresh, in place of doing it
    signs_with: str = SECRET
    by: str = "json"  # how refresh tokens come and go: json, cookie or form
    more: dict[str, object] = field(default_factory=dict)  # further members of replies
    claims: dict[str, object] = field(default_factory=dict)  # further claims of tokens
    families: dict[str, str] = field(default_factory=dict)  # refresh token → subject
    used: set[str] = field(default_factory=set)
    stolen: bool = False
    refreshes: list[str] = field(default_factory=list)  # the raw bodies
    tokens: list[str] = field(default_factory=list)  # all that were issued
    seen: list[str] = field(default_factory=list)  # tokens that came with calls
    revoked: set[str] = field(default_factory=set)  # tokens that calls are refused with
    streams: int = 0  # that are open now
    expiry: float = 0.0  # of the last token that was issued; UNIX seconds
    due: float = 0.0  # when a gateway renews it by then

    def reset(self) -> None:
        url = self.url
        self.__init__(url=url)  # type: ignore[misc]

    def issue(self, subject: str) -> tuple[str, str]:
        now = time.time()
        self.expiry = math.ceil(now + self.life)  # PyJWT and others cut fractions off
        self.due = self.expiry - (self.expiry - now) * 0.2
        payload = {"sub": subject, "exp": self.expiry, "jti": secrets.token_hex(8)} | self.claims
        token = jwt.encode(payload, self.signs_with, algorithm="HS256")
        refresh = secrets.token_urlsafe(24)
        self.families[refresh] = subject
        self.tokens.append(token)
        return token, refresh

    async def login(self, request: web.Request) -> web.Response:
        token, refresh = self.issue((await request.json())["username"])
        return self._handed(token, refresh)

    async def refresh(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.refreshes.append(body)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.status:
            return web.json_response({"detail": "no"}, status=self.status)
        if self.by == "cookie":
            refresh = request.cookies.get("rt", "")
        elif self.by == "form":
            form = await request.post()
            assert form["grant_type"] == "refresh_token"
            refresh = str(form["refresh_token"])
        else:
            refresh = (await request.json())["refresh"]
        subject = self.families.get(refresh)
        if subject is None or refresh in self.used:
            self.stolen = self.stolen or refresh in self.used
            return web.json_response({"detail": "reused"}, status=401)
        self.used.add(refresh)
        return self._handed(*self.issue(subject))

    async def switch(self, request: web.Request) -> web.StreamResponse:
        """Gives a new token for the one that comes, and takes that back."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        subject = jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]
        self.revoked.add(token)
        return self._handed(*self.issue(subject))

    def _handed(self, token: str, refresh: str) -> web.Response:
        if self.by == "cookie":
            response = web.json_response({"token": token, **self.more})
            response.set_cookie("rt", refresh, httponly=True, path="/refresh")
            return response
        name = "refresh_token" if self.by == "form" else "refresh"
        return web.json_response({"token": token, name: refresh, **self.more})

    async def call(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        body = await request.read()
        if self.hold:
            await asyncio.sleep(self.hold)
        try:
            payload = jwt.decode(token, SECRET, algorithms=["HS256"])
        except jwt.PyJWTError:
            return web.json_response({"detail": "invalid token"}, status=401)
        if token in self.revoked:
            return web.json_response({"detail": "revoked token"}, status=401)
        return web.json_response({"sub": payload["sub"], "size": len(body)})

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with self._open(), contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"data: tick\n\n")
                await asyncio.sleep(0.05)
        return response

    async def download(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**9)})
        await response.prepare(request)
        with self._open(), contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.02)
        return response

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with self._open():
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(f"echo {message.data}")
        return socket

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1


@contextlib.contextmanager
def renewing() -> Iterator[Renewing]:
    """The backend on a free port of loopback."""
    backend = Renewing()
    app = web.Application()
    app.router.add_post("/login", backend.login)
    app.router.add_post("/refresh", backend.refresh)
    app.router.add_post("/api/switch", backend.switch)
    app.router.add_get("/api/events", backend.events)
    app.router.add_get("/api/download", backend.download)
    app.router.add_get("/api/chat", backend.chat)
    app.router.add_route("*", "/api/{rest:.*}", backend.call)
    with serving(app) as backend.url:
        yield backend

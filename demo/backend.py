"""The demo's backend: an ordinary API with JWTs.

python -m demo.backend --port 9000
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web

USERS = {"alice": "wonderland", "bob": "builder"}

_ORDERS = {
    "alice": [{"id": 1, "item": "Looking glass"}, {"id": 2, "item": "Tea set for six"}],
    "bob": [{"id": 3, "item": "Claw hammer"}],
}

# The backend alone knows it. It stays the same over restarts, so that tokens do.
_SECRET = os.environ.get("DEMO_BACKEND_SECRET", "the demo backend's own secret, 32 bytes or more")
_TOKEN_SECONDS = 8 * 3600
_REFRESH_SECONDS = 30 * 24 * 3600

# How much of the token the backend shows of what it got: enough to see that it is one.
_SHOWN_CHARACTERS = 20

_PAGE = Path(__file__).parent / "page"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

_pretty = partial(json.dumps, indent=2, ensure_ascii=False)


async def login(request: web.Request) -> web.Response:
    """POST /api/login: an access token and a refresh token.

    The body is {"username": …, "password": …}.
    """
    try:
        data = await request.json()
        name, password = str(data["username"]), str(data["password"])
    except (ValueError, KeyError, TypeError):
        return _answer({"detail": "Send a username and a password as JSON."}, status=400)
    if not hmac.compare_digest(USERS.get(name, "").encode(), password.encode()) or not password:
        return _answer({"detail": "No user has this name and password."}, status=401)
    return _answer(
        {
            "token": _token(name, "access", _TOKEN_SECONDS),
            "refresh_token": _token(name, "refresh", _REFRESH_SECONDS),
            "user": {"name": name},
        }
    )


async def me(request: web.Request) -> web.Response:
    """GET /api/me: the claims of the JWT, and the fields that the backend saw."""
    claims = _claims(request)
    return _answer({"name": claims["sub"], "claims": claims, **_seen(request)})


async def orders(request: web.Request) -> web.Response:
    """GET /api/orders: something that differs from user to user."""
    claims = _claims(request)
    return _answer({"orders": _ORDERS.get(claims["sub"], []), **_seen(request)})


async def hello(request: web.Request) -> web.Response:
    """GET /public/hello: needs no login."""
    return _answer({"hello": "world", **_seen(request)})


async def page(_request: web.Request) -> web.FileResponse:
    """GET /: the page to try it all with."""
    return web.FileResponse(
        _PAGE / "index.html",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
    )


def build() -> web.Application:
    """The application."""
    app = web.Application()
    app.router.add_post("/api/login", login)
    app.router.add_get("/api/me", me)
    app.router.add_get("/api/orders", orders)
    app.router.add_get("/public/hello", hello)
    app.router.add_get("/", page)
    app.router.add_static("/public/page", _PAGE)
    return app


def _token(name: str, kind: str, seconds: int) -> str:
    now = int(time.time())
    claims = {"sub": name, "kind": kind, "iat": now, "exp": now + seconds}
    return jwt.encode(claims, _SECRET, algorithm="HS256")


def _claims(request: web.Request) -> Mapping[str, Any]:
    """The claims of an access token. Raises a 401, as any backend does."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        claims: Mapping[str, Any] = jwt.decode(token, _SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        claims = {}
    if scheme.lower() != "bearer" or claims.get("kind") != "access":
        raise web.HTTPUnauthorized(
            text=_pretty({"detail": "A good token is missing."}), content_type="application/json"
        )
    return claims


def _seen(request: web.Request) -> dict[str, str | None]:
    """The request's fields about its sender.

    The token is cut short, since a page has no need of it.
    """
    authorization = request.headers.get("Authorization")
    if authorization is not None and len(authorization) > _SHOWN_CHARACTERS:
        authorization = f"{authorization[:_SHOWN_CHARACTERS]}… ({len(authorization)} characters)"
    return {
        "authorization_seen": authorization,
        "user_id_seen": request.headers.get("X-User-Id"),
        "request_id_seen": request.headers.get("X-Request-Id"),
    }


def _answer(data: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return web.json_response(data, status=status, dumps=_pretty)


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m demo.backend", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="port (default: %(default)s)")
    options = parser.parse_args()
    try:
        web.run_app(build(), host=options.host, port=options.port, print=None, access_log=None)
    except OSError as error:
        parser.exit(1, f"demo: cannot listen on port {options.port}: {error.strerror}\n")


if __name__ == "__main__":
    main()

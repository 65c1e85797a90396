"""Two gateways on one Redis, in front of a backend whose tokens are short-lived."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import log_in
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.support.renewing import Renewing, renewing

__all__ = ["log_in"]


@pytest.fixture(scope="session")
def running_backend() -> Iterator[Renewing]:
    with renewing() as backend:
        yield backend


@pytest.fixture
def backend(running_backend: Renewing) -> Renewing:
    """The backend, as if new."""
    running_backend.reset()
    return running_backend


def sections(
    backend: Renewing, renew: dict[str, Any] | None = None, **session: Any
) -> dict[str, Any]:
    return {
        "session": {
            "secrets": ["a secret of the tests, long enough"],
            "clock_skew": 0.2,
            "renew": {"upstream": "api", "backend_path": "/refresh", "timeout": 8, **(renew or {})},
            **session,
        },
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "guessing": "off",  # however many log in at once here, none of them guesses
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/whole", "upstream": "api", "buffer_request": "1KiB"},
            {"path": "/api/chat", "upstream": "api", "websocket": True},
            {"path": "/api/staff", "upstream": "api", "claims": {"role": "staff"}},
            {"path": "/api/pay", "upstream": "api", "require": {"max_age": "10m"}},
        ],
    }


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Renewing
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways that renew whatever token an upstream refuses."""
    folder = tmp_path_factory.mktemp("pair")
    changed = sections(running_backend, renew_on_upstream_401=True)
    with (
        gateway(folder / "one", redis.url, **changed) as one,
        gateway(folder / "two", redis.url, **changed) as two,
    ):
        yield one, two


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may break."""
    with redis_server(tmp_path) as server:
        yield server


def call(gateway: Gateway, key: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
    """One call: status, JSON, fields."""
    [answer] = calls([gateway], key, 1, **more)
    return answer


def calls(
    gateways: list[Gateway], key: str, number: int, **more: Any
) -> list[tuple[int, Any, dict[str, str]]]:
    """Calls at the same time, spread over the gateways."""
    return asyncio.run(all_calls(gateways, key, number, **more))


async def all_calls(
    gateways: list[Gateway], key: str, number: int, *, path: str = "/api/x", body: bytes = b""
) -> list[tuple[int, Any, dict[str, str]]]:
    async def one(client: aiohttp.ClientSession, at: int) -> tuple[int, Any, dict[str, str]]:
        port = gateways[at % len(gateways)].port
        async with client.request(
            "POST" if body else "GET",
            f"http://127.0.0.1:{port}{path}",
            headers={"Authorization": f"Bearer {key}"},
            data=body or None,
        ) as answer:
            return answer.status, json.loads(await answer.read()), dict(answer.headers)

    timeout = aiohttp.ClientTimeout(total=HANG)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        return await asyncio.gather(*(one(client, at) for at in range(number)))


def log_out(gateway: Gateway, key: str) -> int:
    return status(
        ask(
            gateway.port,
            f"POST /logout HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
    )

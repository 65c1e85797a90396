"""Password and refresh grants at one path, as at Keycloak (RFC 6749 §4.3 and §6)."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from aiohttp import web

from tests.support.gateway import Gateway, gateway
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import SECRET
from tests.support.serving import serving

PATH = "/realms/shop/protocol/openid-connect/token"
CLIENT = {"client_id": "web"}
PASSWORD = {"grant_type": "password", "username": "alice", "password": "right", **CLIENT}
# The client's credentials in Basic (RFC 6749 §2.3.1).
BASIC = "Authorization: Basic d2ViOnNlY3JldA=="


class TokenEndpoint:
    """Keycloak's token endpoint: refresh tokens are JWTs, errors are 400 `invalid_grant`."""

    url = ""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.basic: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        self.basic.append(request.headers.get("Authorization", ""))
        if form.get("grant_type") == "password":
            granted = (form["username"], form["password"]) == ("alice", "right")
        else:
            granted = self._is_own(form.get("refresh_token", ""))
        if not granted:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {
                "access_token": self._token("Bearer", 300),
                "expires_in": 300,
                "refresh_expires_in": 1800,
                "refresh_token": self._token("Refresh", 1800),
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "profile email",
            }
        )

    @staticmethod
    def _token(kind: str, life: int) -> str:
        claims = {"sub": "alice", "typ": kind, "exp": int(time.time()) + life}
        return jwt.encode({**claims, "jti": secrets.token_hex(8)}, SECRET, algorithm="HS256")

    @staticmethod
    def _is_own(token: str) -> bool:
        try:
            return bool(jwt.decode(token, SECRET, algorithms=["HS256"])["typ"] == "Refresh")
        except jwt.PyJWTError:
            return False


@pytest.fixture(scope="module")
def running_endpoint() -> Iterator[TokenEndpoint]:
    endpoint, app = TokenEndpoint(), web.Application()
    app.router.add_post(PATH, endpoint.__call__)
    with serving(app) as endpoint.url:
        yield endpoint


@pytest.fixture(scope="module")
def keycloak(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_endpoint: TokenEndpoint
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("keycloak")
    with gateway(
        folder,
        redis.url,
        upstreams={"keycloak": running_endpoint.url},
        login={
            "kind": "backend",
            "path": PATH,
            "upstream": "keycloak",
            "verify": {"secret": SECRET},
            "renew": {
                "upstream": "keycloak",
                "backend_path": PATH,
                "send": "form:refresh_token",
                "body": {"grant_type": "refresh_token", "client_id": "web"},
            },
        },
        guessing={"per_account": 3, "per_address": 3, "delay_after": 3},
        routes=[],
    ) as running:
        yield running


@pytest.fixture
def endpoint(running_endpoint: TokenEndpoint) -> TokenEndpoint:
    running_endpoint.asked.clear()
    running_endpoint.basic.clear()
    return running_endpoint


def post(gateway: Gateway, form: dict[str, str], *lines: str, query: str = "") -> tuple[int, Any]:
    body = urlencode(form)
    head = [
        f"POST {PATH}{query} HTTP/1.1",
        "Host: a",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *lines,
    ]
    answer = ask(gateway.port, ("\r\n".join(head) + "\r\n\r\n" + body).encode())
    return status(answer), json.loads(answer.partition(b"\r\n\r\n")[2])


def test_each_grant_is_answered(keycloak: Gateway, endpoint: TokenEndpoint) -> None:
    """A refresh grant is a refresh call, and tells the session's life in both lifetimes."""
    code, first = post(keycloak, PASSWORD)
    assert (code, first["access_token"][:3]) == (200, "lk_")
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], **CLIENT}
    code, second = post(keycloak, refresh, BASIC)
    assert code == 200
    assert set(second) == set(first)
    assert second["access_token"] == first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert {first["expires_in"], first["refresh_expires_in"]} <= {43199, 43200}
    assert second["refresh_expires_in"] > 43_000
    assert second["scope"] == "profile email"
    sent = endpoint.asked[1]
    assert (sent["grant_type"], sent["client_id"]) == ("refresh_token", "web")
    assert sent["refresh_token"].count(".") == 2
    assert endpoint.basic == ["", BASIC.partition(": ")[2]]


def test_wrong_refresh_tokens_are_no_failed_logins(
    keycloak: Gateway, endpoint: TokenEndpoint
) -> None:
    """However many come from an address, its users log in; and the backend never sees them."""
    for _ in range(6):
        form = {"grant_type": "refresh_token", "refresh_token": "made.up.text", **CLIENT}
        assert post(keycloak, form) == (400, {"error": "invalid_grant"})
    assert "made.up.text" not in [form["refresh_token"] for form in endpoint.asked]
    assert post(keycloak, PASSWORD)[0] == 200


def test_a_request_with_both_grants_is_a_login(keycloak: Gateway, endpoint: TokenEndpoint) -> None:
    """What a backend may take for a password is counted as one, wherever it names the grant."""
    wrong = {**PASSWORD, "password": "wrong"}
    codes = [post(keycloak, wrong, query="?grant_type=refresh_token")[0] for _ in range(5)]
    assert codes == [400, 400, 400, 429, 429]
    assert len(endpoint.asked) == 3

"""An unmodified Django REST framework backend with simplejwt, behind the gateway."""

import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.support.gateway import Gateway, environment, gateway
from tests.support.processes import free_port, running
from tests.support.redis_server import RedisServer


@dataclass
class Site:
    """The gateway, and the backend's own address for comparison."""

    front: Gateway
    backend_port: int

    def ask(
        self, method: str, path: str, data: Any = None, key: str = "", port: int = 0
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Asks the gateway, or the server on `port`."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.front.port, timeout=20)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            body = None if data is None else json.dumps(data)
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def log_in(self, name: str = "alice") -> Any:
        """The reply to a good login, through the gateway."""
        credentials = {"username": name, "password": f"{name}'s password"}
        status, _, body = self.ask("POST", "/login", credentials)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Site]:
    """Django as a process of its own, and a gateway that knows its login."""
    folder: Path = tmp_path_factory.mktemp("django")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.e2e.django_backend",
        str(port),
        str(folder / "db.sqlite3"),
    ]
    with (
        running(command, log=folder / "django.log", port=port, env=environment()),
        gateway(
            folder / "gateway",
            redis.url,
            upstreams={"django": f"http://127.0.0.1:{port}"},
            login={
                "kind": "backend",
                "path": "/login",
                "upstream": "django",
                "backend_path": "/api/token/",
            },
            identity={"X-User-Id": "user_id"},
            routes=[{"path": "/api/*", "upstream": "django"}],
        ) as front,
    ):
        yield Site(front, port)


def test_the_backend_alone_hands_out_jwts(site: Site) -> None:
    """What this test is about: simplejwt's own reply is an access and a refresh JWT."""
    credentials = {"username": "alice", "password": "alice's password"}
    status, _, body = site.ask("POST", "/api/token/", credentials, port=site.backend_port)
    assert status == 200
    assert {name: token.count(".") for name, token in json.loads(body).items()} == {
        "access": 2,
        "refresh": 2,
    }


def test_log_in_call_and_log_out(site: Site) -> None:
    """The whole job: a key comes back, the backend sees its JWT, and a logout is at once."""
    reply = site.log_in()
    key = reply["access"]
    assert key.startswith("lk_")
    assert reply["refresh"] == ""
    status, _, body = site.ask("GET", "/api/me/", key=key)
    seen = json.loads(body)
    assert (status, seen["username"]) == (200, "alice")
    scheme, _, token = seen["authorization"].partition(" ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (scheme, claims["token_type"]) == ("Bearer", "access")
    assert seen["user_id_field"] == str(claims["user_id"])
    status, _, body = site.ask("POST", "/api/me/", {"text": "한글"}, key=key)
    assert (status, json.loads(body)["sent"]) == (200, {"text": "한글"})
    assert site.ask("POST", "/logout", key=key)[0] == 204
    status, headers, _ = site.ask("GET", "/api/me/", key=key)
    assert status == 401
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]
    assert site.ask("POST", "/logout", key=key)[0] == 204


def test_the_jwt_itself_is_no_key(site: Site) -> None:
    """Who holds a JWT of the backend's still gets nothing through the gateway."""
    credentials = {"username": "alice", "password": "alice's password"}
    _, _, body = site.ask("POST", "/api/token/", credentials, port=site.backend_port)
    assert site.ask("GET", "/api/me/", key=json.loads(body)["access"])[0] == 401


def test_two_devices_and_two_users_are_apart(site: Site) -> None:
    """Logging out on one device ends nothing on another, and users are not mixed up."""
    keys = {
        device: site.log_in(device.split("-")[0])["access"]
        for device in ("alice-1", "alice-2", "bob")
    }
    assert site.ask("POST", "/logout", key=keys["alice-1"])[0] == 204
    for device, status, name in (
        ("alice-1", 401, None),
        ("alice-2", 200, "alice"),
        ("bob", 200, "bob"),
    ):
        got, _, body = site.ask("GET", "/api/me/", key=keys[device])
        assert (got, json.loads(body).get("username")) == (status, name)


def test_a_refusal_is_djangos_own(site: Site) -> None:
    """A wrong password is answered as if there were no gateway."""
    wrong = {"username": "alice", "password": "wrong"}
    through = site.ask("POST", "/login", wrong)
    alone = site.ask("POST", "/api/token/", wrong, port=site.backend_port)
    assert (through[0], through[2]) == (alone[0], alone[2])
    assert through[0] == 401
    assert through[1]["WWW-Authenticate"] == alone[1]["WWW-Authenticate"]
    missing = site.ask("POST", "/login", {})
    assert (missing[0], json.loads(missing[2])["username"]) == (400, ["This field is required."])


@pytest.mark.parametrize(
    "path", ["/api/token/", "/api/token", "/api//token/", "/api/%74oken/", "/api/TOKEN/"]
)
def test_djangos_own_login_is_not_reachable(site: Site, path: str) -> None:
    """wire-rules.md#E1: no spelling of its path leads round the gateway's login to a JWT."""
    credentials = {"username": "alice", "password": "alice's password"}
    status, _, body = site.ask("POST", path, credentials, key=site.log_in()["access"])
    assert status in (400, 404)
    assert b"eyJ" not in body

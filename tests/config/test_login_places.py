"""config/login_places: what all logins of a configuration say together."""

from pathlib import Path

import pytest
import yaml

from gateway.config import login_places
from gateway.config.load import load
from gateway.config.model import Config
from gateway.core.logins.token_places import Auto, Cookie, JsonPointer
from tests.support.signing_keys import signing


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A backend's login with a cookie, one that mints, and one at a provider."""
    data = {
        "version": 1,
        "upstreams": {"shop": "http://127.0.0.1:9000", "ids": "http://127.0.0.1:9001"},
        "login": [
            {
                "kind": "backend",
                "path": "/login",
                "upstream": "shop",
                "token": "cookie:jwt",
                "renew": {"upstream": "ids", "backend_path": "/refresh"},
                "max_body": "1 KiB",
                "subject_prefix": "shop:",
            },
            {
                "kind": "mint",
                "path": "/enter",
                "upstream": "ids",
                "claims": {"sub": "/id"},
                "subject_prefix": "ids:",
            },
            {"kind": "oidc", "path": "/oidc", "issuer": "https://id.example", "client_id": "shop"},
        ],
        "logout": {"upstream": "shop", "backend_path": "/bye"},
        "signing": signing(),
        "routes": [{"path": "/swap", "upstream": "shop", "captures": "/jwt"}],
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    return load(file, {})


def test_places_of_tokens(config: Config) -> None:
    """Of logins at backends, and of routes that capture: keys stand there afterwards."""
    assert login_places.token_places(config) == [Cookie("jwt")]
    assert login_places.key_places(config) == [Cookie("jwt"), JsonPointer("/jwt")]
    assert Auto() not in login_places.key_places(config)


def test_cookies_with_keys(config: Config) -> None:
    """The gateway's own, with its prefix over HTTPS, and the backend's."""
    assert login_places.key_cookies(config) == {"latchkey", "__Host-latchkey", "jwt"}


def test_paths_at_backends(config: Config) -> None:
    """Where tokens are handed out, which no route reaches; and where a backend logs out."""
    assert login_places.backend_paths(config) == [
        ("shop", "/login"),
        ("ids", "/refresh"),
        ("ids", "/enter"),
    ]
    assert login_places.logout_paths(config) == {"POST": [("shop", "/bye")]}


def test_limits_of_bodies(config: Config) -> None:
    """Each path that takes a body has its limit (bytes)."""
    assert login_places.max_bodies(config) == {
        "/login": 1024,
        "/enter": 2**20,
        "/oidc/backchannel": 64 * 1024,
    }

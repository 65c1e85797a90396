"""config/login_sections: each login answers for itself, before and after it becomes plain values."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.load_isolated import load_in_child
from gateway.core.logins.login_paths import BackendPath
from gateway.core.logins.token_places import Auto, JsonPointer
from tests.support.configs import problems, write
from tests.support.signing_keys import signing

BACKEND = {"kind": "backend", "path": "/login", "upstream": "shop"}
RENEW = {"upstream": "ids", "backend_path": "/refresh"}
MINT = {"kind": "mint", "path": "/enter", "upstream": "shop", "claims": {"sub": "/id"}}
USERS = {"kind": "users", "path": "/sign-in", "file": "users.yaml"}
OIDC = {"kind": "oidc", "path": "/oidc", "issuer": "https://id.example", "client_id": "shop"}


def answers(folder: Path, name: str, /, **login: Any) -> Any:
    """What a section answers; the same in the process that reads it and in those that serve."""
    data = {
        "version": 1,
        "upstreams": {"shop": "http://127.0.0.1:9000", "ids": "http://127.0.0.1:9001"},
        "login": login,
        "signing": signing(),
        "routes": [],
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    [section], [plain] = load(file, {}).login, load_in_child(file).login
    answer = getattr(section, name)
    assert getattr(plain, name) == answer
    return answer


def test_one_path(tmp_path: Path) -> None:
    """A login by password answers at one path, by its own limits, and its upstream decides."""
    [path] = answers(tmp_path, "paths", **BACKEND, methods=["POST", "PUT"], max_body="1 KiB")
    assert (path.setting, path.path, path.upstream) == ("path", "/login", "shop")
    assert (path.methods, path.max_body, path.action) == (("POST", "PUT"), 1024, "login")
    assert not path.skips_origin_check


def test_three_paths(tmp_path: Path) -> None:
    """A provider's login has a way out, a way back, and a path at which sessions are ended."""
    paths = answers(tmp_path, "paths", **OIDC)
    assert [(path.setting, path.action) for path in paths] == [
        ("path", "login"),
        ("callback_path", "login"),
        ("backchannel_path", "logout"),
    ]
    assert all(path.skips_origin_check for path in paths)


def test_backend_paths(tmp_path: Path) -> None:
    """The login's path at the backend, and the one where it renews."""
    login, renew = BackendPath("shop", "/login"), BackendPath("ids", "/refresh", renews=True)
    assert answers(tmp_path, "backend_paths", **BACKEND, renew=RENEW) == (login, renew)
    assert answers(tmp_path, "backend_paths", **MINT) == (BackendPath("shop", "/enter"),)
    assert answers(tmp_path, "backend_paths", **USERS) == ()


def test_token_places(tmp_path: Path) -> None:
    """Only a backend's own tokens have a place in a reply."""
    assert answers(tmp_path, "token_place", **BACKEND) == Auto()
    assert answers(tmp_path, "token_place", **BACKEND, token="/jwt") == JsonPointer("/jwt")
    assert answers(tmp_path, "token_place", **MINT) is None


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (BACKEND, {"takes_passwords", "believes_tokens"}),
        (MINT, {"takes_passwords", "mints"}),
        (USERS, {"takes_passwords", "mints", "has_form"}),
        (OIDC, set()),
    ],
)
def test_what_is_true_of_a_kind(tmp_path: Path, login: dict[str, Any], expected: set[str]) -> None:
    """These answers are what the rest of the gateway goes by."""
    names = ("takes_passwords", "believes_tokens", "mints", "has_form")
    assert {name for name in names if answers(tmp_path, name, **login)} == expected


def test_provider(tmp_path: Path) -> None:
    """A provider is shown by the name that it is given, or by its host."""
    assert answers(tmp_path, "provider_name", **OIDC) == "id.example"
    assert answers(tmp_path, "provider_name", **OIDC, name="Work") == "Work"
    assert answers(tmp_path, "provider_issuer", **OIDC) == "https://id.example"
    assert answers(tmp_path, "provider_name", **USERS) is None


SHAPED = """
version: 1
upstreams: {{shop: "http://127.0.0.1:9000"}}
login: {{kind: backend, upstream: shop, {paths}}}
routes: []
"""


@pytest.mark.parametrize(
    ("paths", "backend_path"),
    [
        ("path: '/mfa/{token}/verify'", "/mfa/{token}/verify"),
        ("path: '/mfa/{token}/verify', backend_path: '/x/{token}'", "/x/{token}"),
        ("path: '/mfa/{token}/verify', backend_path: /check", "/check"),
    ],
)
def test_segments_that_clients_fill_in(tmp_path: Path, paths: str, backend_path: str) -> None:
    """In the path of a backend's login, and at the backend."""
    [login] = load(write(tmp_path, SHAPED.format(paths=paths)), {}).login
    assert login.backend_paths == (BackendPath("shop", backend_path),)


@pytest.mark.parametrize(
    ("paths", "what"),
    [
        ("path: '/mfa/{token}/verify', backend_path: '/x/{other}'", "a segment that path does not"),
        ("path: /mfa, backend_path: '/x/{token}'", "a segment that path does not"),
        ("path: '/mfa/x{token}'", "has braces that name no segment"),
        ("path: '/{a}/{a}'", "names two segments alike"),
        ("path: 'mfa/{a}'", "is not a path"),
    ],
)
def test_segments_that_are_none(tmp_path: Path, paths: str, what: str) -> None:
    said = problems(tmp_path, SHAPED.format(paths=paths))
    assert any(what in line for line in said), said

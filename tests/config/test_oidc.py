"""Logins of kind oidc in config.yaml: what they may say, and what is wrong between them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.load_isolated import load_in_child
from gateway.config.logins.oidc import OidcSection
from gateway.config.problems import ConfigError
from tests.support.tls import certificates

LOGIN: dict[str, Any] = {
    "kind": "oidc",
    "path": "/login/id",
    "issuer": "https://id.example/realm",
    "client_id": "shop",
}
BACKEND = {"kind": "backend", "path": "/login", "upstream": "shop"}


def write(folder: Path, **sections: Any) -> Path:
    upstreams = {"shop": "http://127.0.0.1:9000"}
    file = folder / "config.yaml"
    file.write_text(
        yaml.safe_dump({"version": 1, "upstreams": upstreams, "routes": [], **sections})
    )
    return file


def loaded(folder: Path, **changes: Any) -> OidcSection:
    [login] = load(write(folder, login={**LOGIN, **changes}), {}).login
    assert isinstance(login, OidcSection)
    return login


def problems(folder: Path, *logins: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, login=list(logins), **sections), {})
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def problem(folder: Path, **changes: Any) -> str:
    [found] = problems(folder, {**LOGIN, **changes})
    return found.removeprefix("login[0]").removeprefix(".oidc").removeprefix(".")


def test_the_least(tmp_path: Path) -> None:
    """A public client that asks only for the user's identity; its other paths are below `path`."""
    login = loaded(tmp_path)
    assert (login.callback_path, login.backchannel_path) == (
        "/login/id/callback",
        "/login/id/backchannel",
    )
    assert (login.scopes, login.token, login.subject) == (("openid",), "access_token", ("sub",))


def test_paths_of_ones_own(tmp_path: Path) -> None:
    """As they may be known to the provider already."""
    login = loaded(tmp_path, callback_path="/oauth2/callback")
    assert (login.callback_path, login.backchannel_path) == (
        "/oauth2/callback",
        "/login/id/backchannel",
    )


@pytest.mark.parametrize(
    "issuer", ["https://id.example", "https://id.example/", "http://127.0.0.1:8080/realms/a"]
)
def test_issuers(tmp_path: Path, issuer: str) -> None:
    """As they are spelled, for each character of them counts."""
    assert loaded(tmp_path, issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "http://id.example"}, "issuer: is not an issuer: write https://id.example"),
        ({"issuer": "id.example"}, "issuer: is not an issuer"),
        ({"issuer": "https://a\\b"}, "issuer: is not an issuer: write https://id.example"),
        ({"issuer": "https://user:hunter@id.example"}, "issuer: is not an issuer: it has no query"),
        ({"issuer": "https://id.example?a=b"}, "issuer: is not an issuer: it has no query"),
        ({"scopes": ["profile"]}, ": scopes must hold openid"),
        ({"scopes": "openid email"}, "scopes.0"),
        ({"parameters": {"nonce": "1"}}, ": parameters cannot hold nonce"),
        ({"client_auth": "client_secret_post"}, ": client_auth: client_secret_post needs"),
        ({"client_auth": "none", "client_secret": "s"}, ": client_auth: none has no use"),
        ({"client_auth": "private_key_jwt"}, "client_auth: must be 'auto', 'client_secret_"),
        ({"token": "refresh_token"}, "token: must be 'access_token' or 'id_token'"),
        ({"algorithms": ["HS256"]}, "algorithms.0: goes with a secret"),
        ({"algorithms": ["none"]}, "algorithms.0: must be"),
        ({"origin": "https://shop.example/"}, "origin: is not an origin"),
        ({"subject_prefix": "id"}, "subject_prefix: "),
        ({"subject": []}, "subject: "),
        ({"ca_file": "none.pem"}, "ca_file: cannot be read"),
        ({"path": "/login/*"}, "path: is one path"),
        ({"client_secrets": "s"}, "client_secrets: is not known here"),
    ],
)
def test_what_is_wrong(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """Said with its place, and without any secret."""
    found = problem(tmp_path, **changes).replace("[0]", ".0")
    assert found.startswith(said), found
    assert "hunter" not in found


def test_its_own_authorities(tmp_path: Path) -> None:
    """A file beside config.yaml that holds certificates."""
    certificates(tmp_path / "tls")
    assert loaded(tmp_path, ca_file="tls/ca.pem").ca_file == str(tmp_path / "tls" / "ca.pem")
    (tmp_path / "empty.pem").touch()
    assert problem(tmp_path, ca_file="empty.pem").startswith("ca_file: cannot be read, or holds")


def test_the_secret_is_one(tmp_path: Path) -> None:
    """It may come from the environment, and shows in no repr."""
    file = write(tmp_path, login={**LOGIN, "client_secret": "${OIDC_SECRET}"})
    [login] = load(file, {"OIDC_SECRET": "the secret of it"}).login
    assert isinstance(login, OidcSection)
    assert login.client_secret is not None
    assert login.client_secret.reveal() == "the secret of it"
    assert "the secret of it" not in repr(login) + str(login)


def test_paths_that_are_taken(tmp_path: Path) -> None:
    """Its three paths win over routes, and nothing else can be there."""
    callback = {"path": "/login/id/callback", "upstream": "shop"}
    assert problems(tmp_path, LOGIN, routes=[callback]) == [
        "routes[0].path: is never reached: login[0] answers there"
    ]
    backend = {**BACKEND, "path": "/login/id/backchannel"}
    found = problems(tmp_path, {**LOGIN, "subject_prefix": "id:"}, backend)
    assert found == ["login[1].path: is the path of login[0] as well"]
    assert problems(tmp_path, LOGIN, pages={"login": "/logout"}) == [
        "pages.login: is the path of logout as well"
    ]
    assert problems(tmp_path, LOGIN, pages={"login": "/login/id"}) == [
        "login[0].path: is the path of pages as well"
    ]


def test_the_choice(tmp_path: Path) -> None:
    """Is where browsers are sent that need a session, unless another page is; it needs a choice."""
    page = {"pages": {"login": "/login"}}
    assert load(write(tmp_path, login=LOGIN, **page), {}).login_page == "/login"
    own = {"login_page": "/login/id"}
    assert load(write(tmp_path, login=LOGIN, **page, **own), {}).login_page == "/login/id"
    assert load(write(tmp_path, login=LOGIN), {}).login_page is None
    login = {**BACKEND, "path": "/in"}
    assert problems(tmp_path, login, **page) == [
        "pages.login: has no login of kind oidc or users to show"
    ]


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What serves gets plain values."""
    [login] = load_in_child(write(tmp_path, login={**LOGIN, "client_secret": "secret"})).login
    assert login.kind == "oidc"
    assert [path.path for path in login.paths] == [
        "/login/id",
        "/login/id/callback",
        "/login/id/backchannel",
    ]
    assert login.provider_name == "id.example"
    assert "OidcSection" not in repr(type(login))


def test_the_routes_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists each path of it, and the choice."""
    file = write(tmp_path, login=LOGIN, pages={"login": "/login"})
    assert main(["routes", "-c", str(file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in (
        ["/login/id", "GET", "login", "gateway"],
        ["/login/id/callback", "GET", "login", "gateway"],
        ["/login/id/backchannel", "POST", "logout", "gateway"],
        ["/login", "GET,HEAD", "login", "gateway"],
    ):
        assert row in lines

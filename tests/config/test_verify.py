"""What `verify` may say, and what is wrong with keys before the first login."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.logins.backend import BackendSection
from tests.support.configs import problems, write
from tests.support.signing import SECRET, ec_signer, rsa_signer

RSA, EC = rsa_signer(), ec_signer()


def text(**verify: Any) -> str:
    return yaml.safe_dump(
        {
            "version": 1,
            "upstreams": {"api": "http://127.0.0.1:9000"},
            "login": [{"kind": "backend", "path": "/login", "upstream": "api", "verify": verify}],
            "routes": [{"path": "/*", "upstream": "api"}],
        }
    )


def loaded(folder: Path, **verify: Any) -> Any:
    [login] = load(write(folder, text(**verify)), {}).login
    assert isinstance(login, BackendSection)
    return login.verify


def test_verifying_is_off_by_default(tmp_path: Path) -> None:
    """A backend verifies its own tokens."""
    plain = text().replace("    verify: {}\n", "").replace("  verify: {}\n", "")
    [login] = load(write(tmp_path, plain), {}).login
    assert isinstance(login, BackendSection)
    assert login.verify is None


def test_everything_that_it_may_say(tmp_path: Path) -> None:
    """One value may stand for a list of one."""
    verify = loaded(
        tmp_path,
        jwks="https://id.example/.well-known/jwks.json",
        issuer="https://id.example",
        audience=["shop", "https://shop.example"],
        algorithms="RS256",
        leeway="30s",
        require_expiry=True,
    )
    assert verify.issuer == ("https://id.example",)
    assert verify.audience == ("shop", "https://shop.example")
    assert (verify.algorithms, verify.leeway, verify.require_expiry) == (("RS256",), 30.0, True)


def test_a_public_key_stands_there_or_in_a_file(tmp_path: Path) -> None:
    """The file is found beside config.yaml, and read once."""
    (tmp_path / "key.pem").write_text(RSA.pem)
    assert loaded(tmp_path, public_key=RSA.pem).public_key == RSA.pem
    assert loaded(tmp_path, public_key="key.pem").public_key == RSA.pem
    assert loaded(tmp_path, public_key=str(tmp_path / "key.pem")).public_key == RSA.pem


def test_a_secret_shows_nothing_of_itself(tmp_path: Path) -> None:
    """As any other secret in the file."""
    assert SECRET not in repr(load(write(tmp_path, text(secret=SECRET)), {}))


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "verify", "needs one of secret, public_key and jwks"),
    "two keys": ({"secret": SECRET, "jwks": "https://a/"}, "verify", "needs one of"),
    "a public key as a secret": ({"secret": RSA.pem}, "verify.secret", "is a public key"),
    "a published key as a secret": (
        {"secret": json.dumps(RSA.jwk)},
        "verify.secret",
        "is a public key",
    ),
    "a short secret": ({"secret": "x" * 31}, "verify.secret", "is too short"),
    "a short secret for its algorithm": (
        {"secret": "x" * 32, "algorithms": "HS512"},
        "verify.algorithms",
        "does not fit this key, which is for HS256",
    ),
    "a private key": ({"public_key": RSA.private_pem}, "verify.public_key", "is a private key"),
    "a short key": (
        {"public_key": rsa_signer("short", 1024).pem},
        "verify.public_key",
        "2048 bits",
    ),
    "no file": ({"public_key": "missing.pem"}, "verify.public_key", "is neither a public key"),
    "another key's algorithm": (
        {"public_key": EC.pem, "algorithms": ["ES256", "RS256"]},
        "verify.algorithms[1]",
        "does not fit this key, which is for ES256",
    ),
    "a secret's algorithm for a public key": (
        {"public_key": RSA.pem, "algorithms": ["RS256", "HS256"]},
        "verify.algorithms[1]",
        "does not fit this key",
    ),
    "a secret's algorithm for published keys": (
        {"jwks": "https://a/", "algorithms": ["HS256"]},
        "verify.algorithms[0]",
        "does not fit this key",
    ),
    "no algorithm": ({"secret": SECRET, "algorithms": "none"}, "verify.algorithms", "must be"),
    "a file as a key set": ({"jwks": "file:///etc/keys"}, "verify.jwks", "begins with https://"),
    "a path as a key set": ({"jwks": "/keys"}, "verify.jwks", "begins with https://"),
    "a password in an address": (
        {"jwks": "https://a:b@c/"},
        "verify.jwks",
        "cannot hold a password",
    ),
    "a bad host": ({"jwks": "https://[::1/"}, "verify.jwks", "is not a URL: its host is wrong"),
    "a host that is none": (
        {"jwks": "https://a\\b/"},
        "verify.jwks",
        "not an address of a key set",
    ),
}


@pytest.mark.parametrize(("verify", "where", "what"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_before_a_login(
    tmp_path: Path, verify: dict[str, Any], where: str, what: str
) -> None:
    """With the place, and without repeating a key."""
    [problem] = problems(tmp_path, text(**verify))
    assert f"login[0].{where}" in problem
    assert what in problem
    assert "BEGIN" not in problem


ACCEPTING = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: /*, upstream: shop, accept_jwt: verify}]
"""


def test_tokens_from_outside_must_say_when_they_end(tmp_path: Path) -> None:
    """Nothing else ends one: there is no session behind it."""
    section = f"jwt: {{secret: '{SECRET}', audience: shop}}\n"
    config = load(write(tmp_path, ACCEPTING + section), {})
    assert config.jwt is not None
    assert config.jwt.require_expiry
    assert config.routes[0].accept_jwt == "verify"


def test_accepting_tokens_takes_a_way_to_verify_them(tmp_path: Path) -> None:
    """And a route that looks at credentials."""
    [problem] = problems(tmp_path, ACCEPTING)
    assert "routes[0].accept_jwt: needs a section jwt" in problem
    public = ACCEPTING.replace("verify}", "verify, auth: public}")
    [problem] = problems(tmp_path, public + f"jwt: {{secret: '{SECRET}'}}\n")
    assert "auth cannot be public" in problem


def test_what_is_wrong_with_the_keys_of_tokens_from_outside(tmp_path: Path) -> None:
    """It is said as for a login."""
    [problem] = problems(tmp_path, ACCEPTING + "jwt: {secret: short}\n")
    assert "jwt.secret: is too short" in problem

"""The section `signing`, and what needs it: keys are read and checked before anything starts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.load_isolated import load_in_child
from gateway.config.own_tokens import minter
from gateway.config.problems import ConfigError
from tests.support.signing_keys import SECRET, pem, public_pem, signing_key

MINT = {
    "kind": "mint",
    "path": "/login",
    "upstream": "shop",
    "claims": {"sub": "/id", "role": {"at": "header:X-Role", "required": False}},
}


def write(folder: Path, **sections: Any) -> Path:
    data = {"version": 1, "upstreams": {"shop": "http://127.0.0.1:9000"}, "routes": [], **sections}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def problems(folder: Path, **sections: Any) -> list[str]:
    """What is wrong, without the places."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, **sections), {})
    for problem in caught.value.problems:
        assert problem.line > 0
        assert "PRIVATE KEY" not in str(problem)
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def test_a_key_file_beside_the_configuration(tmp_path: Path) -> None:
    """Its path is relative to config.yaml; the minter is made of plain values in a worker."""
    (tmp_path / "key.pem").write_text(pem("ES256"))
    signing = {
        "issuer": "https://g",
        "keys": {"algorithm": "ES256", "private_key_file": "key.pem", "kid": "one"},
    }
    config = load_in_child(write(tmp_path, signing=signing, login=MINT))
    made = minter(config)
    assert made is not None
    [shown] = made.jwks["keys"]
    assert shown is not None
    assert (shown["kid"], shown["crv"]) == ("one", "P-256")
    assert "PRIVATE" not in repr(config)
    assert minter(load(write(tmp_path), {})) is None


def test_all_keys_that_are_wrong_at_once(tmp_path: Path) -> None:
    """Each with its field, and nothing of the key."""
    (tmp_path / "public.pem").write_text(public_pem("RS256"))
    (tmp_path / "binary.pem").write_bytes(b"\xff\xfe\x00")
    keys = [
        {"algorithm": "RS256", "private_key_file": "nowhere.pem"},
        {"algorithm": "RS256", "private_key_file": "public.pem"},
        {"algorithm": "RS256", "private_key_file": "binary.pem"},
        {"algorithm": "RS256", "private_key": pem("small RSA")},
        {"algorithm": "EdDSA", "private_key": pem("ES256")},
        {"algorithm": "HS256", "secret": "too short"},
        {"algorithm": "HS256", "secret": pem("RS256")},
        signing_key("HS256", kid="same"),
        signing_key("ES256", kid="same"),
        signing_key("EdDSA"),
        signing_key("EdDSA"),
    ]
    assert problems(tmp_path, signing={"issuer": "g", "keys": keys}) == [
        "signing.keys[0].private_key_file: cannot be read: No such file or directory",
        "signing.keys[1].private_key_file: is a public key; signing needs the private one",
        "signing.keys[2].private_key_file: is not a private key in PEM",
        "signing.keys[3].private_key: is too small: RSA needs at least 2048 bits",
        "signing.keys[4].private_key: is of another kind: EdDSA needs an Ed25519 key",
        "signing.keys[5].secret: is too short: at least 32 bytes, random ones",
        "signing.keys[6].secret: is a key in PEM, which is no secret for HS256",
        "signing.keys[8].kid: has the id of keys[7]: each key needs its own",
        "signing.keys[10].kid: has the id of keys[9]: each key needs its own",
    ]


def test_a_lone_key_is_named_as_it_is_written(tmp_path: Path) -> None:
    """Without an index, and with the very line."""
    key = {"algorithm": "HS256", "secret": "too short"}
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, signing={"issuer": "g", "keys": key}), {})
    [problem] = caught.value.problems
    line = (tmp_path / "config.yaml").read_text().splitlines()[problem.line - 1]
    assert problem.field == "signing.keys.secret"
    assert line.strip() == "secret: too short"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"issuer": "g", "keys": []}, "signing.keys: must not be empty"),
        ({"keys": signing_key("HS256")}, "signing: needs issuer"),
        (
            {"issuer": "g", "keys": {"algorithm": "RS512", "secret": SECRET}},
            "signing.keys.algorithm: must be 'HS256', 'RS256', 'ES256' or 'EdDSA'",
        ),
        (
            {"issuer": "g", "keys": {"algorithm": "HS256"}},
            "signing.keys: needs one of private_key_file, private_key and secret",
        ),
        (
            {"issuer": "g", "keys": {**signing_key("HS256"), "private_key": "x"}},
            "signing.keys: needs one of private_key_file, private_key and secret",
        ),
        (
            {"issuer": "g", "keys": {"algorithm": "RS256", "secret": SECRET}},
            "signing.keys: HS256 goes with a secret, the other algorithms with a private key",
        ),
        (
            {"issuer": "g", "keys": signing_key("HS256"), "lifetime": "10s"},
            "signing.lifetime: must be at least 4 times session.clock_skew",
        ),
    ],
)
def test_what_signing_may_say(tmp_path: Path, section: Any, message: str) -> None:
    """One field, one sentence."""
    [problem] = problems(tmp_path, signing=section)
    assert problem.startswith(message)


def test_who_mints_needs_keys(tmp_path: Path) -> None:
    """A route's own token needs a login that mints."""
    assert problems(tmp_path, login=[MINT]) == [
        "login[0]: needs signing: the keys of the gateway's own tokens"
    ]
    section = {"issuer": "g", "keys": signing_key("HS256")}
    route = {"path": "/a", "upstream": "shop", "token": {"audience": "a", "lifetime": "1s"}}
    assert problems(tmp_path, routes=[route]) == [
        "routes[0].token: needs signing: the keys of the gateway's own tokens"
    ]
    assert problems(tmp_path, signing=section, routes=[route]) == [
        "routes[0].token: needs a login that mints: of kind mint or users",
        "routes[0].token.lifetime: must be at least 4 times session.clock_skew",
    ]
    accepting = {**route, "accept_jwt": "verify"}
    assert problems(tmp_path, signing=section, login=MINT, routes=[accepting]) == [
        "routes[0]: token replaces the JWT that accept_jwt would forward unchanged"
    ]
    capturing = {**route, "captures": True}
    assert problems(tmp_path, signing=section, login=MINT, routes=[capturing]) == [
        "routes[0]: token is for minted sessions, whose tokens are never captured"
    ]
    public = {**route, "auth": "public"}
    assert problems(tmp_path, signing=section, login=MINT, routes=[public]) == [
        "routes[0]: token needs a session: auth cannot be public"
    ]
    named = {**route, "token": {"audience": "a", "claims": ["role", "exp"]}}
    assert problems(tmp_path, signing=section, login=MINT, routes=[named]) == [
        "routes[0].token.claims[1]: is a claim that the gateway sets itself"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": {"role": "/r"}}, "login: claims must say where sub is: whom a token is for"),
        (
            {"claims": {"sub": {"at": "/s", "required": False}}},
            "login: claims must say where sub is: whom a token is for",
        ),
        (
            {"claims": {"sub": "/s", "exp": "/e"}},
            "login: claims cannot hold exp, which the gateway itself makes",
        ),
        (
            {"claims": {"sub": "cookie:id"}},
            "login.claims.sub.at: names no place: write /a/json/pointer or header:Name",
        ),
        ({"reply": "a token"}, "login.reply: names no place in JSON: write /a/json/pointer"),
        ({"tokn": "auto"}, "login.tokn: is not known here"),
        ({"upstream": "shpo"}, "login.upstream: names no upstream"),
    ],
)
def test_what_a_mint_login_may_say(tmp_path: Path, changes: Any, message: str) -> None:
    """One field, one sentence."""
    section = {"issuer": "g", "keys": signing_key("HS256")}
    assert problems(tmp_path, signing=section, login={**MINT, **changes}) == [message]


def test_each_kind_of_login_knows_its_own_fields(tmp_path: Path) -> None:
    """A misspelt one is explained by those of its kind; a misspelt kind by all kinds."""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, login=[{**MINT, "clams": 1}, {"kind": "mitn"}, {"path": "/x"}]), {})
    assert [
        (problem.field, problem.message, problem.hint) for problem in caught.value.problems
    ] == [
        ("login[0].clams", "is not known here", "did you mean claims?"),
        ("login[1].kind", "must be one of 'backend', 'mint', 'oidc', 'users'", ""),
        ("login[2]", "needs kind", ""),
    ]


def test_the_key_sets_path_is_taken(tmp_path: Path) -> None:
    """A route there would never be reached."""
    section = {"issuer": "g", "keys": signing_key("HS256")}
    route = {"path": "/.well-known/jwks.json", "upstream": "shop"}
    assert problems(tmp_path, signing=section, routes=[route]) == [
        "routes[0].path: is never reached: signing answers there"
    ]
    load(write(tmp_path, routes=[route]), {})


def test_a_private_key_never_shows(tmp_path: Path) -> None:
    """Not in a repr, and not in what the configuration dumps."""
    config = load(
        write(tmp_path, signing={"issuer": "g", "keys": signing_key("ES256")}, login=MINT), {}
    )
    assert pem("ES256")[60:80] not in repr(config)
    assert pem("ES256")[60:80] not in json.dumps(config.model_dump(mode="json"))

"""Realms in config.yaml: where one name may be two people's, `gateway check` asks for a prefix."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from gateway.config.load_isolated import load_in_child
from gateway.config.problems import ConfigError
from tests.support.signing_keys import signing

UPSTREAMS = {"one": "http://127.0.0.1:9001", "two": "http://127.0.0.1:9002"}
CUSTOMERS = {"kind": "backend", "path": "/login", "upstream": "one", "backend_path": "/api/login"}
STAFF = {**CUSTOMERS, "path": "/staff/login", "upstream": "two"}
MINT = {
    "kind": "mint",
    "path": "/mint",
    "upstream": "one",
    "backend_path": "/api/login",
    "claims": {"sub": "/id", "tenant": "/tenant"},
}
USERS = {"kind": "users", "path": "/users", "file": "users.yaml"}
OIDC = {"kind": "oidc", "path": "/id", "issuer": "https://id.example", "client_id": "shop"}
JWT: dict[str, Any] = {"jwks": "https://id.example/keys", "issuer": "https://id.example"}
ACCEPTING = [{"path": "/api/*", "upstream": "one", "accept_jwt": "verify"}]
NEEDS = "needs subject_prefix"


def prefixed(login: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {**login, "subject_prefix": prefix}


def write(folder: Path, *logins: dict[str, Any], **sections: Any) -> Path:
    file = folder / "config.yaml"
    data = {
        "version": 1,
        "upstreams": UPSTREAMS,
        "signing": signing(),
        "login": list(logins),
        "routes": [],
        **sections,
    }
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def problems(folder: Path, *logins: dict[str, Any], **sections: Any) -> list[str]:
    """What is wrong, without the reasons and the hints."""
    try:
        load(write(folder, *logins, **sections), {})
    except ConfigError as error:
        return [
            f"{problem.field}: {problem.message}".partition(": a name here")[0]
            for problem in error.problems
        ]
    return []


@pytest.mark.parametrize("login", [CUSTOMERS, MINT, USERS, OIDC], ids=lambda login: login["kind"])
def test_one_login_needs_no_prefix(tmp_path: Path, login: dict[str, Any]) -> None:
    """Its names are its own, and so is the jwt section that no route uses."""
    assert problems(tmp_path, login) == []
    assert problems(tmp_path, login, jwt=JWT) == []


@pytest.mark.parametrize(
    "other",
    [
        STAFF,
        {**CUSTOMERS, "path": "/staff/login", "backend_path": "/api/staff/login"},
        {**CUSTOMERS, "path": "/staff/login", "subject": "email"},
        MINT,
        USERS,
        OIDC,
    ],
    ids=["another upstream", "another path", "another claim", "mint", "users", "oidc"],
)
def test_two_logins_that_may_name_different_people(tmp_path: Path, other: dict[str, Any]) -> None:
    """Both have a user called 1, it may be; so one of them says a prefix, whatever their kinds."""
    assert problems(tmp_path, CUSTOMERS, other) == [f"login[1]: {NEEDS}"]
    assert problems(tmp_path, CUSTOMERS, prefixed(other, "")) == [f"login[0]: {NEEDS}"]
    assert problems(tmp_path, prefixed(CUSTOMERS, "c:"), prefixed(other, "s:")) == []
    assert problems(tmp_path, CUSTOMERS, prefixed(other, "s:")) == []


@pytest.mark.parametrize("prefix", ["", "people:", "{host}:", "{claim:tenant}:"])
def test_the_same_people(tmp_path: Path, prefix: str) -> None:
    """The same prefix, written in both, says that the same name is the same person's."""
    again = {**CUSTOMERS, "path": "/api/token", "backend_path": "/api/token"}
    for other in (again, STAFF, MINT, USERS, OIDC):
        assert problems(tmp_path, prefixed(CUSTOMERS, prefix), prefixed(other, prefix)) == []


def test_the_same_giver(tmp_path: Path) -> None:
    """One backend's path, one file or one issuer gives each name to one person."""
    for login in (CUSTOMERS, MINT, USERS, OIDC):
        assert problems(tmp_path, login, {**login, "path": "/again"}) == []
        assert problems(tmp_path, login, prefixed({**login, "path": "/again"}, "b:")) == []


def test_each_login_complains_once(tmp_path: Path) -> None:
    """Of the first one beside which it needs a prefix; all at once."""
    found = problems(tmp_path, CUSTOMERS, STAFF, MINT, USERS)
    assert found == [f"login[{at}]: {NEEDS}" for at in (1, 2, 3)]


def test_a_statement_holds_for_those_who_make_it(tmp_path: Path) -> None:
    """Two logins that say they are one do not speak for a third."""
    again = prefixed({**CUSTOMERS, "path": "/api/token", "backend_path": "/api/token"}, "")
    assert problems(tmp_path, prefixed(CUSTOMERS, ""), again, STAFF) == [f"login[2]: {NEEDS}"]
    assert problems(tmp_path, prefixed(CUSTOMERS, ""), again, prefixed(STAFF, "s:")) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{host}:", "staff:"),
        ("{claim:tenant}:", "staff:"),
        ("{host}:", "{claim:tenant}:"),
        ("shop-{host}:", "shop-a.example:"),
        ("{host}:staff:", "a:{claim:tenant}:"),
        ("{host}-a:", "b-{host}:"),
    ],
)
def test_prefixes_that_may_spell_the_same(tmp_path: Path, one: str, other: str) -> None:
    """Who chooses a host, or a claim, must not choose another login's realm by it."""
    said = "may spell the same realm as that of login[0]"
    found = problems(tmp_path, prefixed(CUSTOMERS, one), prefixed(STAFF, other))
    assert found == [f"login[1].subject_prefix: {said}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a:", "a:b:"),
        ("a:", "b:"),
        ("{host}:", "a:{host}:"),
        ("{host}:", ""),
        ("c-{host}:", "s-{host}:"),
        ("{host}-c:", "{host}-s:"),
        ("c:{host}:", "s:{claim:tenant}:"),
    ],
)
def test_prefixes_that_never_spell_the_same(tmp_path: Path, one: str, other: str) -> None:
    """Whatever is put in."""
    assert problems(tmp_path, prefixed(CUSTOMERS, one), prefixed(STAFF, other)) == []


def test_callers_with_tokens_are_one_more_source_of_names(tmp_path: Path) -> None:
    """A caller's `sub` is not a login's user of that name, unless both say so; only the provider
    itself names the same people by its own login.
    """
    accepting: dict[str, Any] = {"jwt": JWT, "routes": ACCEPTING}
    assert problems(tmp_path, CUSTOMERS, **accepting) == [f"jwt: {NEEDS}"]
    stated = {**accepting, "jwt": {**JWT, "subject_prefix": "services:"}}
    assert problems(tmp_path, CUSTOMERS, **stated) == []
    same = {**accepting, "jwt": {**JWT, "subject_prefix": ""}}
    assert problems(tmp_path, CUSTOMERS, **same) == [f"login[0]: {NEEDS}"]
    assert problems(tmp_path, prefixed(CUSTOMERS, ""), **same) == []
    assert problems(tmp_path, OIDC, **accepting) == []
    assert problems(tmp_path, {**OIDC, "subject": "email"}, **accepting) == [f"jwt: {NEEDS}"]
    several = {**accepting, "jwt": {**JWT, "issuer": ["https://id.example", "https://b.example"]}}
    assert problems(tmp_path, OIDC, **several) == [f"jwt: {NEEDS}"]


def test_callers_with_tokens_of_the_gateway_itself(tmp_path: Path) -> None:
    """Name subjects that the gateway has given: there is nothing to tell apart."""
    own = {**JWT, "issuer": signing()["issuer"]}
    logins = (prefixed(USERS, "u:"), prefixed(CUSTOMERS, "c:"))
    assert problems(tmp_path, *logins, jwt=own, routes=ACCEPTING) == []


def test_names_of_several_providers(tmp_path: Path) -> None:
    """An issuer's `sub` is never another issuer's, so a prefix that both say is a mistake; the
    empty one says that it is none.
    """
    other = {**OIDC, "path": "/two", "issuer": "https://two.example"}
    assert problems(tmp_path, OIDC, other) == [f"login[1]: {NEEDS}"]
    assert problems(tmp_path, prefixed(OIDC, "id:"), prefixed(other, "id:")) == [
        "login[1].subject_prefix: is that of another issuer as well"
    ]
    assert problems(tmp_path, prefixed(OIDC, "id:"), prefixed(other, "two:")) == []
    assert problems(tmp_path, prefixed(OIDC, ""), prefixed(other, "")) == []


@pytest.mark.parametrize(
    "prefix", ["staff", "{host}", ":", "a::", "a b:", "{hosts}:", "{claim:}:", "{host}{claim:a}:"]
)
def test_what_is_no_prefix(tmp_path: Path, prefix: str) -> None:
    """Each part has one thing put in at the most, and ends in a colon."""
    [found] = problems(tmp_path, prefixed(CUSTOMERS, prefix))
    assert 'subject_prefix: is not a prefix: write a word and a colon, as in "staff:"' in found


def test_what_cannot_be_put_in(tmp_path: Path) -> None:
    """A claim that a minted session does not have; the host of a token, which has none."""
    [found] = problems(tmp_path, prefixed(MINT, "{claim:shop}:"))
    assert "claims must say where shop is, which subject_prefix holds" in found
    assert problems(tmp_path, prefixed(MINT, "{claim:tenant}:")) == []
    jwt = {**JWT, "subject_prefix": "{host}:"}
    [found] = problems(tmp_path, CUSTOMERS, jwt=jwt, routes=ACCEPTING)
    assert "subject_prefix cannot hold the host" in found


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What serves gets plain values, the prefix among them."""
    [login] = load_in_child(write(tmp_path, prefixed(CUSTOMERS, "shop:{host}:"))).login
    assert login.subject_prefix is not None
    assert (str(login.subject_prefix), login.subject_prefix.has_host) == ("shop:{host}:", True)


def warnings(folder: Path, *logins: dict[str, Any], **sections: Any) -> list[str]:
    """Those that are about subjects."""
    found = load_with_warnings(write(folder, *logins, **sections), {})[1]
    about = ("subject_prefix", "identity")
    return [
        f"{warning.field}: {warning.message}"
        for warning in found
        if warning.field.rpartition(".")[2] in about or warning.field.startswith("identity")
    ]


def test_a_realm_that_unverified_tokens_share(tmp_path: Path) -> None:
    """What is not verified names people of another login."""
    both = prefixed(CUSTOMERS, "p:"), prefixed(STAFF, "p:")
    found = warnings(tmp_path, *both)
    assert [warning.partition(" by tokens")[0] for warning in found] == [
        "login[0].subject_prefix: shares a realm with login[1]",
        "login[1].subject_prefix: shares a realm with login[0]",
    ]
    verified = {"verify": {"secret": "the backend's own secret, 32 bytes"}}
    assert warnings(tmp_path, *({**login, **verified} for login in both)) == []
    assert warnings(tmp_path, prefixed(CUSTOMERS, "c:"), prefixed(STAFF, "s:")) == []
    again = prefixed({**CUSTOMERS, "path": "/again"}, "p:")
    assert warnings(tmp_path, both[0], again) == []


def test_a_realm_that_two_issuers_share(tmp_path: Path) -> None:
    """Each gives its names by itself, so one of them is no proof at the other."""
    other = {**OIDC, "path": "/two", "issuer": "https://two.example"}
    [found] = warnings(tmp_path, prefixed(OIDC, ""), prefixed(other, ""))
    assert found.startswith("login[1].subject_prefix: shares a realm with login[0], of another")
    assert warnings(tmp_path, prefixed(OIDC, "one:"), prefixed(other, "two:")) == []
    again = prefixed({**OIDC, "path": "/again"}, "")
    assert warnings(tmp_path, prefixed(OIDC, ""), again) == []


def test_an_identity_that_tells_no_realms_apart(tmp_path: Path) -> None:
    """Where no field shows the subject, one that shows a name shows two people alike."""
    identity = {"X-User": "username", "X-Role": "role"}
    realms = prefixed(CUSTOMERS, "c:"), prefixed(STAFF, "s:")
    [found] = warnings(tmp_path, *realms, identity=identity)
    assert found.startswith("identity.X-User: shows a name without its realm")
    assert warnings(tmp_path, *realms, identity={**identity, "X-User-Id": "sub"}) == []
    assert warnings(tmp_path, *realms, identity={"X-Role": "role"}) == []
    assert warnings(tmp_path, CUSTOMERS, identity=identity) == []

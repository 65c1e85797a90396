"""`token_kind: opaque`: what config.yaml may say."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problems import ConfigError

LOGIN = "login: {kind: backend, path: /login, upstream: shop, %s}\n"
OPAQUE = "token_kind: opaque, token: /token"


def problems(folder: Path, text: str) -> str:
    file = folder / "config.yaml"
    head = "version: 1\nupstreams: {shop: http://127.0.0.1:1}\n"
    if "routes:" not in text:
        head += "routes: []\n"
    file.write_text(head + text)
    try:
        load(file, {})
    except ConfigError as error:
        return "\n".join(map(str, error.problems))
    return ""


@pytest.mark.parametrize(
    "more",
    [
        "userinfo: /me",
        "userinfo: {path: /me, method: POST, timeout: 1s}",
        "lifetime: 1h",
        "lifetime: 3600",
        "lifetime: /expires_in",
        "subject: [user.id, /user/id, username]",
        "claims: [/user/role, groups]",
    ],
)
def test_what_may_be_said(tmp_path: Path, more: str) -> None:
    """Beside the place of the token."""
    assert problems(tmp_path, LOGIN % f"{OPAQUE}, {more}") == ""


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("token_kind: opaque", "needs the token's place"),
        ("token_kind: opaque, token: auto", "needs the token's place"),
        (f"{OPAQUE}, verify: {{secret: {'x' * 32}}}", "verify is for JWTs"),
        ("userinfo: /me", "userinfo goes with token_kind: opaque"),
        ("lifetime: 1h", "lifetime goes with token_kind: opaque"),
        ("claims: role", "claims goes with token_kind: opaque"),
        (f"{OPAQUE}, lifetime: soon", "login.lifetime: is not a duration"),
        (f"{OPAQUE}, lifetime: 0", "login.lifetime: must be more than 0"),
        (f"{OPAQUE}, lifetime: /a//b", "login.lifetime: has an empty name"),
        (f"{OPAQUE}, userinfo: me", "login.userinfo.path: is not a path"),
        (
            f"{OPAQUE}, userinfo: {{upstream: shp, path: /me}}",
            "login.userinfo.upstream: names no upstream",
        ),
        (f"{OPAQUE}, subject: ''", "names no claim"),
        ("token_kind: paseto", "token_kind: must be"),
    ],
)
def test_what_may_not(tmp_path: Path, login: str, said: str) -> None:
    """One complaint, which says what would be right."""
    assert said in problems(tmp_path, LOGIN % login)


def test_captures_name_a_place(tmp_path: Path) -> None:
    """Unless `userinfo` says whose a token is: then `true` is the place of the login's token."""
    route = "routes: [{path: /x, upstream: shop, captures: true}]\n"
    file = LOGIN % OPAQUE + route
    assert "needs verify on the login at /login, or a place" in problems(tmp_path, file)
    asked = LOGIN % f"{OPAQUE}, userinfo: /me" + route
    assert problems(tmp_path, asked) == ""

"""Where a token is, as config.yaml says it: what is accepted is understood."""

import pytest

from gateway.core.logins.token_places import (
    Auto,
    BadTokenPlace,
    Cookie,
    Header,
    JsonPointer,
    parse_pointer,
    parse_token_place,
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("auto", Auto()),
        ("/token", JsonPointer("/token")),
        ("/data/0/a~1b~0c", JsonPointer("/data/0/a~1b~0c")),
        ("/a b/c.d", JsonPointer("/a b/c.d")),
        ("data.login.token", JsonPointer("/data/login/token")),
        ("tokens.0.access-token", JsonPointer("/tokens/0/access-token")),
        ("자료.열쇠", JsonPointer("/자료/열쇠")),
        ("header:X-Token", Header("X-Token")),
        ("header:Location", Header("Location")),
        ("cookie:__Host-jwt", Cookie("__Host-jwt")),
    ],
)
def test_places(text: str, place: object) -> None:
    """A pointer, the same with dots, a field, a cookie, or wherever one is known to be."""
    assert parse_token_place(text) == place


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("token", "as in /token"),
        ("access_token", "as in /token"),
        ("Location", "as in /token"),
        ("data/token", "begins with a slash"),
        ("json:/token", "stands alone"),
        ("json:token", "stands alone"),
        ("body:/token", "stands alone"),
        ("$.data.token", "as in /data/token"),
        ("#/data/token", "as in /data/token"),
        ("data.tokens[0]", "/tokens/0"),
        ("AUTO", "small letters"),
        (" auto", "small letters"),
        ("Header:X-Token", "small letters"),
        ("COOKIE:jwt", "small letters"),
        ("header: X-Token", "without spaces"),
        ("header:X-Token ", "without spaces"),
        ("header:", "as in header:X-Token"),
        ("header=X-Token", "as in header:X-Token"),
        ("header:X Token", "without spaces"),
        ("cookie:", "cookie:jwt"),
        ("cookie:a b", "without spaces"),
        ("cookie:jwt;", "cookie:jwt"),
        ("header:Set-Cookie", "cookie goes by its name"),
        ("header:cookie", "cookie goes by its name"),
        ("/a~2b", "~0"),
        ("/a~", "~0"),
        ("/token ", "~0"),
        ("", ""),
        ("a..b", ""),
        ("a b.c", ""),
        ("header:Transfer-Encoding", ""),
        ("header:Content-Length", ""),
        ("/data/*/token", ""),
    ],
)
def test_what_names_no_place(text: str, hint: str) -> None:
    """It is refused with what may be meant."""
    with pytest.raises(BadTokenPlace) as caught:
        parse_token_place(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text", ["hunter2", "header:hunter2 ", "a/hunter2", "/hunter2~", "$hunter2"]
)
def test_what_was_written_is_not_repeated(text: str) -> None:
    """It may be a secret that stands in a wrong place."""
    with pytest.raises(BadTokenPlace) as caught:
        parse_token_place(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["errors", "header:X-Error", "cookie:x", "auto", "$.errors"])
def test_a_place_in_json_is_nothing_else(text: str) -> None:
    """Where a reply says no, and where a key is put, is in JSON."""
    with pytest.raises(BadTokenPlace, match="names no place in JSON") as caught:
        parse_pointer(text)
    assert "header" not in caught.value.hint

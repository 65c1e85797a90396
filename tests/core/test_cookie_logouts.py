"""Whether what a backend sets for the key's cookie logs out."""

import pytest

from gateway.core.logins.cookie_logouts import clears, deletions
from tests.conftest import token_of

NOW = 1_900_000_000.0
PAST, FUTURE = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 23:59:59 GMT"

ALICE = {"sub": "alice", "exp": 0}

# As they are written by Express, Flask, fastapi-users, PHP, Django, Go, Rails and Spring.
DELETED = [
    f"sid=; Path=/; Expires={PAST}",
    f"sid=; Expires={PAST}; Max-Age=0; HttpOnly; Path=/",
    'sid=""; HttpOnly; Max-Age=0; Path=/; SameSite=lax; Secure',
    "sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
    f'sid=""; expires={PAST}; Max-Age=0; Path=/',
    "sid=; Path=/; Max-Age=0",
    f"sid=; path=/; max-age=0; expires={PAST}",
    "sid=x; max-age=-1",
    "sid=x; MAX-AGE=00",
    "sid=x; Expires=Wed Jun  9 10:18:14 2021",
    "sid=x; Expires=Thursday, 01-Jan-70 00:00:00 GMT",
    "sid=",
    "sid=;",
    "sid",
    f"sid={token_of('alice')}; Max-Age=0",
]


@pytest.mark.parametrize("value", DELETED)
def test_what_is_deleted(value: str) -> None:
    """By Max-Age, by Expires, or with nothing in it; what was in it does not go on."""
    [deletion] = deletions([value], ALICE, NOW)
    assert deletion.startswith("sid=; Max-Age=0")
    assert "eyJ" not in deletion


@pytest.mark.parametrize(
    "value",
    [
        "sid=guest; Path=/",
        f"sid=opaque; Expires={FUTURE}; Max-Age=3600",
        # Flask's own session, which only looks like a token.
        "sid=eyJfZnJlc2giOmZhbHNlfQ.ZZZZZZ.aaaaaaaaaaaaaaaaaaaaaaaaaaa; HttpOnly; Path=/",
        f"sid={token_of('mallory')}; Path=/",
        "sid=s%3A" + token_of("mallory"),
        "sid=x; Max-Age=soon; Path=/",
        "sid=x; Expires=never",
    ],
)
def test_what_takes_the_tokens_place(value: str) -> None:
    """Something that is no token, or another person's: the session is not this one any more."""
    [deletion] = deletions([value], ALICE, NOW)
    assert deletion.startswith("sid=; Max-Age=0")


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ([f"sid={token_of('alice', n=2)}; Path=/"], ALICE),
        ([f"sid={token_of('alice')}; Max-Age=3600; Expires={PAST}"], ALICE),
        ([f"sid={token_of('alice')}; Expires={FUTURE}"], {"sub": "alice", "email": "a@example"}),
        ([f"sid={token_of('7')}"], {"sub": 7}),
        (["sid=s%3A" + token_of("alice") + ".signature"], ALICE),
        # Whose it is cannot be told: it is dropped as ever, and nothing ends.
        ([f"sid={token_of('alice')}"], None),
        (["sid=eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0."], ALICE),
        # An old cookie is deleted beside the new one.
        (["sid=; Path=/old; Max-Age=0", f"sid={token_of('alice')}; Path=/"], ALICE),
        ([], ALICE),
    ],
)
def test_what_goes_on(values: list[str], claims: dict[str, object] | None) -> None:
    """A backend that gives its user a new token with each answer does not log out."""
    assert deletions(values, claims, NOW) == []


def test_where_it_is_deleted() -> None:
    """From where the backend has put it; what else it says of the cookie is of no use there."""
    value = f"sid=x; Domain=.shop.example; path=/app; Expires={PAST}; SameSite=None; Secure; a=b; X"
    [deletion] = deletions([value], ALICE, NOW)
    assert deletion == ("sid=; Max-Age=0; Path=/app; Domain=.shop.example; SameSite=None; Secure")
    assert len(deletions(["sid=; Path=/a", "sid=; Path=/b"], ALICE, NOW)) == 2
    [deletion] = deletions(["sid=; Path=/a b; Domain=\xe9"], ALICE, NOW)
    assert deletion == "sid=; Max-Age=0"


@pytest.mark.parametrize(
    ("line", "is_cleared"),
    [
        (b'"cookies"', True),
        (b'Clear-Site-Data: "cache", "cookies"', True),
        (b'"*"', True),
        (b'"cache", "storage"', False),
        (b"cookies", False),
        (b"", False),
    ],
)
def test_clear_site_data(line: bytes, is_cleared: bool) -> None:
    """It is a list of quoted words (Clear Site Data §3.1)."""
    assert clears(line) is is_cleared


def test_time_grows_with_the_value() -> None:
    """An upstream may repeat what a client has made up."""
    for text in ("1 ", "1:1:1 ", "jan ", ";", "=", "eyJ."):
        assert len(deletions([f"sid=x; Expires={text * 100_000}"], ALICE, NOW)) == 1
        assert len(deletions(["sid=" + text * 100_000], ALICE, NOW)) == 1


def test_the_sessions_own_opaque_token_is_no_logout() -> None:
    """Backends with sliding sessions set it with each answer; deleting it logs out all the same."""
    token = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
    assert deletions([f"sid={token}; Path=/; Max-Age=60"], {}, NOW, token) == []
    for value in (f"sid={token}; Max-Age=0", "sid=another-opaque-token-0123", "sid="):
        assert len(deletions([value], {}, NOW, token)) == 1

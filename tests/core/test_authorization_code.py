"""What a provider is asked by a browser's way, and what that brings back."""

import pytest

from gateway.core.logins import authorization_code
from gateway.core.logins.authorization_code import BadAnswer, Code, Denied
from gateway.core.logins.provider_metadata import Metadata
from gateway.core.secret import Secret

ISSUER = "https://id.example"
HERS = "iss=https%3A%2F%2Fid.example"


def provider(*, sends_iss: bool) -> Metadata:
    return Metadata(ISSUER, "", "", "", "", (), sends_iss)


def test_a_query_that_is_there_already() -> None:
    """RFC 6749 §3.1: it is kept; spaces are no plus signs, which some providers read as such."""
    more = {"scope": "openid email", "a": "&="}
    expected = "scope=openid%20email&a=%26%3D"
    assert authorization_code.with_parameters("https://a/b", more) == f"https://a/b?{expected}"
    assert (
        authorization_code.with_parameters("https://a/b?c=1", more) == f"https://a/b?c=1&{expected}"
    )


def test_a_code() -> None:
    """With the issuer's name where that is due, and whatever else comes with it."""
    strict, lax = provider(sends_iss=True), provider(sends_iss=False)
    answer = Code(Secret("c"))
    assert (
        authorization_code.read_answer(f"?code=c&state=s&{HERS}&session_state=x", strict) == answer
    )
    assert authorization_code.read_answer("?code=c&state=s", lax) == answer
    assert "secret" not in repr(Code(Secret("secret"))).lower().replace("secret(", "")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?code=c", "no_iss"),
        ("?code=c&iss=https://id.example/", "wrong_iss"),
        (f"?code=c&code=c&{HERS}", "bad_code"),
        (f"?code=c&{HERS}&{HERS}", "bad_iss"),
        (f"?code=&{HERS}", "no_code"),
        (f"?{HERS}", "no_code"),
        (f"?code={'c' * 5000}&{HERS}", "bad_code"),
        ("?code=%ff", "malformed"),
        ("?" + "&" * 100, "malformed"),
        (f"?error=a&error=b&{HERS}", "bad_error"),
    ],
)
def test_no_answer(query: str, said: str) -> None:
    """Nothing is picked by chance."""
    with pytest.raises(BadAnswer, match=said):
        authorization_code.read_answer(query, provider(sends_iss=True))


def test_an_error() -> None:
    """In a word that is known here; with a code beside it, it is still an error."""
    metadata = provider(sends_iss=True)
    for query, error in (
        (f"?error=access_denied&{HERS}", "access_denied"),
        ("?error=access_denied&error_description=x", "access_denied"),
        (f"?error=server_error&code=c&{HERS}", "server_error"),
        (f"?error=%3Cscript%3E&{HERS}", "other"),
        (f"?error=&{HERS}", "other"),
    ):
        assert authorization_code.read_answer(query, metadata) == Denied(error)
    with pytest.raises(BadAnswer, match="wrong_iss"):
        authorization_code.read_answer("?error=access_denied&iss=https://other.example", metadata)

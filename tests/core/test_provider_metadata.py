"""What a provider says of itself: from where it may be believed, and what it may name."""

import json
from typing import Any

import pytest

from gateway.core.logins import provider_metadata
from gateway.core.logins.provider_metadata import BadMetadata

ISSUER = "https://id.example/realm"
SAID = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://token.id.example/token",
    "jwks_uri": "https://id.example/keys",
}


def read(**changes: Any) -> provider_metadata.Metadata:
    said = {name: value for name, value in {**SAID, **changes}.items() if value is not None}
    return provider_metadata.read(json.dumps(said).encode(), ISSUER)


def test_the_least_that_it_says() -> None:
    """The rest has defaults (Discovery §3)."""
    metadata = read()
    assert metadata.token_endpoint == "https://token.id.example/token"
    assert metadata.client_auth == ("client_secret_basic",)
    assert (metadata.end_session_endpoint, metadata.sends_iss) == ("", False)


def test_where_it_says_so() -> None:
    """Discovery §4.1: below the issuer, which may end in a slash or not."""
    expected = ISSUER + "/.well-known/openid-configuration"
    assert provider_metadata.address(ISSUER) == expected
    assert provider_metadata.address(ISSUER + "/") == expected


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), "", None, 7, [ISSUER]])
def test_another_issuer(issuer: Any) -> None:
    """Is not believed, however like it looks (Discovery §4.3)."""
    with pytest.raises(BadMetadata, match="issuer"):
        read(issuer=issuer)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"<html>", b"[" * 100_000])
def test_no_document(data: bytes) -> None:
    """Whatever is served there."""
    with pytest.raises(BadMetadata):
        provider_metadata.read(data, ISSUER)


@pytest.mark.parametrize(
    ("url", "protected"),
    [
        ("https://id.example", True),
        ("https://192.0.2.1:8443/a", True),
        ("https://id_provider:8443/a", True),
        ("https://id.example/a.b~c/d_e-f?p=b2c_1&q=%20", True),
        ("http://127.0.0.1:8080/a", True),
        ("http://localhost/a", True),
        ("http://[::1]:80/", True),
        ("http://id.example", False),
        ("http://10.0.0.1", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("ftp://127.0.0.1", False),
        ("https://", False),
        ("https://a:b", False),
        ("https://a:99999", False),
        ("https://a:0", False),
        ("https://a\\@b", False),
        ("https://a\\b/", False),
        ("https://user@id.example", False),
        ("https://[::1]a/", False),
        ("https://[1.1]/", False),
        ("https://a{b/", False),
        ("https://bücher.example", False),
        ("//id.example", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_what_is_protected(url: str, protected: bool) -> None:
    """TLS, or loopback; a name that only looks like it is neither."""
    assert provider_metadata.is_protected(url) is protected


@pytest.mark.parametrize("name", [name for name in SAID if name != "issuer"])
@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "http://id.example/",
        "https://id.example/a b",
        "https://a/\r\n",
        "https://a/\n",
        "https://a/b#c",
        "https://a/<b>",
        "https://a/ü",
        "https://a/" + "b" * 2048,
    ],
)
def test_an_endpoint_that_is_none(name: str, url: Any) -> None:
    """A login needs each of them; the reason names it."""
    with pytest.raises(BadMetadata, match=name):
        read(**{name: url})


def test_what_else_it_may_say_wrongly() -> None:
    """Is as good as nothing, or refused."""
    assert read(token_endpoint_auth_methods_supported="post").client_auth == ()
    assert not read(authorization_response_iss_parameter_supported="true").sends_iss
    with pytest.raises(BadMetadata, match="end_session_endpoint"):
        read(end_session_endpoint="http://id.example/")

"""No browser is sent to another site after a login."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.return_paths import MAX_BYTES, login_url, safe

EVIL = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/\n/evil.example",
    "/a\r\nSet-Cookie: x=1",
    "/a\\..\\..//evil.example",
    " /a",
    "a",
    "",
    "/" + "a" * 8000,
    "/a\\b?c",
    "https:\\\\app.example",
    "/é",
]


@pytest.mark.parametrize("path", EVIL)
def test_what_could_lead_away(path: str) -> None:
    """Home it goes."""
    assert safe(path) == "/"


@given(st.text(max_size=30))
def test_a_browser_stays(path: str) -> None:
    """Whatever the text, it is a path of this site."""
    parts = urlsplit(safe(path))
    assert (parts.scheme, parts.netloc) == ("", "")
    assert safe(path).startswith("/")


ORIGINS = {"https://app.example", "http://localhost:3000"}


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example",
        "https://app.example/",
        "https://app.example/orders?page=2#top",
        "https://app.example/a?b=\\c",
        "http://localhost:3000/x",
    ],
)
def test_an_allowed_origin(url: str) -> None:
    """With all of its paths; without the setting, no other site."""
    assert safe(url, ORIGINS) == url
    assert safe(url) == "/"


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/",
        "https://app.example:8443/",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://app.example\\@evil.example/",
        "https://app.example/\\evil.example",
        "https://app.example//evil.example",
        "https://user:pw@app.example/",
        "https://app.example?x",
        "https:app.example/",
        "https:/app.example/",
        "https:///app.example/",
        "HTTPS://app.example/",
        "//app.example/",
        "https://app.example/a b",
        "https://app.example/\r\nSet-Cookie: a=b",
        "javascript://app.example/%0aalert(1)",
        "https://sub.app.example/",
        "https://xapp.example/",
    ],
)
def test_what_only_looks_like_one(url: str) -> None:
    """Home it goes; and what stays is a URL of an allowed origin for every reader."""
    assert safe(url, ORIGINS) == "/"


@given(st.text(alphabet="htps:/\\?#@.applexm%0", max_size=40))
def test_a_browser_goes_nowhere_else(text: str) -> None:
    """Whatever the text: a path of this site, or an allowed origin."""
    back = safe(f"https://app.example{text}", ORIGINS)
    parts = urlsplit(back)
    assert (parts.scheme, parts.netloc) in (("", ""), ("https", "app.example"))


def test_the_way_back() -> None:
    """It survives its way through the query."""
    assert login_url("/login", "/") == "/login"
    for back in ("/orders?page=2&sort=a#b", "/find?q=a\\b", "https://app.example/x?y=z"):
        url = login_url("/login?x=1", back)
        assert parse_qs(urlsplit(url).query)["return_to"] == [back]


@pytest.mark.parametrize("query", ["q=" + "a/b?" * 1500, "&".join(["key=value"] * 500)])
def test_a_long_way_back(query: str) -> None:
    """6 KiB of it, in a URL that servers take."""
    back = f"/api/x?{query}"
    url = login_url("/login", safe(back))
    assert len(url) <= MAX_BYTES
    assert parse_qs(urlsplit(url).query)["return_to"] == [back]


def test_one_that_does_not_fit_is_left_out() -> None:
    """A person can log in without it."""
    assert login_url("/login", "/?" + "%25" * 2500) == "/login"

"""No browser is sent to another site after a login."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.return_paths import login_url, safe

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
    "/" + "a" * 5000,
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


def test_the_way_back() -> None:
    """It survives its way through the query."""
    assert login_url("/login", "/") == "/login"
    url = login_url("/login?x=1", "/orders?page=2&sort=a#b")
    assert parse_qs(urlsplit(url).query)["return_to"] == ["/orders?page=2&sort=a#b"]

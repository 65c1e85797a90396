"""Whose page caused a request."""

import pytest

from gateway.core.origins import authority, is_own


@pytest.mark.parametrize(
    ("site", "origin", "own"),
    [
        ("same-origin", None, True),
        ("none", None, True),
        ("same-site", None, False),
        ("cross-site", None, False),
        ("cross-site", "https://a.example", False),
        (None, "https://a.example", True),
        (None, "http://A.example:80", True),
        (None, "https://a.example:8443", False),
        (None, "https://a.example.evil", False),
        (None, "null", False),
        (None, "", False),
        (None, "https://[", False),
        (None, None, False),
        ("", None, False),
        ("Same-Origin", None, False),
    ],
)
def test_whose(site: str | None, origin: str | None, *, own: bool) -> None:
    """The site's own, or not; whoever cannot show it is not."""
    assert is_own(site=site, origin=origin, host="a.example") is own


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://a.example", "a.example:443", True),
        ("http://a.example", "A.example:80", True),
        ("https://a.example:8443", "a.example:8443", True),
        ("https://a.example", "a.example:80", False),
        ("http://a.example", "a.example:443", False),
        ("https://a.example", "a.example:8443", False),
        ("https://[::1]", "[::1]:443", True),
        ("null", "", False),
        ("", "", False),
    ],
)
def test_a_port_that_goes_without_saying(origin: str, host: str, *, own: bool) -> None:
    """A proxy may say it in Host all the same; a browser never does."""
    assert is_own(site=None, origin=origin, host=host) is own


def test_authorities() -> None:
    """A port that goes without saying goes."""
    assert authority("https://a.example:443/x") == "a.example"
    assert authority("http://a.example:443") == "a.example:443"
    assert authority("null") == ""

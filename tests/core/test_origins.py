"""Whose page caused a request."""

from dataclasses import replace

import pytest

from gateway.core.http.cors import Policy
from gateway.core.http.origins import authority, host_of, is_own_site, plain_authority


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
        (None, "capacitor://a.example", False),
        (None, "", False),
        (None, "https://[", False),
        (None, None, False),
        ("", None, False),
        ("Same-Origin", None, False),
    ],
)
def test_whose(site: str | None, origin: str | None, *, own: bool) -> None:
    """The site's own, or not; a request that cannot show it is not."""
    assert is_own_site(site=site, origin=origin, host="a.example") is own


@pytest.mark.parametrize(
    ("site", "origin", "own"),
    [
        ("cross-site", "https://app.example", True),
        (None, "https://app.example", True),
        ("cross-site", "https://guest.example", False),
        ("cross-site", None, False),
        ("same-origin", None, True),
        ("same-origin", "https://app.example", True),
    ],
)
def test_an_origin_with_the_same_rights(site: str | None, origin: str | None, *, own: bool) -> None:
    """A policy with credentials gives them to the origins that it names, and to no other."""
    policy = Policy(frozenset({"https://app.example"}), (), (), (), credentials=True, max_age=0)
    assert is_own_site(site=site, origin=origin, host="a.example", policy=policy) is own
    powerless = replace(policy, credentials=False)
    by_itself = is_own_site(site=site, origin=origin, host="a.example")
    assert is_own_site(site=site, origin=origin, host="a.example", policy=powerless) is by_itself


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
    assert is_own_site(site=None, origin=origin, host=host) is own


def test_authorities() -> None:
    """A port that goes without saying goes."""
    assert authority("https://a.example:443/x") == "a.example"
    assert authority("http://a.example:443") == "a.example:443"
    assert authority("null") == ""


@pytest.mark.parametrize(
    ("field", "plain", "host"),
    [
        ("shop.example", "shop.example", "shop.example"),
        ("Shop.Example:8080", "shop.example:8080", "shop.example"),
        ("localhost", "localhost", "localhost"),
        ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1"),
        ("[2001:DB8::1]", "[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]"),
        ("a_b-c.example", "a_b-c.example", "a_b-c.example"),
        ("x" * 253, "x" * 253, "x" * 253),
        ("x" * 254, "", ""),
        ("shop.example.", "", ""),
        ("shop.example.:80", "", ""),
        ("a.example,b.example", "", ""),
        ("a.example b.example", "", ""),
        ("shop%2eexample", "", ""),
        ("shop.example:", "", ""),
        ("shop.example:a", "", ""),
        ("user@shop.example", "", ""),
        ("", "", ""),
    ],
)
def test_hosts_that_have_one_reading(field: str, plain: str, host: str) -> None:
    """In lower case, with and without the port; nothing, where readers might differ."""
    assert plain_authority(field) == plain
    assert host_of(plain) == host

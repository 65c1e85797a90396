"""The networks of one client."""

import pytest

from gateway.core.http.networks import network, site


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_a_client_has_a_whole_network(address: str, whole: str) -> None:
    """An IPv6 client takes another address whenever it likes, but not outside of its /64."""
    assert network(address) == whole


def test_a_client_may_have_a_whole_site() -> None:
    """With IPv6: a /48 is given to one."""
    assert site(network("2001:db8:1:2::3")) == site(network("2001:db8:1:ffff::1"))
    assert site(network("2001:db8:1::1")) == "2001:db8:1::/48"
    assert site(network("192.0.2.7")) == site("") == ""

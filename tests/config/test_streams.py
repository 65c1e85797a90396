"""What config.yaml may say of a route's upgrades and streams."""

from typing import Any

import pytest

from gateway.config.route_sections import RouteOptions


def route(**options: Any) -> RouteOptions:
    return RouteOptions(path="/x", upstream="shop", **options)


def test_websocket_is_short_for_an_upgrade() -> None:
    """RFC 9110 §7.8: a protocol may have a version, and its case does not matter."""
    assert route().upgrades == set()
    assert route(websocket=True).upgrades == {"websocket"}
    assert route(upgrade="TCP").upgrades == {"tcp"}
    both = route(websocket=True, upgrade=["websocket", "SPDY/3.1"])
    assert both.upgrades == {"websocket", "spdy/3.1"}


@pytest.mark.parametrize("token", ["h2c", "H2C", "h2c/1", "HTTP/2.0", "TLS/1.0", "https"])
def test_no_upgrade_carries_requests_past_the_rules(token: str) -> None:
    """wire-rules.md#B13: HTTP by another name."""
    with pytest.raises(ValueError, match="request smuggling"):
        route(upgrade=["websocket", token])


@pytest.mark.parametrize("token", ["", "a b", "a, b", "a/b/c", "a\r\nb", "ü"])
def test_what_is_no_protocol(token: str) -> None:
    with pytest.raises(ValueError, match="no protocol of Upgrade"):
        route(upgrade=token)


def test_a_body_is_buffered_for_an_upstream() -> None:
    """A proxy that asks sends bodies itself."""
    assert route(buffer_request="1MiB").buffer_request == 2**20
    with pytest.raises(ValueError, match="buffer_request goes with an upstream"):
        RouteOptions(path="/x", buffer_request=1)

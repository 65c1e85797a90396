"""The key by which a request finds its server (`gateway.relay.exchange.affinity`)."""

from types import SimpleNamespace
from typing import Any

from gateway.relay.exchange import affinity
from gateway.relay.upstream.policy import Sticky


def key(session: str | None, network: str) -> bytes:
    """The key of a request at an upstream that is sticky by session."""
    resolved = None if session is None else SimpleNamespace(session=SimpleNamespace(id=session))
    exchange: Any = SimpleNamespace(network=network)
    forward: Any = SimpleNamespace(resolved=resolved)
    return affinity.key(Sticky(), exchange, forward)


def test_a_session_stays_wherever_its_device_goes() -> None:
    assert key("one", "192.0.2.1") == key("one", "198.51.100.7") == b"one"


def test_two_devices_behind_one_address_are_apart() -> None:
    assert key("one", "192.0.2.1") != key("two", "192.0.2.1")


def test_without_a_session_the_address_counts() -> None:
    """Also for a JWT in place of a key, which has no session."""
    assert key(None, "192.0.2.1") == key("", "192.0.2.1") == b"192.0.2.1"

"""What differs between the ways to run Redis (`gateway.store.servers.topology`)."""

import pytest
from redis.exceptions import RedisError

from gateway.store.servers.cluster import Sharded
from gateway.store.servers.connect import connect
from gateway.store.servers.connections import hang_up
from gateway.store.servers.sentinel import BehindSentinel
from gateway.store.servers.topology import SingleServer, Topology
from tests.support.redis_server import RedisServer


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://127.0.0.1:1/0", SingleServer),
        ("unix:///nowhere/store.sock", SingleServer),
        ("redis+sentinel://127.0.0.1:1/sessions", BehindSentinel),
        ("redis+cluster://127.0.0.1:1", Sharded),
    ],
)
async def test_a_url_names_a_topology(url: str, kind: type[Topology]) -> None:
    """Nothing is connected by that."""
    topology = connect(url, 1.0)
    assert type(topology) is kind
    assert topology.is_sharded == (kind is Sharded)
    await topology.client.aclose()


async def test_a_single_server(server: RedisServer) -> None:
    """It is its own primary for good, and gets connections beside the client's pool."""
    topology = connect(server.url, 5.0)
    connections = await topology.connect_to_primaries()
    assert [(found.host, found.port) for found in connections] == [("127.0.0.1", server.port)]  # type: ignore[attr-defined]
    topology.pin(connections)
    assert not await topology.have_changed(connections)
    topology.unpin()
    await hang_up(connections)
    await topology.client.aclose()


async def test_the_client_connects_anew(server: RedisServer) -> None:
    """After `reconnect` no command goes over a connection of before."""
    topology = connect(server.url, 5.0)
    before = await topology.client.client_id()
    assert await topology.client.client_id() == before
    await topology.reconnect()
    assert await topology.client.client_id() != before
    await topology.client.aclose()


async def test_no_connection_is_left_when_one_fails() -> None:
    """Connecting to all primaries fails as a whole."""
    topology = connect("redis://127.0.0.1:1", 1.0)
    with pytest.raises(RedisError):
        await topology.connect_to_primaries()
    await topology.client.aclose()

"""Routes and pools, as config.yaml says (`gateway.relay.setup`)."""

from pathlib import Path
from typing import Any

from gateway.config.load import load
from gateway.core.http.rates import Rate
from gateway.observe.metrics import Metrics
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Auth
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.limits import LimitBuilder
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.setup.routes import RouteBuilder
from gateway.store.shared_limits import SharedLimit
from tests.support.configs import write

CONFIG = """
version: 1
upstreams:
  shop: {servers: ["http://127.0.0.1:9000", "http://127.0.0.1:9001"], max_connections: 7}
  same: "http://127.0.0.1:9000"
  other: "http://127.0.0.1:9002"
login: {kind: backend, path: /login, upstream: shop, backend_path: /auth}
limits: {head_size: 100000, min_rate: 500}
routes:
  - {path: /open/*, upstream: other, auth: public, strip_prefix: /open}
  - {path: /maybe/*, upstream: shop, auth: optional, body_size: 10}
  - {path: /*, upstream: same}
"""


async def build(folder: Path) -> tuple[list[Route], PoolBuilder, Any]:
    """The routes of the configuration, the pools, and the numbers."""
    config = load(write(folder, CONFIG))
    basis = basis_of(config)
    pools = PoolBuilder(config, basis)

    async def connect(_factory: object) -> object:
        raise AssertionError("nothing is sent")

    def share(_name: str, _rate: Rate) -> SharedLimit:
        raise AssertionError("no limit is shared")

    limits = LimitBuilder(config, share)
    routes = RouteBuilder(config, pools, connect, Metrics("", 0), limits)
    built = [routes.route(number, rule) for number, rule in enumerate(config.routes)]
    return [*built, routes.endpoint("/login", connect)], pools, basis.settings


async def test_a_rule_becomes_a_route(tmp_path: Path) -> None:
    (open_, maybe, rest, _), pools, _ = await build(tmp_path)
    assert [route.access.auth for route in (open_, maybe, rest)] == [
        Auth.PUBLIC,
        Auth.OPTIONAL,
        Auth.REQUIRED,
    ]
    assert open_.action.strip_prefix == b"/open"
    assert maybe.action.body_limit == 10
    assert maybe.pool is pools.upstreams["shop"]


async def test_answers_of_an_optional_route_differ_by_the_key(tmp_path: Path) -> None:
    """wire-rules.md#B15: shared caches have to know the field."""
    (open_, maybe, _, _), _, _ = await build(tmp_path)
    assert (open_.action.varies, maybe.action.varies) == ((), (b"Cookie",))


async def test_an_upstream_that_shares_a_server_reaches_its_login(tmp_path: Path) -> None:
    """wire-rules.md#E1: a token that is issued there would pass by the gateway."""
    (open_, maybe, rest, _), _, _ = await build(tmp_path)
    guarded = [bool(route.upstream_paths.guarded) for route in (open_, maybe, rest)]
    assert guarded == [False, True, True]


async def test_an_endpoint_is_an_upstream_of_its_own(tmp_path: Path) -> None:
    """It takes a key, and requires none: a login begins without one."""
    (*_, endpoint), pools, _ = await build(tmp_path)
    assert (endpoint.is_endpoint, endpoint.access.auth) == (True, Auth.OFFERED)
    assert not endpoint.action.close_on_logout
    assert endpoint.pool in pools.pools
    assert endpoint.pool not in pools.upstreams.values()


async def test_a_pool_has_the_servers_of_its_upstream(tmp_path: Path) -> None:
    _, pools, _ = await build(tmp_path)
    labels = {
        name: [server.label for server in pool.servers] for name, pool in pools.upstreams.items()
    }
    assert labels["shop"] == [b"http://127.0.0.1:9000", b"http://127.0.0.1:9001"]
    assert pools.upstreams["shop"].host == b"127.0.0.1:9000"


async def test_the_relays_numbers(tmp_path: Path) -> None:
    """The largest head fits into what is read ahead; a rate becomes the time for a byte."""
    *_, settings = await build(tmp_path)
    assert settings.read_ahead > 100000
    assert settings.seconds_per_byte == 1 / 500

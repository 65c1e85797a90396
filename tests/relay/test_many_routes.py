"""Many routes: the work for each stays the same, however many there are."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.config.load import load, load_with_warnings
from gateway.config.model import Config
from gateway.core.http.rates import Rate
from gateway.observe.metrics import Metrics
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.limits import LimitBuilder
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.setup.relay import request_reader, route_table, verify_endpoint_of
from gateway.relay.setup.routes import RouteBuilder
from gateway.store.shared_limits import SharedLimit

HEAD = """
version: 1
upstreams:
  shop: {{servers: "http://127.0.0.1:9000"}}
{upstreams}
login: {{kind: backend, path: /login, upstream: shop, backend_path: /auth}}
routes:
"""

# Of one path at many hosts, of many paths, with limits and conditions, and by method.
ROUTES = {
    "hosts": '  - {{host: "s{at}.example", path: /api, upstream: u{at}}}\n',
    "paths": "  - {{path: /s{at}/*, upstream: u{at}, limits: [{{rate: 5/s, per: session}}]}}\n",
    "conditions": "  - {{path: /s{at}, headers: {{X-A: b}}, upstream: u{at}, methods: [GET]}}\n",
}


@pytest.mark.parametrize("kind", ROUTES)
async def test_work_grows_with_the_number_of_routes(tmp_path: Path, kind: str) -> None:
    """Calls of functions, and not time: a list that is walked for each route would square them."""
    few, some, many = [written(tmp_path, kind, number) for number in (20, 120, 320)]
    build(load(few))  # fills what is remembered for good
    base, first, second = [calls(partial(build, load(file))) for file in (few, some, many)]
    assert second - first < 2.2 * (first - base)
    base, first, second = [calls(partial(load_with_warnings, file)) for file in (few, some, many)]
    assert second - first < 2.2 * (first - base)


def build(config: Config) -> None:
    """The pools, limits and routes of a relay."""
    pools = PoolBuilder(config, basis_of(config))

    async def connect(_factory: object) -> object:
        raise AssertionError("nothing is sent")

    def share(_name: str, _rate: Rate) -> SharedLimit:
        raise AssertionError("no limit is shared")

    limits = LimitBuilder(config, share)
    routes = RouteBuilder(config, pools, connect, Metrics("", 0), limits)
    route_table(config, routes, {}, verify_endpoint_of(config, request_reader(config, "gateway")))


def written(folder: Path, kind: str, number: int) -> Path:
    """A configuration with so many routes and upstreams."""
    upstreams = "".join(f"  u{at}: http://127.0.0.1:{9001 + at}\n" for at in range(number))
    routes = "".join(ROUTES[kind].format(at=at) for at in range(number))
    file = folder / f"{number}.yaml"
    file.write_text(HEAD.format(upstreams=upstreams) + routes)
    return file


def calls(work: Callable[[], object]) -> int:
    """How many functions and generators are entered."""
    count = 0

    def count_call(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count

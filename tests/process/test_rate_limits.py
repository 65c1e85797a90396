"""Rate limits over several processes: workers of a gateway, gateways on one store, and a reload."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import yaml

from tests.support.delaying import Delaying, delaying
from tests.support.gateway import Gateway, gateway
from tests.support.gateway import reload as reloaded
from tests.support.processes import eventually
from tests.support.raw import (
    Client,
    Upstream,
    ask,
    fields_by_name,
    request,
    status,
    until_cut,
)
from tests.support.redis_server import RedisServer

MAX_HELD = 8
SHARED = {"rate": "6/h", "shared": True}


@pytest.fixture(scope="module")
def proxy(redis: RedisServer) -> Iterator[Delaying]:
    with delaying(redis.port) as running:
        yield running


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, proxy: Delaying, upstream: Upstream
) -> Iterator[list[Gateway]]:
    """Two gateways on one store; the first has two workers."""
    folder = tmp_path_factory.mktemp("limits")
    sections: dict[str, Any] = {
        "upstreams": {"shop": upstream.url},
        "rate_limits": {"shared": SHARED, "other": {**SHARED}, "own": "6/h", "changed": "6/h"},
        "routes": [
            {"path": "/shared/*", "upstream": "shop", "auth": "public", "limits": "shared"},
            {"path": "/other/*", "upstream": "shop", "auth": "public", "limits": "other"},
            {"path": "/own/*", "upstream": "shop", "auth": "public", "limits": "own"},
            {"path": "/other/rate/*", "upstream": "shop", "auth": "public", "limits": "changed"},
            {
                "path": "/in/place/*",
                "upstream": "shop",
                "auth": "public",
                "limits": {"rate": "6/h", "per": "route"},
            },
            {
                "path": "/held/*",
                "upstream": "shop",
                "auth": "public",
                "concurrency": {"max": MAX_HELD},
            },
        ],
    }
    store = {"url": proxy.url, "timeout": 1}
    with (
        gateway(folder / "1", store, **sections, workers=2) as one,
        gateway(folder / "2", store, **sections) as two,
    ):
        yield [one, two]


def get(running: Gateway, path: str, source: str = "127.0.0.1") -> bytes:
    return ask(running.port, request(f"GET {path}"), source)


def test_workers_count_together(both: list[Gateway], shop: Upstream) -> None:
    """Over new connections, which both workers get, as many pass as with one."""
    client = "127.0.0.8"  # of this test alone
    found = Counter(status(get(both[0], "/own/", client)) for _ in range(30))
    assert found == {200: 6, 429: 24}
    assert status(get(both[1], "/own/", client)) == 200


def test_workers_count_what_is_in_flight_together(both: list[Gateway], shop: Upstream) -> None:
    """As many are held as by one worker. Those of a worker that is killed count no more."""

    def held(stack: ExitStack) -> int:
        """How many more requests are held, before one is refused."""
        for number in range(2 * MAX_HELD):
            seen = len(shop.visits)
            client = stack.enter_context(Client(both[0].port))
            client.send(b"GET /held/ HTTP/1.1\r\nHost: a\r\n\r\n")
            client.sock.settimeout(0.05)
            while len(shop.visits) == seen:
                with suppress(TimeoutError):
                    assert status(client.head()) == 429
                    return number
        return 2 * MAX_HELD

    shop.clear(until_cut)
    with ExitStack() as stack:
        assert held(stack) == MAX_HELD
        os.kill(both[0].workers()[0], signal.SIGKILL)
        eventually(lambda: len(both[0].workers()) == 2)
    shop.wait(lambda: all(visit.ended for visit in shop.visits))
    with ExitStack() as stack:
        shop.clear(until_cut)
        assert held(stack) == MAX_HELD
    shop.clear()


def test_gateways_count_shared_limits_together(
    both: list[Gateway], shop: Upstream, redis: RedisServer
) -> None:
    """Half of the requests go to each, and as many pass as at one. A client that was refused costs
    the store nothing more.
    """
    answers = [get(both[number % 2], "/shared/") for number in range(6)]
    assert [status(answer) for answer in answers] == [200] * 6
    assert fields_by_name(answers[5])["RateLimit"].startswith('"shared";r=0;t=')
    for running in both:
        assert status(get(running, "/shared/")) == 429
    asked = commands(redis)
    for running in both:
        refused = [get(running, "/shared/") for _ in range(20)]
        assert {status(answer) for answer in refused} == {429}
        assert int(fields_by_name(refused[0])["Retry-After"]) > 60
    assert commands(redis) == asked
    assert status(get(both[0], "/shared/", "127.0.0.2")) == 200


def commands(redis: RedisServer) -> int:
    """How many scripts the store has run."""
    with redis.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(name, {"calls": 0})["calls"] for name in ("cmdstat_evalsha",))


def test_a_store_that_is_away_refuses_no_request(
    both: list[Gateway], shop: Upstream, proxy: Delaying
) -> None:
    """Each gateway counts for itself meanwhile: never 500 or 503, and never more than the rate."""
    assert status(get(both[0], "/other/")) == 200
    proxy.refuses = True
    proxy.cut()
    found = [Counter(status(get(running, "/other/")) for _ in range(20)) for running in both]
    assert found == [{200: 5, 429: 15}, {200: 6, 429: 14}]
    proxy.refuses = False
    eventually(lambda: status(get(both[1], "/shared/", "127.0.0.3")) == 200)


def test_a_reload_keeps_the_counts_of_limits_that_stay(both: list[Gateway], shop: Upstream) -> None:
    """Also of one in place whose route has another number then. A limit with another rate starts
    anew.
    """
    running = both[1]
    for path in ("/own/", "/other/rate/", "/in/place/"):
        while status(get(running, path)) == 200:
            pass
    file = running.log.with_name("config.yaml")
    config = yaml.safe_load(file.read_text())
    config["rate_limits"]["changed"] = "7/h"
    config["routes"].insert(0, {"path": "/new", "upstream": "shop", "auth": "public"})
    file.write_text(yaml.safe_dump(config))
    reloaded(running)
    eventually(lambda: status(get(running, "/other/rate/")) == 200)
    assert status(get(running, "/own/")) == 429
    assert status(get(running, "/in/place/")) == 429
    assert status(get(running, "/own/", "127.0.0.7")) == 200

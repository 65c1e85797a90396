"""/metrics: of all workers, whichever is asked; counters never go backwards."""

import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import accounts, log_in
from tests.process.conftest import sections
from tests.support.gateway import Gateway, config, environment, gateway, reload, reloaded
from tests.support.processes import HANG, alive, eventually, free_port, running
from tests.support.raw import OK, Client, Upstream, Visit, ask, request, status
from tests.support.redis_server import RedisServer, redis_server

API = b"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n"
NO_KEY = 'latchkey_refusals_total{reason="no_key"}'
LOGINS = 'latchkey_events_total{event="login",reason=""}'


def call(relay: Gateway, key: str = "", path: bytes = b"/api/x") -> int:
    line = b"Authorization: Bearer " + key.encode() + b"\r\n" if key else b""
    return status(ask(relay.port, (API % line).replace(b"/api/x", path)))


def folder_of(relay: Gateway) -> Path:
    """Where a gateway's workers keep their metrics."""
    relay.metrics()
    for worker in relay.workers():
        maps = Path(f"/proc/{worker}/maps").read_text()
        found = re.search(r"(/\S*latchkey-metrics-[^/]*)/counter_", maps)
        if found is not None:
            return Path(found[1])
    raise AssertionError("no worker has any metrics")


def until_two(relay: Gateway, other_than: set[int]) -> None:
    """Waits until there are two workers, and none of these."""
    eventually(lambda: len(set(relay.workers()) - other_than) == len(relay.workers()) == 2)


def test_two_workers_are_one_gateway(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Whichever worker serves and whichever is asked, the sum is told."""
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        for number in range(1, 21):
            assert call(relay) == 401
            assert relay.metrics()[NO_KEY] == number
        log_in(relay.port)
        assert relay.metrics()[LOGINS] == 1
        for _ in range(10):
            assert call(relay, path=b"/nowhere") == 404
        assert relay.metrics()['latchkey_refusals_total{reason="no_route"}'] == 10
        ask(relay.port, b"nonsense\r\n\r\n")
        assert relay.metrics()['latchkey_refusals_total{reason="malformed_request"}'] == 1


def test_a_client_that_leaves_is_no_refusal(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """Also within a login, whose endpoint finds that no more of it comes."""
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        with Client(relay.port) as client:
            client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            time.sleep(0.1)  # so that the endpoint has begun to read
        relay.records(path="/login", reason="client_gone")
        log_in(relay.port)  # at the same endpoint, after that
        assert not [name for name in relay.metrics() if name.startswith("latchkey_refusals_total")]


def test_counters_survive_workers(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """A worker that is killed, or replaced by a reload, takes nothing with it; and its successor
    goes on in its files, so that none pile up.
    """
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        until_two(relay, set())
        folder = folder_of(relay)
        for number in range(1, 5):
            for _ in range(10):
                assert call(relay) == 401
            assert relay.metrics()[NO_KEY] == 10 * number
            old = relay.workers()
            if number % 2:
                os.kill(old[0], signal.SIGKILL)
                until_two(relay, {old[0]})
            else:
                reload(relay)
                until_two(relay, set(old))
            assert relay.metrics()[NO_KEY] == 10 * number
        slots = {file.stem.rpartition("_")[2] for file in folder.iterdir()}
        assert slots <= {"0", "1", "2", "3"}
    assert not folder.exists()


def test_a_reload_loses_no_count(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """A worker publishes at its end what it has counted since its last tick."""
    shop.clear()
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        is_over = threading.Event()

        def send() -> int:
            sent = 0
            while not is_over.is_set():
                assert call(relay, path=b"/public/") == 200
                sent += 1
            return sent

        with ThreadPoolExecutor(1) as client:
            sending = client.submit(send)
            try:
                reloaded(relay)
            finally:
                is_over.set()
            sent = sending.result()
        answered = 'latchkey_requests_total{method="GET",route="/public/*",status="2xx"}'
        asked = f'latchkey_upstream_requests_total{{server="{shop.url}",upstream="shop"}}'
        eventually(
            lambda: [relay.metrics().get(name) for name in (answered, asked)] == [sent, sent]
        )


def test_servers_that_are_configured_no_more(tmp_path: Path, redis: RedisServer) -> None:
    """Their series end with a reload, while a request keeps a worker of before alive."""
    may_answer = threading.Event()

    def answer(visit: Visit) -> None:
        for _ in visit.requests():
            may_answer.wait(HANG)
            visit.send(OK)

    with Upstream(answer) as shop:
        upstreams = {"shop": shop.url, "former": f"http://127.0.0.1:{free_port()}"}
        changes = {**sections(shop), "upstreams": upstreams}
        with gateway(tmp_path, redis.url, **changes) as relay, Client(relay.port) as client:
            client.send(request("GET /public/"))
            shop.wait(lambda: b"GET /public/" in shop.got)
            eventually(lambda: servers(relay) == {"shop", "former"})
            del relay.config["upstreams"]["former"]
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(relay.config))
            reloaded(relay)
            eventually(lambda: servers(relay) == {"shop"})
            assert len(relay.workers()) == 2
            may_answer.set()
            assert status(client.head()) == 200


def servers(relay: Gateway) -> set[str]:
    """The upstreams of whose servers the metrics tell."""
    return set(re.findall(r'server="[^"]*",upstream="(\w+)"', scrape(relay)))


def test_requests_by_route(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """By method and class of status, with their durations, over all workers."""
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        key = log_in(relay.port)
        shop.clear()
        for _ in range(10):
            assert call(relay, key) == 200
        assert call(relay) == 401
        assert call(relay, path=b"/nowhere") == 404
        assert status(ask(relay.port, (API % b"").replace(b"GET", b"STRANGE"))) == 401
        ask(relay.port, b"nonsense\r\n\r\n")
        requests = 'latchkey_requests_total{{method="{}",route="{}",status="{}"}}'.format
        seen = (requests("GET", "/api/*", "2xx"), requests("other", "none", "4xx"))
        eventually(lambda: [relay.metrics().get(name) for name in seen] == [10, 1])
        metrics = relay.metrics()
    assert metrics[requests("GET", "/api/*", "4xx")] == 1
    assert metrics[requests("other", "/api/*", "4xx")] == 1
    assert metrics[requests("GET", "none", "4xx")] == 1  # there is no such route
    assert metrics['latchkey_request_duration_seconds_count{route="/api/*"}'] == 12
    assert metrics['latchkey_upstream_duration_seconds_count{route="/api/*"}'] == 10
    whole = metrics['latchkey_request_duration_seconds_sum{route="/api/*"}']
    assert 0 < metrics['latchkey_upstream_duration_seconds_sum{route="/api/*"}'] < whole


def test_upstreams_and_limits(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """What two workers have counted together."""
    shop.clear()
    away = free_port()
    changes = {
        **sections(shop),
        "upstreams": {
            "shop": {"servers": [shop.url]},
            "away": {"servers": [f"http://127.0.0.1:{away}"], "try_for": "100ms"},
        },
        "routes": [
            {"path": "/shop/*", "upstream": "shop", "auth": "public"},
            {"path": "/away/*", "upstream": "away", "auth": "public"},
            {"path": "/once/*", "upstream": "shop", "auth": "public", "limits": ["1/h"]},
        ],
    }
    with gateway(tmp_path, redis.url, workers=2, **changes) as relay:
        for _ in range(8):
            assert call(relay, path=b"/shop/") == 200
        assert call(relay, path=b"/away/") == 502
        assert [call(relay, path=b"/once/") for _ in range(3)] == [200, 429, 429]
        server = f'server="{shop.url}",upstream="shop"'
        eventually(lambda: relay.metrics()[f"latchkey_upstream_requests_total{{{server}}}"] == 9)
        limit = 'latchkey_limit_refusals_total{limit="routes[2].limits[0]"}'
        eventually(lambda: relay.metrics().get(limit) == 2)
        errors = (
            f'latchkey_upstream_errors_total{{reason="upstream_unreachable",'
            f'server="http://127.0.0.1:{away}",upstream="away"}}'
        )
        eventually(lambda: relay.metrics().get(errors, 0) >= 1)
        metrics = relay.metrics()
        opened = metrics[f"latchkey_upstream_connections_opened_total{{{server}}}"]
        reused = metrics[f"latchkey_upstream_connections_reused_total{{{server}}}"]
        assert opened >= 1
        assert opened + reused == 9
        assert metrics[f"latchkey_upstream_server_available{{{server}}}"] == 1
        assert metrics['latchkey_openings_failed_total{cause="tls"}'] == 0
        assert metrics["latchkey_event_loop_delay_seconds_count"] > 0
        assert metrics["latchkey_requests_in_flight"] == 0
        with socket.create_connection(("127.0.0.1", relay.port)):
            eventually(lambda: relay.metrics()["latchkey_client_connections"] == 1)
        eventually(lambda: relay.metrics()["latchkey_client_connections"] == 0)


def test_a_scrape_is_well_formed(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Each metric stands once, with its help and its kind, and each series has one value.

    Whatever clients send, the labels are those of the configuration. Scrapes at the same time say
    the same.
    """
    shop.clear(accounts)
    routes = [
        {"path": "/shop/*", "host": ["a.example", "*.b.example"], "upstream": "shop"},
        {"path_regex": r'/v\d+/"?.*', "upstream": "shop", "auth": "public"},
    ]
    with gateway(tmp_path, redis.url, workers=2, **sections(shop) | {"routes": routes}) as relay:
        key = log_in(relay.port)
        for line in ("GET /v1/x", f"GET /v1/{key}", "GET /none", 'BREW" /v1/x', "BREW /v1/x"):
            ask(relay.port, request(line, 'X: "}\\', host=f"{uuid4()}.example"))
        ask(relay.port, request("GET /shop/x", host="A.example:80"))
        name = "a.example,*.b.example/shop/*"
        eventually(lambda: f'route="{name}"' in scrape(relay))
        texts: list[str] = []

        def agree() -> bool:
            """Whether scrapes agree; a tick of a worker may come between two of them."""
            with ThreadPoolExecutor(8) as at_once:
                texts[:] = at_once.map(lambda _: scrape(relay), range(8))
            return len({text.count("\n") for text in texts}) == 1

        eventually(agree)
        assert relay.records(route=r'~/v\d+/"?.*', path="/v1/x")
    text = texts[0]
    lines = text.splitlines()
    metrics = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(metrics) == len(set(metrics)) == sum(line.startswith("# HELP ") for line in lines)
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    for family in text_string_to_metric_families(text):
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            if sample.labels.get("route") not in (None, "other", "none", "/login"):
                assert sample.labels["route"] in (name, r'~/v\d+/"?.*')
    assert key not in text
    assert '.example"' not in text


def scrape(relay: Gateway) -> str:
    url = f"http://127.0.0.1:{relay.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=HANG) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text: str = answer.read().decode()
        return text


def test_how_the_workers_are(tmp_path: Path, shop: Upstream) -> None:
    """What they remember and whether they may, and the store; of living workers alone."""
    shop.clear(accounts)
    with (
        redis_server(tmp_path) as server,
        gateway(tmp_path / "gateway", server.url, workers=2, **sections(shop)) as relay,
    ):
        eventually(lambda: relay.metrics()["latchkey_store_up"] == 1)
        keys = [log_in(relay.port, f"user{number}") for number in range(5)]
        shop.clear()
        for key in keys:
            assert call(relay, key) == 200
        eventually(lambda: relay.metrics()["latchkey_near_cache_entries"] == 5)
        assert relay.metrics()["latchkey_near_cache_trusted"] == 1
        os.kill(server.pid, signal.SIGSTOP)
        try:
            eventually(lambda: relay.metrics()["latchkey_near_cache_trusted"] == 0)
            eventually(lambda: relay.metrics()["latchkey_store_up"] == 0)
            eventually(lambda: relay.metrics()["latchkey_near_cache_entries"] == 0)
            before = relay.metrics()["latchkey_store_unavailable_total"]
            assert call(relay, keys[0]) == 503
            assert ask(relay.port, LOGOUT % keys[0].encode()).startswith(b"HTTP/1.1 503 ")
            assert relay.metrics()["latchkey_store_unavailable_total"] == before + 2
        finally:
            os.kill(server.pid, signal.SIGCONT)
        eventually(lambda: relay.metrics()["latchkey_store_up"] == 1)
        assert sum(name.startswith("latchkey_build_info{") for name in relay.metrics()) == 1


LOGOUT = (
    b"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"
)


def test_how_fast_a_logout_is_everywhere(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """Each revocation is measured by the push that comes back, over any worker."""
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        keys = [log_in(relay.port) for _ in range(20)]
        for key in [*keys, *keys]:  # a second logout ends nothing
            assert status(ask(relay.port, LOGOUT % key.encode())) == 204
        eventually(lambda: relay.metrics()["latchkey_revocation_seconds_count"] == len(keys))
        metrics = relay.metrics()
        slowest, total = (
            metrics["latchkey_revocation_seconds_max"],
            metrics["latchkey_revocation_seconds_sum"],
        )
        assert 0 < slowest <= total
        assert metrics['latchkey_revocation_seconds_bucket{le="+Inf"}'] == len(keys)
        killed = relay.workers()[0]
        os.kill(killed, signal.SIGKILL)
        until_two(relay, {killed})
        assert relay.metrics()["latchkey_revocation_seconds_max"] == slowest


def test_a_killed_supervisor_leaves_no_folder(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """Its workers tidy up as they end."""
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        until_two(relay, set())
        folder, workers = folder_of(relay), relay.workers()
        os.kill(relay.pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in workers))
    assert not folder.exists()


@pytest.mark.parametrize("closed", [True, False], ids=["a closed stdout", "a full disk"])
def test_logs_that_nobody_takes(
    tmp_path: Path, redis: RedisServer, shop: Upstream, closed: bool
) -> None:
    """They lose lines and no request; and the number of a closed stream is not given to a
    connection, which would get the logs.
    """
    shop.clear(accounts)
    port, admin_port, where = free_port(), free_port(), "stdout" if closed else "/dev/full"
    logs = {"access_log": where, "audit_log": where}
    file, log = tmp_path / "config.yaml", tmp_path / "gateway.log"
    settings = config(port, admin_port, tmp_path, redis.url, **{**sections(shop), **logs})
    file.write_text(yaml.safe_dump(settings))
    shell = f'exec "$0" -m gateway run -c "$1" {">&-" if closed else ""}'
    command = ["sh", "-c", shell, sys.executable, str(file)]
    with running(command, log=log, port=admin_port, env=environment()) as process:
        relay = Gateway(port, admin_port, process.pid, log, tmp_path / "access.log")
        key = log_in(port)
        shop.clear()
        for _ in range(20):
            assert call(relay, key) == 200
            assert call(relay, "nonsense") == 401
        assert relay.metrics()[LOGINS] == 1
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()

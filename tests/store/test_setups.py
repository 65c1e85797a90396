"""Redis as people run it, through two real gateways: what a session is on each kind of store."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.sessions.keys import new_key
from gateway.store.embedded_servers import bundled_binary
from tests.support.gateway import reload
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_gateways import Pair, gateways, pair
from tests.support.redis_sentinel import redis_sentinel
from tests.support.redis_server import RedisServer, redis_server
from tests.support.tls import Certificates, certificates

PASSWORD = "p@ss:/?#%+w"
ESCAPED = "p%40ss%3A%2F%3F%23%25%2Bw"

# No more than docs/configuration.md says that the gateway needs.
RIGHTS = [
    "~latchkey:*",
    "resetchannels",
    "-@all",
    "+@read",
    "+@write",
    "+@scripting",
    "+@connection",
]


@dataclass
class Setup:
    """What config.yaml says of the store, and the servers that hold sessions."""

    store: dict[str, Any]
    servers: Sequence[RedisServer]

    def looked_up(self) -> int:
        """How often the servers were asked for a session."""
        return sum(_calls(server, "cmdstat_evalsha") for server in self.servers)


@contextmanager
def standalone(folder: Path) -> Iterator[Setup]:
    with redis_server(folder) as server:
        yield Setup({"url": f"{server.url}/1"}, [server])


@contextmanager
def valkey(folder: Path) -> Iterator[Setup]:
    with redis_server(folder, binary=bundled_binary()) as server:
        yield Setup({"url": server.url}, [server])


@contextmanager
def unix_socket(folder: Path) -> Iterator[Setup]:
    path = str(folder / "a store.sock")
    options = ("--port", "0", "--unixsocket", path, "--requirepass", PASSWORD)
    settings = {"unix_socket_path": path, "password": PASSWORD}
    with redis_server(folder, *options, settings=settings) as server:
        url = f"unix://{path.replace(' ', '%20')}?db=2&password={ESCAPED}"
        yield Setup({"url": url}, [server])


@contextmanager
def tls(folder: Path) -> Iterator[Setup]:
    made = certificates(folder / "pki")
    with redis_server(folder, "--tls-auth-clients", "no", tls=made) as server:
        trust = {"ca_file": "../pki/ca.pem"}  # relative to config.yaml
        yield Setup({"url": f"rediss://127.0.0.1:{server.port}", "tls": trust}, [server])


@contextmanager
def tls_with_client_certificates(folder: Path) -> Iterator[Setup]:
    made = certificates(folder / "pki")
    with redis_server(folder, tls=made) as server:
        url = f"rediss://127.0.0.1:{server.port}"
        yield Setup({"url": url, "tls": _shown(made)}, [server])


@contextmanager
def acl(folder: Path) -> Iterator[Setup]:
    admin = ("--user", "admin", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    options = ("--user", "default", "off", *admin)
    settings = {"username": "admin", "password": PASSWORD}
    with redis_server(folder, *options, settings=settings) as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "gate+way", "on", f">{PASSWORD}", *RIGHTS)
        yield Setup({"url": f"redis://gate%2Bway:{ESCAPED}@127.0.0.1:{server.port}"}, [server])


@contextmanager
def password_beside(folder: Path) -> Iterator[Setup]:
    with redis_server(folder, "--requirepass", PASSWORD, settings={"password": PASSWORD}) as server:
        yield Setup({"url": f"redis://127.0.0.1:{server.port}", "password": PASSWORD}, [server])


@contextmanager
def sentinel(folder: Path) -> Iterator[Setup]:
    options = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    with redis_sentinel(
        folder, *options, settings={"password": PASSWORD}, sentinel_password="watching"
    ) as running:
        store = {"url": f"{running.url}?db=3", "sentinel": {"password": "watching"}}
        yield Setup(store, running.servers)


@contextmanager
def cluster(folder: Path) -> Iterator[Setup]:
    options = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    gate = ("--user", "gate", "on", f">{PASSWORD}", *RIGHTS, "+cluster|slots")
    with redis_cluster(folder, *options, *gate, settings={"password": PASSWORD}) as running:
        url = f"redis+cluster://gate:{ESCAPED}@{running.hosts}"
        yield Setup({"url": url}, running.nodes[: running.size])


@contextmanager
def sentinel_over_tls(folder: Path) -> Iterator[Setup]:
    made = certificates(folder / "pki")
    with redis_sentinel(folder, tls=made) as running:
        url = running.url.replace("redis+", "rediss+")
        yield Setup({"url": url, "tls": _shown(made)}, running.servers)


@contextmanager
def cluster_over_tls(folder: Path) -> Iterator[Setup]:
    made = certificates(folder / "pki")
    with redis_cluster(folder, replicas=False, tls=made) as running:
        url = f"rediss+cluster://{running.hosts}"
        yield Setup({"url": url, "tls": _shown(made)}, running.nodes)


SETUPS = [
    standalone,
    valkey,
    unix_socket,
    tls,
    tls_with_client_certificates,
    acl,
    password_beside,
    sentinel,
    sentinel_over_tls,
    cluster,
    cluster_over_tls,
]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.__name__)
async def test_a_session_on_two_gateways(
    setup: Callable[[Path], AbstractContextManager[Setup]], backend: str, tmp_path: Path
) -> None:
    """Login, calls on both, from memory once it is known, and a logout that both gateways feel;
    failed logins that both count.
    """
    with setup(tmp_path) as store, gateways(tmp_path, store.store, backend) as running:
        async with pair(running) as both:
            await both.recovered()
            keys = {f"user-{n}": await both.log_in(n % 2, f"user-{n}") for n in range(12)}
            await _all_served(both, keys)
            before = store.looked_up()
            assert before > 0
            for _ in range(5):
                await _all_served(both, keys)
            assert store.looked_up() == before, "the near cache was not used"
            gone = keys.pop("user-3")
            assert await both.log_out(0, gone) == 204
            await both.until(1, gone, 401)
            await both.until(0, gone, 401)
            await _all_served(both, keys)
            await _guesses_are_counted(both)
        for gateway in running:
            assert PASSWORD not in gateway.log.read_text()
            assert ESCAPED not in gateway.log.read_text()


@pytest.mark.parametrize("certificate", ["of another authority", "of another host", "none"])
async def test_a_server_that_is_not_who_it_should_be(
    certificate: str, backend: str, tmp_path: Path
) -> None:
    """A store whose certificate is wrong is a store that is away: 503, and never 401."""
    made = certificates(tmp_path / "pki")
    options = [] if certificate == "none" else ["--tls-auth-clients", "no"]
    with redis_server(tmp_path, *options, tls=made) as server:
        host = "localhost" if certificate == "of another host" else "127.0.0.1"
        store: dict[str, Any] = {"url": f"rediss://:swordfish@{host}:{server.port}"}
        if certificate != "of another authority":
            store["tls"] = {"ca_file": str(made.ca)}
        with gateways(tmp_path, store, backend) as running:
            async with pair(running) as both:
                for answer in (
                    await both.call(0, new_key(bytes(32)).reveal()),
                    await both.ask(0, "POST", "/login", username="alice"),
                ):
                    assert answer.status == 503
                    assert "Retry-After" in answer.headers
                assert not await both.is_ready(0)
            assert "swordfish" not in running[0].log.read_text()


async def test_certificates_need_not_be_checked(backend: str, tmp_path: Path) -> None:
    """`verify: false` is for those who know what they do."""
    made = certificates(tmp_path / "pki")
    with redis_server(tmp_path, "--tls-auth-clients", "no", tls=made) as server:
        url = f"rediss://localhost:{server.port}"
        with gateways(tmp_path, {"url": url, "tls": {"verify": False}}, backend) as running:
            async with pair(running) as both:
                await both.recovered()


async def test_a_password_is_rotated_by_a_reload(backend: str, tmp_path: Path) -> None:
    """Redis knows both for a while, the gateway takes the new one, and no request is refused."""
    user = ("--user", "gate", "on", ">the-first", ">the-second", "~*", "&*", "+@all")
    with redis_server(tmp_path, *user) as server:
        url = f"redis://gate:the-first@127.0.0.1:{server.port}"
        with gateways(tmp_path, url, backend) as running:
            async with pair(running) as both:
                await both.recovered()
                key = await both.log_in(0, "alice")
                file, workers = tmp_path / "one" / "config.yaml", running[0].workers()
                file.write_text(file.read_text().replace("the-first", "the-second"))
                reload(running[0])
                while set(running[0].workers()) & set(workers):
                    assert (await both.call(0, key)).status == 200
                    await asyncio.sleep(0.02)
                with server.client() as client:
                    client.execute_command("ACL", "SETUSER", "gate", "<the-first")
                    client.client_kill_filter(user="gate")
                await both.until(1, key, 503)
                await both.until(0, key, 200)
                while not await both.is_ready(0):
                    await asyncio.sleep(0.02)


async def _all_served(both: Pair, keys: dict[str, str]) -> None:
    for name, key in keys.items():
        for at in (0, 1):
            answer = await both.call(at, key)
            assert (answer.status, answer.body) == (200, {"sub": name})


async def _guesses_are_counted(both: Pair) -> None:
    """After five failures (`guessing.delay_after`) the next attempt has to wait, wherever it is."""
    for number in range(5):
        answer = await both.ask(number % 2, "POST", "/login", username="eve", password="wrong")
        assert answer.status == 401
    for at in (0, 1):
        answer = await both.ask(at, "POST", "/login", username="eve", password="right")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    # What may continue another login is looked up, all at once.
    tokens = {"ticket": "3f2504e0-4f89-41d3", "flow": "9a0c-0305e82c3301"}
    assert (await both.ask(0, "POST", "/login", username="adam", **tokens)).status == 200


def _shown(made: Certificates) -> dict[str, str]:
    return {
        "ca_file": str(made.ca),
        "cert_file": str(made.client),
        "key_file": str(made.client_key),
    }


def _calls(server: RedisServer, command: str) -> int:
    with server.client() as client:
        said = client.info("commandstats").get(command, {"calls": 0})
        return int(said["calls"])

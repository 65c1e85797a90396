"""Redis behind Sentinel for tests: a primary, its replicas, and three sentinels that agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.redis_server import RedisServer, eventually, free_ports, running
from tests.support.tls import Certificates

SERVICE = "sessions"
_DOWN_AFTER = 700  # milliseconds
_FAILOVER_TIMEOUT = 1500


@dataclass
class RedisSentinel:
    """The servers, of which Sentinel knows the primary, and the sentinels."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]
    behind: list[RedisServer]  # sentinels that go on to name the first primary

    @property
    def url(self) -> str:
        """What a gateway is told. Those that are behind are the first that it could ask."""
        asked = [*self.behind, *self.sentinels]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in asked)
        password = self.servers[0].settings.get("password")
        account = f":{quote(password, safe='')}@" if password else ""
        return f"redis+sentinel://{account}{hosts}/{SERVICE}"

    def primary(self) -> RedisServer:
        """The one that the sentinels name, as soon as they agree on it and it agrees with them."""
        found: RedisServer = eventually(self._agreed, "a primary")
        return found

    def ready(self, replicas: int = 1) -> bool:
        """Whether a failover would succeed: so many replicas follow, and the sentinels know all."""
        for sentinel in self.sentinels:
            with sentinel.client(socket_timeout=1) as client:
                said = client.execute_command("SENTINEL MASTER", SERVICE)
                known = (said["num-slaves"], said["num-other-sentinels"])
                if known != (len(self.servers) - 1, len(self.sentinels) - 1):
                    return False
        primary = self._agreed()
        if primary is None:
            return False
        with primary.client(socket_timeout=1) as client:
            said = client.info("replication")
        states = [said[f"slave{at}"]["state"] for at in range(said["connected_slaves"])]
        return states.count("online") >= replicas

    def fail_over(self) -> None:
        """Has Sentinel promote a replica while the primary is well; returns when it has."""
        before = self.primary()
        eventually(self._asked_to, "a failover")
        eventually(lambda: self.primary() is not before, "another primary")

    def _asked_to(self) -> bool:
        with self.sentinels[0].client() as client:
            return bool(client.execute_command("SENTINEL FAILOVER", SERVICE))

    def _agreed(self) -> RedisServer | None:
        named = set()
        for sentinel in self.sentinels:
            with sentinel.client(socket_timeout=1) as client:
                named.add(client.sentinel_get_master_addr_by_name(SERVICE)[1])
        server = next((server for server in self.servers if {server.port} == named), None)
        if server is None:
            return None
        with server.client(socket_timeout=1) as client:
            return server if client.info("replication")["role"] == "master" else None


@contextmanager
def redis_sentinel(
    folder: Path,
    *options: str,
    replicas: int = 1,
    behind: int = 0,
    settings: dict[str, Any] | None = None,
    sentinel_password: str = "",
    tls: Certificates | None = None,
) -> Iterator[RedisSentinel]:
    """`settings` are what a client of the servers needs; `behind` is how many further sentinels
    learn of no failover.
    """
    more: dict[str, Any] = {"settings": settings, "tls": tls}
    first, *ports = free_ports(1 + replicas + 3 + behind)
    servers = [RedisServer(folder, *_OPTIONS, *options, port=first, **more)]
    for port in ports[:replicas]:
        follow = ("--replicaof", f"127.0.0.1 {first}")
        servers.append(RedisServer(folder, *_OPTIONS, *options, *follow, port=port, **more))
    lines = [f"sentinel rename-command {SERVICE} {name} unknown-{name}" for name in _LISTENING]
    sentinels = [
        _sentinel(folder, port, servers[0], sentinel_password, tls, lines if at >= 3 else [])
        for at, port in enumerate(ports[replicas:])
    ]
    with running([*servers, *sentinels]):
        setup = RedisSentinel(servers, sentinels[:3], sentinels[3:])
        eventually(lambda: setup.ready(replicas), "Sentinel")
        yield setup


# By these commands a sentinel finds the others and hears what they know. One that calls them by
# names that no server knows is cut off from the others, as by a broken network.
_LISTENING = ("INFO", "PUBLISH", "SUBSCRIBE")

_OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


def _sentinel(
    folder: Path,
    port: int,
    primary: RedisServer,
    password: str,
    tls: Certificates | None,
    more: list[str],
) -> RedisServer:
    file = folder / f"sentinel-{port}.conf"
    lines = [
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2",
        f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}",
        f"sentinel failover-timeout {SERVICE} {_FAILOVER_TIMEOUT}",
        *more,
    ]
    if "password" in primary.settings:
        lines.append(f'sentinel auth-pass {SERVICE} "{primary.settings["password"]}"')
    if password:
        lines += [f'requirepass "{password}"', f'sentinel sentinel-pass "{password}"']
    file.write_text("\n".join(lines) + "\n")
    settings = {"password": password} if password else {}
    return RedisServer(folder, "--sentinel", file=file, port=port, settings=settings, tls=tls)

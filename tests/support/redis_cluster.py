"""A real Redis Cluster for tests: primaries with a replica each, and slots that can be moved."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.support.redis_server import RedisServer, eventually, free_ports, running

SLOTS = 16384
_NODE_TIMEOUT = 1000  # milliseconds after which a node counts as gone


@dataclass
class RedisCluster:
    """The nodes: first the primaries in the order of their slots, then a replica of each."""

    nodes: list[RedisServer]
    size: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def hosts(self) -> str:
        """What stands in a URL."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[: self.size])

    @property
    def url(self) -> str:
        return f"redis+cluster://{self.hosts}"

    def client(self) -> "redis.RedisCluster":
        first = self.nodes[0].settings
        return redis.RedisCluster(host="127.0.0.1", **first)

    def id_of(self, node: RedisServer) -> str:
        with node.client() as client:
            return str(client.execute_command("CLUSTER MYID").decode())

    def is_primary(self, node: RedisServer) -> bool:
        with node.client() as client:
            return bool(client.info("replication")["role"] == "master")

    def primaries(self) -> set[int]:
        """The ports of those that have slots, as the first node that answers sees it."""
        for node in self.nodes:
            try:
                with node.client(socket_timeout=1) as client:
                    found = client.execute_command("CLUSTER SLOTS")
            except (redis.RedisError, OSError):
                continue
            return {int(part[2][1]) for part in _raw(found)}
        return set()

    def home(self, name: str) -> tuple[int, RedisServer]:
        """A key's slot, and the primary that has it."""
        for node in self.nodes:
            try:
                with node.client(socket_timeout=1) as client:
                    slot = client.execute_command("CLUSTER KEYSLOT", name)
                    for part in _raw(client.execute_command("CLUSTER SLOTS")):
                        if part[0] <= slot <= part[1]:
                            return slot, self._by_port(int(part[2][1]))
            except (redis.RedisError, OSError):
                continue
        raise AssertionError("no node knows")

    def settled(self) -> bool:
        """Whether every node that runs sees the whole of the cluster."""
        for node in self.nodes:
            with node.client(socket_timeout=1) as client:
                info = client.execute_command("CLUSTER INFO")
                if info["cluster_state"] != "ok" or info["cluster_slots_ok"] != str(SLOTS):
                    return False
                if info["cluster_known_nodes"] != str(len(self.nodes)):
                    return False
                replication = client.info("replication")
                if replication["role"] != "master" and replication["master_link_status"] != "up":
                    return False
        return True

    def errors(self) -> dict[str, int]:
        """How often each kind of error was answered, over all nodes that run."""
        counted: dict[str, int] = {}
        for node in self.nodes:
            with contextlib.suppress(redis.ConnectionError), node.client() as client:
                for name, value in client.info("errorstats").items():
                    kind = name.removeprefix("errorstat_")
                    counted[kind] = counted.get(kind, 0) + value["count"]
        return counted

    def slots_in_use(self, node: RedisServer) -> list[int]:
        """The slots of a node that hold sessions."""
        with node.client() as client:
            names = list(client.scan_iter(match="*:s:*", count=1000))
            return sorted({client.execute_command("CLUSTER KEYSLOT", name) for name in names})

    def move(self, slot: int, source: RedisServer, target: RedisServer, pause: float) -> None:
        """Moves a slot while it is in use, with a pause between any two steps."""
        from_id, to_id = self.id_of(source), self.id_of(target)
        with source.client() as old, target.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", from_id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to_id)
            while names := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
                old.migrate("127.0.0.1", target.port, names, 0, 5000)
                time.sleep(pause)
            time.sleep(pause)
            for client in (new, old):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", to_id)

    def _by_port(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)


@contextmanager
def redis_cluster(
    folder: Path, *options: str, size: int = 3, replicas: bool = True, spare: int = 0, **more: Any
) -> Iterator[RedisCluster]:
    """`size` primaries, a replica of each, and `spare` nodes without slots."""
    number = size * (2 if replicas else 1) + spare
    ports = free_ports(2 * number)
    nodes = [
        RedisServer(folder, *_options(port, bus), *options, port=port, **more)
        for port, bus in zip(ports[:number], ports[number:], strict=True)
    ]
    with running(nodes):
        cluster = RedisCluster(nodes, size)
        _join(cluster, replicas)
        yield cluster


def _options(port: int, bus: int) -> list[str]:
    chosen = {
        "cluster-enabled": "yes",
        "cluster-config-file": f"nodes-{port}.conf",
        "cluster-port": str(bus),
        "cluster-node-timeout": str(_NODE_TIMEOUT),
        "cluster-announce-ip": "127.0.0.1",
        "cluster-replica-validity-factor": "0",
        "repl-diskless-sync-delay": "0",
        "enable-debug-command": "yes",
    }
    return [part for name, value in chosen.items() for part in (f"--{name}", value)]


def _join(cluster: RedisCluster, replicas: bool) -> None:
    first, share = cluster.nodes[0], -(-SLOTS // cluster.size)
    for at, node in enumerate(cluster.nodes):
        with node.client() as client:
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", at + 1)
            if at < cluster.size:
                last = min(SLOTS, (at + 1) * share) - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", at * share, last)
            if node is not first:
                bus = _bus_port(first)
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, bus)
    if replicas:
        for at in range(cluster.size):
            of, node = cluster.nodes[at], cluster.nodes[cluster.size + at]
            eventually(lambda node=node, of=of: _replicate(cluster, node, of), "a replica")
    eventually(cluster.settled, "a cluster")


def _bus_port(node: RedisServer) -> int:
    with node.client() as client:
        return int(client.config_get("cluster-port")["cluster-port"])


def _replicate(cluster: RedisCluster, node: RedisServer, of: RedisServer) -> bool:
    with node.client() as client:
        client.execute_command("CLUSTER REPLICATE", cluster.id_of(of))
    return True


def _raw(found: Any) -> Any:
    """CLUSTER SLOTS as the server says it, whatever redis-py has made of it."""
    if isinstance(found, dict):
        return [[a, b, [*v["primary"][:2]]] for (a, b), v in found.items()]
    return found

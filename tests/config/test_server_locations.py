"""Which addresses are one server's: what is guarded at one is guarded at all of them."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from tests.config.test_warnings import config
from tests.support.configs import write
from tests.support.processes import HANG


def are_one(folder: Path, one: str, other: str) -> bool:
    """Whether these two addresses of upstreams are one server's."""
    changed = config(upstreams={"api": one, "other": other})
    upstreams = load(write(folder, yaml.safe_dump(changed)), {}).upstreams
    [first], [second] = upstreams["api"].servers, upstreams["other"].servers
    return bool(first.locations & second.locations)


@pytest.mark.parametrize(
    "other",
    [
        "http://127.0.0.1:9000",
        "https://127.0.0.1:9000",
        "http://localhost:9000",
        "http://LocalHost:9000",
        "http://localhost.:9000",
        "http://app.localhost:9000",
        "http://0.0.0.0:9000",
        "http://0:9000",
        "http://127.1:9000",
        "http://127.0.0.2:9000",
        "http://2130706433:9000",
        "http://0x7f000001:9000",
        "http://0x7f.1:9000",
        "http://0177.0.0.1:9000",
        "http://127.0.0.1.:9000",
        "http://[::1]:9000",
        "http://[::]:9000",
        "http://[0:0:0:0:0:0:0:1]:9000",
        "http://[::ffff:127.0.0.1]:9000",
        "http://[::ffff:7f00:1]:9000",
        f"http://{socket.gethostname()}:9000",
    ],
)
def test_this_machine_has_many_addresses(tmp_path: Path, other: str) -> None:
    """A server that listens on all of them is reached by each, in each spelling."""
    assert are_one(tmp_path, "http://127.0.0.1:9000", other)
    assert are_one(tmp_path, other, "http://[::1]:9000")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("http://192.0.2.7:9000", "http://[::ffff:192.0.2.7]:9000", True),
        ("http://192.0.2.7:9000", "http://3221225991:9000", True),
        ("http://[2001:db8::7]:9000", "http://[2001:0DB8:0::0007]:9000", True),
        ("http://192.0.2.7", "https://192.0.2.7", True),
        ("http://192.0.2.7:80", "https://192.0.2.7:443", True),
        ("http://192.0.2.7:9000", "http://192.0.2.8:9000", False),
        ("http://192.0.2.7:9000", "http://192.0.2.7:9001", False),
        ("http://192.0.2.7:9000", "http://127.0.0.1:9000", False),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9001", False),
        ("http://a.test:9000", "http://b.test:9001", False),
        ("http://a.test:9000", "http://A.Test.:9000", True),
        ("unix:/run/a.sock", "http://127.0.0.1:9000", False),
        ("unix:/run/a.sock", "unix:/run/../run/a.sock", True),
        ("unix:/run/a.sock", "unix:/run/b.sock", False),
    ],
)
def test_other_addresses(tmp_path: Path, one: str, other: str, expected: bool) -> None:
    """They are compared as numbers, with their ports; http and https are no difference."""
    assert are_one(tmp_path, one, other) is expected


Resolver = Callable[..., list[Any]]


def resolver(names: dict[str, tuple[str, ...]], delay: float = 0.0) -> Resolver:
    """A name server that knows these names."""
    numeric = socket.getaddrinfo

    def getaddrinfo(host: str, port: object, **more: Any) -> list[Any]:
        if host not in names:
            return numeric(host, None, flags=socket.AI_NUMERICHOST, **more)
        time.sleep(delay)
        return [info for address in names[host] for info in numeric(address, None, **more)]

    return getaddrinfo


def test_names_of_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are one server's if they share an address; a name that stands for it is one, too."""
    names = {
        "a.test": ("192.0.2.7",),
        "b.test": ("192.0.2.8", "192.0.2.7"),
        "c.test": ("192.0.2.9",),
        "d.test": ("127.0.0.1",),
    }
    monkeypatch.setattr(socket, "getaddrinfo", resolver(names))
    assert are_one(tmp_path, "http://a.test:9000", "http://b.test:9000")
    assert are_one(tmp_path, "http://A.TEST:9000", "http://192.0.2.7:9000")
    assert are_one(tmp_path, "http://d.test:9000", "http://0.0.0.0:9000")
    assert not are_one(tmp_path, "http://a.test:9000", "http://c.test:9000")


def test_a_name_that_cannot_be_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error, and may be any other server on the port: it is guarded, and not left out."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"a.test": ("192.0.2.7",)}))
    assert are_one(tmp_path, "http://a.test:9000", "http://gone.test:9000")
    assert are_one(tmp_path, "http://gone.test:9000", "http://192.0.2.7:9000")
    assert not are_one(tmp_path, "http://a.test:9000", "http://gone.test:9001")


def test_a_name_server_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up no start, and the name counts as one that cannot be resolved."""
    monkeypatch.setattr("gateway.config.server_locations._RESOLVING_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"slow.test": ("192.0.2.8",)}, delay=HANG))
    began = time.monotonic()
    assert are_one(tmp_path, "http://slow.test:9000", "http://192.0.2.7:9000")
    assert time.monotonic() - began < HANG / 2


def test_links_to_a_socket(tmp_path: Path) -> None:
    """A unix socket is one server over each path to it, there already or not."""
    path, link, hard = (tmp_path / name for name in ("a.sock", "link.sock", "hard.sock"))
    link.symlink_to(path)
    assert are_one(tmp_path, f"unix:{path}", f"unix:{link}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        os.link(path, hard)
        assert are_one(tmp_path, f"unix:{path}", f"unix:{hard}")
    folder = tmp_path / "linked"
    folder.symlink_to(tmp_path)
    assert are_one(tmp_path, f"unix:{path}", f"unix:{folder}/a.sock")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("http://one.test:9000", "http://other.test:9000", True),
        ("http://one.test:9000", "http://192.0.2.7:9000", True),
        ("http://one.test:9000", "http://192.0.2.7:9001", False),
        ("http://192.0.2.8:9000", "http://192.0.2.7:9000", False),
    ],
)
def test_a_name_that_is_looked_up_again_may_be_any_server_on_its_port(
    tmp_path: Path, one: str, other: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lead there later. An address stays what it is."""
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda name, *_, **__: [(0, 0, 0, "", (name_ip(name), 0))]
    )
    changed = config(upstreams={"api": {"servers": one, "resolve": "5s"}, "other": other})
    upstreams = load(write(tmp_path, yaml.safe_dump(changed)), {}).upstreams
    [first], [second] = upstreams["api"].servers, upstreams["other"].servers
    assert bool(first.locations & second.locations) is expected


def name_ip(name: str) -> str:
    """Another address for each name."""
    return {"one.test": "192.0.2.1", "other.test": "192.0.2.2"}.get(name, name)


def test_many_names_are_resolved_by_a_bounded_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with thousands of names needs no thread for each; all are resolved."""
    asked: list[str] = []
    threads = []

    def look_up(name: str, *_: object, **__: object) -> list[Any]:
        threads.append(threading.active_count())
        time.sleep(0.005)
        asked.append(name)
        return [(None, None, None, "", ("192.0.2.1", 0))]

    before = threading.active_count()
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    names = [f"server{number}.test" for number in range(100)]
    upstreams = {"api": {"servers": [f"http://{name}:9000" for name in names]}}
    load(write(tmp_path, yaml.safe_dump(config(upstreams=upstreams))), {})
    assert sorted(asked) == sorted(names)
    assert max(threads) - before <= 32

"""What config.yaml may say of how upstreams are reached."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.problems import ConfigError
from gateway.config.upstream_sections import Upstream
from gateway.core.http.addresses import TcpAddress, parse_server
from tests.config.test_warnings import config
from tests.support.configs import write
from tests.support.tls import certificates


def loaded(folder: Path, upstream: dict[str, Any]) -> Upstream:
    data = config(upstreams={"api": {"servers": "https://api.test", **upstream}})
    return load(write(folder, yaml.safe_dump(data)), {}).upstreams["api"]


def complaint(folder: Path, upstream: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(folder, upstream)
    return str(raised.value)


def test_a_time_is_how_often_names_are_looked_up(tmp_path: Path) -> None:
    """A DNS server may be named beside it; its port is 53 unless it says otherwise."""
    resolve = loaded(tmp_path, {"resolve": "2s"}).resolve
    assert resolve is not None
    assert (resolve.every, resolve.resolver) == (2.0, None)
    for text, address in (
        ("10.0.0.2", TcpAddress("10.0.0.2", 53)),
        ("127.0.0.1:8600", TcpAddress("127.0.0.1", 8600)),
        ("[::1]:5353", TcpAddress("::1", 5353)),
    ):
        resolve = loaded(tmp_path, {"resolve": {"resolver": text}}).resolve
        assert resolve is not None
        assert (resolve.every, resolve.resolver) == (5.0, address)


@pytest.mark.parametrize("text", ["dns.test", "10.0.0.2:", "10.0.0", "10.0.0.2:0", ""])
def test_a_dns_server_has_an_address(tmp_path: Path, text: str) -> None:
    """A name would have to be looked up itself."""
    assert "is not a DNS server" in complaint(tmp_path, {"resolve": {"resolver": text}})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.test", True),
        ("localhost", True),
        ("4chan.test", True),
        ("10.0.0.1", False),
        ("127.1", False),
        ("0x7f000001", False),
        ("[::1]", False),
    ],
)
def test_names_are_told_from_addresses(host: str, expected: bool) -> None:
    """An address is not looked up, in whatever spelling."""
    assert parse_server(f"http://{host}:80").has_name is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://10.0.0.999", "no IPv4 address: 10.0.0.999"),
        ("http://10.0.0.1.5", "no IPv4 address: 10.0.0.1.5"),
        ("http://256.1", "no IPv4 address: 256.1"),
        ("http://api.1", "no IPv4 address: api.1"),
        ("http://[1::2::3]", "no IPv6 address: 1::2::3"),
        (f"http://{'a' * 64}.test", "has a host that is no name"),
        (f"http://{'a.' * 127}b", "has a host that is no name"),
        ("http://api..test", "has a host that is no name"),
        ("http://.api.test", "has a host that is no name"),
        ("http://api.test:0", "is not a server"),
    ],
)
def test_a_server_has_a_host_that_can_be_reached(tmp_path: Path, url: str, expected: str) -> None:
    """What no system connects to is an error before any request fails."""
    assert expected in complaint(tmp_path, {"servers": url})


def test_the_files_of_tls_are_checked(tmp_path: Path) -> None:
    """Their paths are relative to the configuration."""
    files = certificates(tmp_path / "files")
    tls = loaded(
        tmp_path, {"tls": {"cert_file": "files/client.pem", "key_file": "files/client.key"}}
    ).tls
    assert tls.cert_file == str(files.client)
    assert "key_file goes with a cert_file" in complaint(tmp_path, {"tls": {"key_file": "a"}})
    wrong = {"cert_file": str(files.client), "key_file": str(files.server_key)}
    assert "cannot be used: needs a certificate" in complaint(tmp_path, {"tls": wrong})
    assert "cannot be read" in complaint(tmp_path, {"tls": {"cert_file": "missing.pem"}})


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ({"servers": []}, "upstreams.api.servers: must not be empty"),
        ({"servers": [{"url": "http://a", "weight": 0}]}, "needs a weight from 1 to 1000"),
        ({"servers": [{"url": "http://a", "weight": 1.5}]}, "needs a weight from 1 to 1000"),
        ({"servers": [{"weight": 2}]}, "is not a server"),
        ({"balance": "random"}, "must be 'least_busy' or 'round_robin'"),
        ({"balance": {"sticky": "header"}}, "must be 'session' or 'cookie'"),
        ({"balance": {"sticky": "cookie", "name": "a b"}}, "balance.name: is one word"),
        ({"health": {"interval": "1s"}}, "upstreams.api.health: needs path"),
        ({"health": {"path": "/x", "status": 99}}, "health.status"),
        ({"health": "/x#part"}, "without spaces and #"),
        ({"eject": {"statuses": [200]}}, "is not a status of failure"),
        ({"eject": {"max_percent": "200%"}}, "is not a share"),
        ({"breaker": {"of": 0}}, "must be at least 2"),
        ({"try_form": "1s"}, "upstreams.api.try_form: is not known here"),
        ({"queue": {"size": -1}}, "must be at least 0"),
    ],
)
def test_a_wrong_setting_is_one_problem(
    tmp_path: Path, upstream: dict[str, Any], expected: str
) -> None:
    """With its line, and nothing else beside it."""
    said = complaint(tmp_path, upstream)
    assert expected in said
    assert len(said.splitlines()) == 1

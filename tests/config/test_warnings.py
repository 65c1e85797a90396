"""What `gateway check` warns of: allowed, and less safe than it could be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from tests.config.test_load import write


def config(**changes: Any) -> dict[str, Any]:
    """A configuration of which nothing is to be said; `changes` replace or add sections."""
    return {
        "version": 1,
        "upstreams": {"api": "http://127.0.0.1:9000"},
        "routes": [{"path": "/*", "upstream": "api"}],
        **changes,
    }


def warned(folder: Path, **changes: Any) -> list[str]:
    """The warnings, without the name of the file."""
    file = write(folder, yaml.safe_dump(config(**changes), sort_keys=False))
    return [
        str(problem).partition("config.yaml:")[2] for problem in load_with_warnings(file, {})[1]
    ]


def test_a_plain_configuration_has_no_warning(tmp_path: Path) -> None:
    """A warning is worth reading: the defaults give none."""
    assert warned(tmp_path) == []


def test_an_upstream_whose_certificate_is_not_checked(tmp_path: Path) -> None:
    """Who stands between could read every token."""
    upstream = {"servers": "https://api.example", "tls": {"verify": False}}
    [warning] = warned(tmp_path, upstreams={"api": upstream})
    assert warning.startswith("6:15: upstreams.api.tls.verify: accepts any certificate")


def test_any_number_of_sessions(tmp_path: Path) -> None:
    """One account could fill the store; the default is a number."""
    [warning] = warned(tmp_path, session={"max_per_subject": 0})
    assert warning.startswith("8:20: session.max_per_subject: lets one account fill the store")
    assert load(write(tmp_path, yaml.safe_dump(config())), {}).session.max_per_subject == 100


def test_a_backends_logout_that_is_undone(tmp_path: Path) -> None:
    """A revoked token is refused for good, unless somebody has decided otherwise."""
    [warning] = warned(tmp_path, session={"renew_on_upstream_401": True})
    assert "session.renew_on_upstream_401: replaces tokens that a backend has revoked" in warning


def test_logins_whose_failures_are_not_counted(tmp_path: Path) -> None:
    """Each place that says so, if there is a login that it concerns."""
    login = {"kind": "backend", "path": "/login", "upstream": "api", "token": "/token"}
    logins = [
        {
            **login,
            "verify": {"secret": "a secret of the tests, long enough"},
            "subject_prefix": "a:",
        },
        {**login, "path": "/b", "guessing": "off", "subject_prefix": "b:"},
    ]
    got = warned(tmp_path, login=logins, guessing="off")
    places = [line.split(": ")[1] for line in got if "lets passwords be guessed" in line]
    assert sorted(places) == ["guessing", "login[1].guessing"]
    got = warned(tmp_path, login=[logins[0]], guessing={"per_address": 5})
    assert not any("guessed" in line for line in got)
    assert warned(tmp_path, guessing="off") == []


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (["0.0.0.0/0"], 1),
        (["::/0", "10.0.0.0/8"], 1),
        (["0.0.0.0/1", "128.0.0.0/1", "2000::/3"], 3),
        (["10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "unix", "127.0.0.1"], 0),
    ],
)
def test_networks_that_are_too_large(tmp_path: Path, networks: list[str], expected: int) -> None:
    """Clients come from there as well, and would choose their addresses, or be told tokens."""
    got = warned(tmp_path, trusted_proxies=networks)
    assert len(got) == expected
    assert all("trusted_proxies[" in warning for warning in got)
    assert all("trusts clients as well" in warning for warning in got)
    assert len(warned(tmp_path, verify={"trusted": networks})) == expected


@pytest.mark.parametrize(
    ("mode", "proxies", "expected"),
    [
        ("0660", ["unix"], ""),
        ("0666", ["unix", "10.0.0.0/8"], "lets any process of this machine say who it is"),
        ("0660", ["10.0.0.0/8"], "gives all clients one address"),
        ("0666", [], "gives all clients one address"),
    ],
)
def test_a_unix_socket(tmp_path: Path, mode: str, proxies: list[str], expected: str) -> None:
    """Its peer has no address: a proxy has to say whose request it is, and no other process may."""
    listen = [{"address": "unix:/run/a.sock", "mode": mode}, ":8080"]
    got = warned(tmp_path, listen=listen, trusted_proxies=proxies)
    assert len(got) == bool(expected)
    assert all(expected in warning and "listen[0]" in warning for warning in got)

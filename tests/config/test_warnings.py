"""What `gateway check` warns of: allowed, and less safe than it could be."""

from pathlib import Path
from typing import Any

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

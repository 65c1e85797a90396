"""What `refresh` and `renew.backend_path` may say, and where frontends refresh by default."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from gateway.config.load_isolated import load_in_child
from gateway.config.login_places import backend_paths, refresh_paths
from gateway.config.model import Config
from gateway.core.logins.login_paths import LoginPath
from tests.support import configs

LOGIN = {"kind": "backend", "path": "/login", "upstream": "api"}
RENEW = {"upstream": "api", "backend_path": "/refresh"}


def write(folder: Path, login: Any, **more: Any) -> Path:
    data = {
        "version": 1,
        "upstreams": {"api": "http://127.0.0.1:9000", "ids": "http://127.0.0.1:9001"},
        "login": login,
        "routes": [],
        **more,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def problems(file: Path) -> list[str]:
    return configs.problems(file.parent, file.read_text())


def refreshes_at(config: Config) -> list[str]:
    return [path.path for path in refresh_paths(config)]


@pytest.mark.parametrize(
    ("login", "path"),
    [
        ({"renew": RENEW}, "/refresh"),
        ({"path": "/auth/login", "backend_path": "/login", "renew": RENEW}, "/auth/refresh"),
        ({"renew": {**RENEW, "backend_path": "/login?grant_type=refresh_token"}}, "/login"),
        ({"renew": RENEW, "refresh": "/again"}, "/again"),
        ({"renew": RENEW, "refresh": {"path": "/again"}}, "/again"),
        # Where frontends call is not known.
        ({"path": "/enter", "backend_path": "/login", "renew": RENEW}, None),
        ({"renew": {**RENEW, "upstream": "ids"}}, None),
        ({"renew": {**RENEW, "upstream": "ids"}, "refresh": "/again"}, "/again"),
        ({"renew": RENEW, "refresh": "off"}, None),
        ({"renew": RENEW, "refresh": False}, None),
        ({}, None),
    ],
)
def test_where(tmp_path: Path, login: dict[str, Any], path: str | None) -> None:
    """Where `renew` asks, seen from the login; if config.yaml says nothing else."""
    file = write(tmp_path, {**LOGIN, **login})
    expected = [] if path is None else [path]
    assert refreshes_at(load(file, {})) == expected
    assert refreshes_at(load_in_child(file)) == expected


@pytest.mark.parametrize(
    ("login", "warns"),
    [
        ({"renew": {**RENEW, "upstream": "ids"}}, True),
        ({"renew": {**RENEW, "upstream": "ids"}, "refresh": "off"}, False),
        ({"renew": {**RENEW, "upstream": "ids"}, "refresh": "/again"}, False),
        ({"renew": RENEW}, False),
        ({}, False),
    ],
)
def test_a_path_that_is_not_known_is_warned_of(
    tmp_path: Path, login: dict[str, Any], warns: bool
) -> None:
    """A frontend that refreshes by itself would find neither a refresh token nor a refresh key."""
    _, warnings = load_with_warnings(write(tmp_path, {**LOGIN, **login}), {})
    assert (
        any("where frontends refresh is not known" in str(warning) for warning in warnings) is warns
    )


def test_a_renewal_of_all_logins(tmp_path: Path) -> None:
    """Logins that share one share its refresh path."""
    logins = [LOGIN, {**LOGIN, "path": "/sms", "subject_prefix": "sms:"}]
    file = write(tmp_path, logins, session={"renew": RENEW})
    assert refreshes_at(load(file, {})) == ["/refresh"]


def test_methods_are_those_of_the_backend(tmp_path: Path) -> None:
    """Unless others are named."""
    login = {**LOGIN, "renew": {**RENEW, "method": "PUT"}}
    [path] = refresh_paths(load(write(tmp_path, login), {}))
    assert path == LoginPath(
        "refresh", "/refresh", ("PUT",), 65536, 20.0, action="refresh", upstream="api"
    )
    login["refresh"] = {"methods": "POST"}
    [path] = refresh_paths(load(write(tmp_path, login), {}))
    assert path.methods == ("POST",)


def test_a_route_that_captures_keeps_its_path(tmp_path: Path) -> None:
    """It was written for the frontend's refresh, and goes on; unless `refresh` names the path."""
    route = {"path": "/refresh", "upstream": "api", "captures": "/token"}
    file = write(tmp_path, {**LOGIN, "renew": RENEW}, routes=[route])
    assert refreshes_at(load(file, {})) == []
    login = {**LOGIN, "renew": RENEW, "refresh": "/refresh"}
    [problem] = problems(write(tmp_path, login, routes=[route]))
    assert "is never reached: login[0].refresh answers there" in problem


def test_a_path_of_another_purpose(tmp_path: Path) -> None:
    """The gateway answers there already."""
    [problem] = problems(write(tmp_path, {**LOGIN, "renew": RENEW, "refresh": "/logout"}))
    assert "login.refresh: is the path of logout as well" in problem


def test_a_backend_path_may_have_a_query(tmp_path: Path) -> None:
    """It is no part of the path that no route reaches."""
    renew = {**RENEW, "backend_path": "/token?grant_type=refresh_token"}
    config = load(write(tmp_path, {**LOGIN, "renew": renew}), {})
    assert backend_paths(config) == [("api", "/login"), ("api", "/token")]


@pytest.mark.parametrize("path", ["token", "/token?", "/token?a b", "/token?a#b", "/a/*?x=1"])
def test_what_is_no_target(tmp_path: Path, path: str) -> None:
    [problem] = problems(write(tmp_path, {**LOGIN, "renew": {**RENEW, "backend_path": path}}))
    assert "renew.backend_path" in problem


def test_fields_of_a_renewal(tmp_path: Path) -> None:
    """Any that the gateway does not write itself; a value may be a secret."""
    fields = {"apikey": "anon", "Authorization": "Basic d2ViOnNlY3JldA=="}
    config = load(write(tmp_path, {**LOGIN, "renew": {**RENEW, "fields": fields}}), {})
    [login] = config.login
    assert "anon" not in repr(login)


@pytest.mark.parametrize("name", ["Cookie", "host", "Content-Type", "a b"])
def test_what_is_no_field_of_a_renewal(tmp_path: Path, name: str) -> None:
    [problem] = problems(write(tmp_path, {**LOGIN, "renew": {**RENEW, "fields": {name: "x"}}}))
    assert "renew.fields" in problem

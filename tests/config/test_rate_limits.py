"""What config.yaml may say of rate limits, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_with_warnings
from tests.support.configs import problems, write

ROUTE = {"path": "/*", "upstream": "api"}


def text(**changes: Any) -> str:
    upstreams = {"api": "http://127.0.0.1:9000"}
    sections = {"version": 1, "upstreams": upstreams, "routes": [ROUTE], **changes}
    return yaml.safe_dump(sections, sort_keys=False)


def found(folder: Path, **changes: Any) -> str:
    """The one problem, without its place in the file."""
    [problem] = problems(folder, text(**changes))
    return problem.split(": ", 1)[1]


def warned(folder: Path, **changes: Any) -> list[str]:
    loaded = load_with_warnings(write(folder, text(**changes)), {})
    return [str(warning).split(": ", 1)[1] for warning in loaded[1]]


@pytest.mark.parametrize("rate", ["100", "10/x", "0/s", "1/0s", "-1/s", "1.5/s", 7, "2000000/s"])
def test_a_rate_is_a_number_in_a_time(tmp_path: Path, rate: Any) -> None:
    assert "rate" in found(tmp_path, rate_limits={"api": {"rate": rate}})


def test_names_must_exist(tmp_path: Path) -> None:
    """The message suggests the nearest one; a rate in its place is a limit."""
    limits = {"api": "10/s"}
    routes = [{**ROUTE, "limits": "apy"}]
    assert found(tmp_path, rate_limits=limits, routes=routes) == (
        "routes[0].limits[0]: names no limit of rate_limits (did you mean api?)"
    )
    assert "write a rate" in found(tmp_path, routes=routes)


def test_a_limit_stands_once_in_a_list(tmp_path: Path) -> None:
    routes = [{**ROUTE, "limits": ["api", "api"]}]
    assert "stands twice" in found(tmp_path, rate_limits={"api": "10/s"}, routes=routes)


def test_requests_are_counted_by_what_is_known_of_them(tmp_path: Path) -> None:
    for per in ("claim", "claim:", "user", "header:x"):
        problem = found(tmp_path, rate_limits={"api": {"rate": "1/s", "per": per}})
        assert "must be address, session, subject, route or claim:NAME" in problem


def test_endpoint_limits_are_for_the_gateways_own_paths(tmp_path: Path) -> None:
    problem = found(tmp_path, endpoint_limits={"/logaut": "1/s"})
    assert (
        problem
        == "endpoint_limits./logaut: is no path of the gateway itself (did you mean /logout?)"
    )


def test_a_limit_that_no_list_names(tmp_path: Path) -> None:
    """It limits nothing."""
    [warning] = warned(tmp_path, rate_limits={"api": "10/s"})
    assert warning.startswith("rate_limits.api: limits nothing")


def test_a_limit_by_session_on_a_public_route(tmp_path: Path) -> None:
    """No key is looked up there."""
    limit = {"rate": "1/s", "per": "session"}
    [warning] = warned(tmp_path, routes=[{**ROUTE, "auth": "public", "limits": limit}])
    assert "counts by address" in warning
    concurrency = {"max": 1, "per": "session"}
    [warning] = warned(tmp_path, routes=[{**ROUTE, "auth": "public", "concurrency": concurrency}])
    assert warning.startswith("routes[0].concurrency: counts by session")


def test_requests_that_a_proxy_sends_itself(tmp_path: Path) -> None:
    """Those in flight are unknown here."""
    route = {"path": "/a", "concurrency": {"max": 1}}
    [warning] = warned(tmp_path, verify={}, routes=[route])
    assert warning.startswith("routes[0].concurrency: counts nothing")


def test_proxies_that_ask_and_are_not_trusted(tmp_path: Path) -> None:
    """All their clients would count as one."""
    loopback = ["127.0.0.0/8", "::1"]
    routes = [{**ROUTE, "limits": "1/s"}]
    [warning] = warned(tmp_path, verify={}, routes=routes)
    assert "trusted_proxies" in warning
    assert warned(tmp_path, verify={}, routes=routes, trusted_proxies=loopback) == []

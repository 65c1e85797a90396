"""A backend that logs people in, and a gateway before it."""

from collections.abc import Iterator

import pytest

from tests.conftest import accounts
from tests.support.raw import Upstream

GET = b"GET /public/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def sections(upstream: Upstream) -> dict[str, object]:
    """A gateway before one upstream, which also logs people in."""
    return {
        "upstreams": {"shop": upstream.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "shop"},
        "routes": [
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
            {"path": "/api/*", "upstream": "shop"},
        ],
    }


@pytest.fixture(scope="module")
def backend() -> Iterator[Upstream]:
    """An upstream that gives a token for any name, and answers everything else with ok."""
    with Upstream(accounts) as server:
        yield server

"""The backend of gateways whose store is tested."""

from collections.abc import Iterator

import pytest

from tests.support.redis_gateways import shop


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    """The URL of a backend that says whose token it got."""
    with shop() as url:
        yield url

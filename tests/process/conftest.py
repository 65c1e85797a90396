"""A backend that logs people in."""

from collections.abc import Iterator

import pytest

from tests.conftest import accounts
from tests.support.raw import Upstream


@pytest.fixture(scope="module")
def backend() -> Iterator[Upstream]:
    """An upstream that gives a token for any name, and answers everything else with ok."""
    with Upstream(accounts) as server:
        yield server

"""What the tests with a browser share."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.support.chromium import chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for a module; modules that need another one have a fixture of their own."""
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started

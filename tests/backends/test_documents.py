"""What docs/backends.md and docs/frontends.md show is what the tests of this folder run."""

import re
from pathlib import Path

from tests.backends.blocks import DOCUMENTS, blocks

FOLDER = Path(__file__).parent
TESTS = {path.name for path in FOLDER.glob("test_*.py")} - {Path(__file__).name}

# A row of the table: framework, "unchanged" or "config only", and the link to its test.
ROW = re.compile(
    r"^\| .+? \| (.+?) \| \[(test_\w+\.py)\]\(\.\./tests/backends/(\w+\.py)\) \|$", re.MULTILINE
)


def test_each_block_names_the_test_that_runs_it() -> None:
    """No block stands in the documents which no test runs."""
    unnamed = [(b.document.name, b.text) for b in blocks() if b.test not in TESTS]
    assert unnamed == []


def test_each_test_runs_a_block() -> None:
    """Each test module has one block of a language, by which its gateway is configured."""
    named = [(block.test, block.language) for block in blocks()]
    assert sorted(named) == sorted(set(named))
    assert {test for test, language in named if language == "yaml"} == TESTS


def test_each_backend_has_a_row() -> None:
    """The table names each backend with a block, its verdict and its test."""
    backends, _ = DOCUMENTS
    rows = ROW.findall(backends.read_text())
    assert all(shown == target for _, shown, target in rows)
    assert {verdict for verdict, _, _ in rows} <= {"unchanged", "config only"}
    assert {test for _, test, _ in rows} == {b.test for b in blocks() if b.document == backends}

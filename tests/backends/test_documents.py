"""What docs/backends.md and docs/frontends.md show is what the tests of this folder run."""

import re
from pathlib import Path

import pytest

from tests.backends.blocks import DOCUMENTS, blocks

FOLDER = Path(__file__).parent
TESTS = {path.name for path in FOLDER.glob("test_*.py")} - {Path(__file__).name}

# The end of a row of a table: the verdict, in docs/backends.md, and the link to the test.
ROW = re.compile(
    r"\| ([^|]+) \| \[(test_\w+\.py)\]\(\.\./tests/backends/(\w+\.py)\) \|$", re.MULTILINE
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_block_has_a_row(document: Path) -> None:
    """The table of a document names each test of its blocks, once."""
    rows = ROW.findall(document.read_text())
    assert all(shown == target for _, shown, target in rows)
    assert sorted(test for _, test, _ in rows) == sorted(
        {b.test for b in blocks() if b.document == document}
    )


def test_each_backend_is_unchanged_or_configured() -> None:
    """No row of docs/backends.md says anything else."""
    verdicts = {verdict for verdict, _, _ in ROW.findall(DOCUMENTS[0].read_text())}
    assert verdicts <= {"unchanged", "config only"}

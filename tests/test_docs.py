"""What the documentation points to is there: files, headings, and the anchors of wire rules."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md")])
SOURCES = [
    path
    for folder in ("gateway", "tests", "docs", "bench", "deploy")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".yaml", ".conf"}
]

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
ANCHOR = re.compile(r'<a id="([^"]+)">')
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

# One rule or more: `wire-rules.md#A1`, `wire-rules.md#A1, #A2`, `wire-rules.md#A1 to #A9`.
RULES = re.compile(r"wire-rules\.md((?:(?:,| to)?\s*#[A-Z][0-9]+)+)")


def anchors(document: Path) -> set[str]:
    """The fragments by which GitHub finds parts of a document."""
    text = CODE.sub("", document.read_text())
    headings = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {*ANCHOR.findall(text), *(title.replace(" ", "-") for title in headings)}


def mentions() -> Iterator[tuple[Path, str]]:
    """The rules that sources name, each with where."""
    for path in SOURCES:
        for ids in RULES.findall(path.read_text()):
            yield from ((path, rule) for rule in re.findall("[A-Z][0-9]+", ids))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Each link within the repository names a file that there is, and an anchor in it."""
    for target, fragment in LINK.findall(CODE.sub("", document.read_text())):
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), target
        assert not fragment or fragment in anchors(path), f"{target}#{fragment}"


def test_wire_rules_that_are_named_exist() -> None:
    """A comment or a test that names a wire rule names one of docs/wire-rules.md."""
    rules = anchors(ROOT / "docs/wire-rules.md")
    unknown = [
        (str(path.relative_to(ROOT)), rule) for path, rule in mentions() if rule not in rules
    ]
    assert unknown == []


def test_wire_rules_are_proved() -> None:
    """Each wire rule is named by a test."""
    proved = {rule for path, rule in mentions() if path.is_relative_to(ROOT / "tests")}
    rules = {
        name for name in anchors(ROOT / "docs/wire-rules.md") if re.fullmatch("[A-F][0-9]+", name)
    }
    assert rules - proved == set()

"""The blocks of docs/backends.md and docs/frontends.md, which tests run.

Above each of them a comment names its test: `<!-- test: test_express_passport_jwt.py -->`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.gateway import REPOSITORY

DOCUMENTS = [REPOSITORY / "docs/backends.md", REPOSITORY / "docs/frontends.md"]

_FENCED = re.compile(
    r"(?:^<!-- test: (?P<test>\S+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

# Where a backend of the blocks listens.
_BACKEND = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Block:
    """A fenced block; `test` is the name of a module's file, or empty."""

    document: Path
    test: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield the blocks of both documents, in their order."""
    for document in DOCUMENTS:
        for found in _FENCED.finditer(document.read_text()):
            yield Block(document, found["test"] or "", found["language"], found["text"])


def documented(test: str, language: str) -> str:
    """Return the text of the block in `language` that `test` runs."""
    texts = [b.text for b in blocks() if (b.test, b.language) == (test, language)]
    assert len(texts) == 1, f"the docs have {len(texts)} blocks in {language} for {test}"
    return texts[0]


def configuration(test: str, backend: str) -> dict[str, Any]:
    """Return the sections that the docs show for `test`, with `backend` in place of each URL."""
    sections: dict[str, Any] = yaml.safe_load(_BACKEND.sub(backend, documented(test, "yaml")))
    return sections


def code(test: str, site: str) -> str:
    """Return the JavaScript that the docs show for `test`, with the URL `site` of the gateway."""
    text = documented(test, "js").replace("https://shop.example", site)
    return text.replace("wss://shop.example", site.replace("http", "ws", 1))

"""docs/configuration.md: its examples are right, and it names each setting."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.model import Config
from tests.support.configs import write
from tests.support.gateway import REPOSITORY, SECRET
from tests.support.signing_keys import pem
from tests.support.tls import self_signed

DOCS = REPOSITORY / "docs"
TEXT = (DOCS / "configuration.md").read_text()

# The other blocks are users, texts, and examples of rules.
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
EXAMPLES = [block for block in BLOCKS if block.keys() <= Config.model_fields.keys()]


@pytest.mark.parametrize("example", EXAMPLES, ids="-".join)
def test_an_example_is_right(tmp_path: Path, example: dict[str, Any]) -> None:
    """Beside what it leaves out: upstreams, a login, and the files that it names."""
    _write_files(tmp_path)
    upstreams = example.get("upstreams", {}).keys() | {"api", "shop", *_values(example, "upstream")}
    missing = {
        "version": 1,
        "session": {"secrets": [SECRET]},
        "login": [
            {
                "kind": "backend",
                "path": "/login" if name == "api" else f"/{name}/login",
                "upstream": name,
                "verify": {"secret": SECRET},
                "subject_prefix": f"{name}:",
            }
            for name in sorted(upstreams)
        ],
        "routes": [{"path": "/*", "upstream": "shop"}],
    }
    servers = {
        name: f"http://127.0.0.1:{9000 + port}" for port, name in enumerate(sorted(upstreams))
    }
    whole = missing | example | {"upstreams": servers | example.get("upstreams", {})}
    load(write(tmp_path, yaml.safe_dump(whole)), {"JWT_SECRET": SECRET})


def test_there_are_examples() -> None:
    """The expressions above find them."""
    assert len(EXAMPLES) > 10


def test_each_setting_is_named() -> None:
    """In the style of code."""
    code = " ".join(re.findall(r"```.*?```|`[^`]*`", TEXT, re.DOTALL))
    assert _settings() - set(re.findall(r"\w+", code)) == set()


def test_names_of_other_proxies_stand_beside_settings() -> None:
    """docs/other-proxies.md names no setting that is not there."""
    text = (DOCS / "other-proxies.md").read_text()
    columns = re.findall(r"^\| ([^|]*`[^|]*) \|", text, re.MULTILINE)
    names = [name for column in columns for name in re.findall(r"`([a-z_.\[\]]+)[`:]", column)]
    assert len(names) > 40
    assert {part for name in names for part in re.findall(r"[a-z_]+", name)} <= _settings()


def _settings() -> set[str]:
    """The names of all settings, at any depth."""
    schema = json.loads((DOCS / "config.schema.json").read_text())
    return {name for properties in _values(schema, "properties") for name in properties}


def _write_files(folder: Path) -> None:
    """The files that the examples name."""
    pair = self_signed(folder)
    for name in ("tls/shop", "a", "b"):
        (folder / name).parent.mkdir(exist_ok=True)
        for ending in ("pem", "key"):
            shutil.copy(pair, folder / f"{name}.{ending}")
    (folder / "keys").mkdir()
    (folder / "keys" / "2026.pem").write_text(pem("ES256"))
    [rules] = re.findall(r"```python\n(# rules\.py.*?)```", TEXT, re.DOTALL)
    (folder / "rules.py").write_text(rules)


def _values(data: Any, wanted: str) -> Iterator[Any]:
    """All values of this name, at any depth."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name == wanted:
                yield value
            yield from _values(value, wanted)
    elif isinstance(data, list):
        for value in data:
            yield from _values(value, wanted)

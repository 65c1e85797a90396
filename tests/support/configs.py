"""Files of configuration, and what is said of them."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problems import ConfigError

MINIMAL = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: /*, upstream: shop}]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str, **env: str) -> list[str]:
    """What is wrong with a configuration, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), env)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]

"""The JSON Schema of config.yaml, for editors."""

from __future__ import annotations

from typing import Any

from gateway.config.model import Config


def json_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) that YAML language servers read."""
    schema = Config.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Latchkey's config.yaml",
    }

"""Base classes of the sections of config.yaml."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    model_validator,
)


class Model(BaseModel):
    """A section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,  # only whole documents are validated: saves 5 MiB a process
    )


class Shorthand(Model):
    """A section that may be written as the value of its field `_short_for`."""

    _short_for: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        return {cls._short_for: value} if isinstance(value, str | bool | int | float) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [{"type": "string"}, handler(schema)]}

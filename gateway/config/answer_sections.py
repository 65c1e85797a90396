"""The settings of routes that the gateway itself answers: texts, redirects, maintenance."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.base import Model, Shorthand
from gateway.config.files import MAX_ANSWER_BYTES, AnswerFile
from gateway.config.units import Duration
from gateway.config.values import TEXT, FieldName, parsed
from gateway.core.http import templates
from gateway.core.http.field_names import fold

_FIELD_TEXT = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")

# A path, or one at a site that is named: no value of a request says where a browser goes.
_TARGET = re.compile(
    r"(?:/(?![/\\])|https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?=/|\Z))"
    r"[!#-;=?-\[\]_a-z{|}~]*"
)

# Statuses that have no body (RFC 9110 §6.4.1).
_BODILESS = frozenset({204, 205, 304})

# The gateway says these itself in what it answers.
_OWN = frozenset(
    {b"connection", b"content-length", b"content-type", b"date", b"keep-alive", b"set-cookie"}
    | {b"trailer", b"transfer-encoding", b"upgrade", b"via", b"x-request-id"}
)


def _field_text(value: str) -> str:
    if not _FIELD_TEXT.fullmatch(value):
        raise ValueError("is no field value: write printable ASCII")
    return value


def _answered_field(value: str) -> str:
    if fold(value.encode()) in _OWN or value.lower().startswith(("access-control-", "x-latchkey-")):
        raise ValueError("is a field that the gateway itself sends")
    return value


def _redirect_target(value: str) -> str:
    template = templates.parse(value)
    found = _TARGET.fullmatch(value)
    if found is None or int(found["port"] or 80) > 65535 or "${" in "".join(template.literals):
        raise ValueError("is no target: write /path, or https://site.example/path, in plain ASCII")
    for name in template.names:
        if name != "query" and not name.startswith("path."):
            raise ValueError(f"can hold ${{path.…}} and ${{query}}, not ${{{name}}}")
    if "query" in template.names and (
        template.names[-1] != "query" or template.literals[-1] or template.names.count("query") > 1
    ):
        raise ValueError("has ${query} at its end, and once")
    if "query" in template.names and "#" in value:
        raise ValueError("has a fragment before ${query}")
    return value


FieldText = Annotated[str, AfterValidator(_field_text)]


class Respond(Shorthand):
    """A fixed answer. A text is short for its `body`."""

    _short_for = "body"

    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: Annotated[str, Field(max_length=MAX_ANSWER_BYTES)] | None = None
    file: Annotated[AnswerFile | None, *parsed(AnswerFile, TEXT)] = None
    content_type: FieldText | None = None
    headers: dict[Annotated[FieldName, AfterValidator(_answered_field)], FieldText] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.body is not None and self.file is not None:
            raise ValueError("has a body, or the file with it")
        if len({fold(name.encode()) for name in self.headers}) < len(self.headers):
            raise ValueError("headers name a field twice")
        if self.status in _BODILESS and (self.body or self.file):
            raise ValueError(f"has a body, and status {self.status} has none")
        return self


class Redirect(Shorthand):
    """Sends clients elsewhere. A text is short for `to`."""

    _short_for = "to"

    to: Annotated[str, AfterValidator(_redirect_target)]
    status: Literal[301, 302, 303, 307, 308] = 302


class Maintenance(Model):
    """Answers with 503 while a backend is worked on."""

    retry_after: Annotated[Duration, Field(ge=1)] = 300.0


def _maintenance(value: Any) -> Any:
    """`true` is short for a section without settings, `false` for none."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


MaintenanceText = Annotated[
    Maintenance | None,
    BeforeValidator(_maintenance),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"retry_after": {"type": ["string", "number"]}},
                },
            ]
        }
    ),
]

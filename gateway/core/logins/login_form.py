"""Login forms: names and passwords in the body of a login.

They are read for logins that the gateway itself decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from gateway.core import json_text
from gateway.core.http import media_types
from gateway.core.json_text import NotJson

# Of a form. Login forms have fewer.
_MAX_FIELDS = 100


class BadLoginForm(ValueError):
    """The body holds no name and password, or can be read in two ways."""


@dataclass(frozen=True, slots=True)
class LoginForm:
    """A name and a password.

    `others` are a form's other fields; None for JSON.
    """

    name: str = field(repr=False)
    password: str = field(repr=False)
    others: Mapping[str, str] | None = field(repr=False)


def read(content_type: str, body: bytes) -> LoginForm:
    """The name and password in a body. Raises `BadLoginForm`."""
    kind = media_types.essence(content_type)
    try:
        text = body.decode("utf-8")
        if kind == media_types.FORM:
            fields: Any = _from_form(text)
        elif kind == media_types.JSON:
            fields = json_text.value(text)
        else:
            raise BadLoginForm
        name, password = fields["username"], fields["password"]
        # JSON can spell a lone surrogate, which UTF-8 cannot hold.
        f"{name}{password}".encode()
    except (ValueError, NotJson, TypeError, LookupError):
        raise BadLoginForm from None
    if not isinstance(name, str) or not isinstance(password, str):
        raise BadLoginForm
    return LoginForm(name, password, fields if kind == media_types.FORM else None)


def _from_form(text: str) -> dict[str, str]:
    pairs = parse_qsl(
        text,
        keep_blank_values=True,
        strict_parsing=True,
        errors="strict",
        max_num_fields=_MAX_FIELDS,
    )
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field came twice")
    return fields

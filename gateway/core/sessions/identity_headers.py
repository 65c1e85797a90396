"""The fields of `identity`: claims of the token under configured names."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol
from urllib.parse import quote

from gateway.core.sessions.session import Session

Encoding = Literal["percent", "base64", "utf8"]

# The value of `join` that writes each value as JSON.
AS_JSON = "json"

# What RFC 9110 §5.5 lets a field value hold, without white space at either end.
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
# The same with other letters, which are `obs-text` in UTF-8, without control characters.
_UTF8_VALUE = re.compile(r"(?!\s)[^\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]+(?<!\s)")


class Shown(Protocol):
    """What a field shows: a claim, or the session's handle without one."""

    @property
    def claim(self) -> str | None: ...

    @property
    def join(self) -> str:
        """What stands between the elements of a list; `AS_JSON` for JSON."""

    @property
    def encode(self) -> Encoding | None: ...


class Unsendable(ValueError):
    """No field can hold the value. The message says why."""

    def __init__(self, why: str, remedy: str = "") -> None:
        """`remedy` is what helps in `identity`."""
        super().__init__(why)
        self.remedy = remedy


class IdentityHeaders:
    """Renders the fields of a session, once for each look-up."""

    def __init__(self, fields: Mapping[str, Shown], unsent: Callable[[str, str], None]) -> None:
        """Take the fields by their names.

        unsent: is told of a field that is left out, and why
        """
        self._fields = [
            (name, b"%b: " % name.encode("ascii"), field.claim, field.join, field.encode)
            for name, field in fields.items()
        ]
        self._unsent = unsent

    def __call__(self, session: Session) -> bytes:
        """The finished field lines for one session, without its token.

        A claim is left out if it is missing, or if no field can hold it: a half-right identity
        would be worse than none.
        """
        lines: list[bytes] = []
        for name, start, claim, join, encode in self._fields:
            value = session.id if claim is None else session.claim(claim)
            try:
                text = rendered(value, join, encode)
            except Unsendable as why:
                hint = f": {why.remedy}" if why.remedy else ""
                self._unsent(name, f"the claim {why}{hint}")
                continue
            if text:
                lines += (start, text, b"\r\n")
        return b"".join(lines)


def rendered(value: Any, join: str, encode: Encoding | None) -> bytes:
    """A claim as a field's value; empty without one. Raises `Unsendable`."""
    if value is None or value == "":
        return b""
    if join == AS_JSON:
        # Escaped to ASCII, which each field can hold.
        return _encoded(json.dumps(value, separators=(",", ":")), encode) if value != [] else b""
    if isinstance(value, list):
        return _joined(value, join, encode)
    return _encoded(value if isinstance(value, str) else _text(value), encode)


def _joined(values: list[Any], join: str, encode: Encoding | None) -> bytes:
    elements = [_encoded(_text(element), encode) for element in values]
    mark = (join.strip() or join).encode("ascii")
    if any(mark in element for element in elements):
        raise Unsendable("has an element that holds what joins them", "set join or encode")
    return join.encode("ascii").join(elements)


def _text(value: Any) -> str:
    """A text, or a number or a truth value as JSON spells it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    raise Unsendable("is an object, or holds lists", "set join: json")


def _encoded(text: str, encode: Encoding | None) -> bytes:
    if encode is None:
        if not _VALUE.fullmatch(text):
            raise Unsendable("holds other letters than ASCII, or is blank", "set encode")
        return text.encode("ascii")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise Unsendable("is no text of Unicode") from None
    if encode == "percent":
        return quote(data, safe="").encode("ascii")
    if encode == "base64":
        return base64.b64encode(data)
    if not _UTF8_VALUE.fullmatch(text):
        raise Unsendable("holds control characters, or is blank", "set encode: percent")
    return data

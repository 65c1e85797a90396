"""Replies of backends to the gateway's own requests, and their reading."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core import json_text
from gateway.core.http import charsets
from gateway.core.http.shared_caches import is_for_caches
from gateway.core.json_text import String, TooComplex
from gateway.core.logins.carriers import LOGIN_STATE_MARK

_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:-]+)\"?", re.IGNORECASE)

# The redirects that browsers follow (RFC 9110 §15.4).
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# In bytes. A reply of this size is read in some ms at the worst; a larger one is read in a thread.
MAX_SMALL = 16 * 1024

# Tells whether the client has sent a token itself (see `request_echo`).
IsEcho = Callable[[str], bool]


class UnreadableReply(ValueError):
    """The reply cannot be read as a whole: it may hide a token."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A backend's reply: status, field lines in order, and decoded body."""

    status: int
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    reason: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the status refuses: it is neither a success nor a redirect.

        Logins by form answer with a redirect.
        """
        return self.status >= 300 and self.status not in _REDIRECTS

    def field(self, name: str) -> str:
        """The value of the first field of this name (in lower case), or ""."""
        return next((value for given, value in self.fields if given.lower() == name), "")

    @property
    def cookies(self) -> list[str]:
        """The values of its Set-Cookie fields."""
        return [value for name, value in self.fields if name.lower() == "set-cookie"]

    @property
    def is_large(self) -> bool:
        """Whether reading it may take long."""
        return len(self.body) + sum(len(value) for _, value in self.fields) > MAX_SMALL

    def text(self) -> tuple[str, str]:
        """The body as text, and the encoding that yields the same bytes again."""
        seen = json.detect_encoding(self.body)  # byte order marks, and the zeros of wide characters
        wide = (seen, f"{seen}-be") if seen.startswith(("utf-16", "utf-32")) else (seen,)
        charset = _CHARSET.search(self.field("content-type"))
        declared = None if charset is None else charsets.codec(charset[1])
        for encoding in (*wide, declared or "utf-8", "utf-8"):
            try:
                text = self.body.decode(encoding)
                if text.encode(encoding) == self.body:
                    return text, encoding
            except (LookupError, ValueError):
                continue
        return self.body.decode("latin-1"), "latin-1"

    def unstored(self) -> Reply:
        """The reply with `no-store`, since it holds a key (RFC 6749 §5.1)."""
        kept = [line for line in self.fields if not _keeps(line[0].lower())]
        return replace(self, fields=(*kept, ("Cache-Control", "no-store")))

    def without_cookies(self, own: Collection[str | None], key: str = "") -> Reply:
        """The reply without the gateway's own cookies (wire-rules.md#E7).

        These are the cookies of its `own` names, and those that hold login states. The cookie that
        holds `key` stays.
        """
        kept = tuple(
            line
            for line in self.fields
            if (key and key in line[1])
            or not (cookie := field_and_cookie(line)[1])
            or not (cookie in own or f"={LOGIN_STATE_MARK}" in line[1])
        )
        return replace(self, fields=kept)

    def strings(self) -> list[String]:
        """All strings of a JSON body.

        Raises `NotJson`, and `UnreadableReply` if reading the body would take too long.
        """
        try:
            return json_text.strings(self.text()[0])
        except TooComplex:
            raise UnreadableReply from None

    def members(self) -> list[String]:
        """The string values of a JSON body.

        Of several with one path, the last one counts, as for parsers. Raises as `strings` does.
        """
        latest = {string.place: string for string in self.strings() if not string.is_name}
        return list(latest.values())

    def document(self) -> Any:
        """The value of a JSON body. Raises as `strings` does.

        See `json_text.document`.
        """
        try:
            return json_text.document(self.text()[0])
        except TooComplex:
            raise UnreadableReply from None


def _keeps(name: str) -> bool:
    """Whether a field of this lower-case name has caches store the reply."""
    return name in ("expires", "pragma") or is_for_caches(name.encode("utf-8", "surrogateescape"))


def nothing_sent(_token: str) -> bool:
    """The `IsEcho` for replies to requests that hold nothing of a client's."""
    return False


def field_and_cookie(line: tuple[str, str]) -> tuple[str, str]:
    """A field's name in lower case, and the cookie that it sets, or ""."""
    name = line[0].lower()
    return name, line[1].partition("=")[0].strip() if name == "set-cookie" else ""

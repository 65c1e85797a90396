"""Claims of an opaque token, from a reply or a userinfo answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import NotJson
from gateway.core.logins import reply_rewriting
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.reply_tokens import Found

# In bytes of JSON. The session keeps the claims, and is read with each look-up.
MAX_BYTES = 4096

# Below it, GraphQL answers the request: the client chooses the names of its members.
GRAPHQL_DATA = "data"


def document(reply: Reply) -> dict[str, Any]:
    """The JSON object of a reply; empty without one. Raises `UnreadableReply`.

    A name that stands twice in an object has two readings, so such a reply says nothing.
    """
    if reply.status >= 300:
        return {}
    try:
        found = json_text.value(reply.text()[0])
    except json_text.TooComplex:
        raise UnreadableReply from None
    except NotJson:
        return {}
    return found if isinstance(found, dict) else {}


def without_tokens(reply: Reply, found: Found) -> Reply:
    """The reply without any token. Raises `UnreadableReply`."""
    return reply_rewriting.swap(reply, found, "")


def text_of(claims: Mapping[str, Any]) -> bytes | None:
    """The claims as JSON for the session; None if they are too large."""
    text = json.dumps(claims, separators=(",", ":")).encode("ascii")
    return text if len(text) <= MAX_BYTES else None


def not_written(
    document: Mapping[str, Any], is_written: Callable[[str, Any], bool]
) -> dict[str, Any]:
    """A reply's object without the members that its client may have written.

    A backend that repeats its input repeats a `role` that was typed. Objects stay, with what is
    left of them.

    is_written: whether the request has a member of this name and value; no value is an object
    """

    def is_kept(name: str, value: Any) -> bool:
        if isinstance(value, list):
            return all(is_kept(name, element) for element in value)
        return isinstance(value, dict) or value is None or not is_written(name, value)

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(element) for element in value]
        return not_written(value, is_written) if isinstance(value, dict) else value

    return {name: kept(value) for name, value in document.items() if is_kept(name, value)}

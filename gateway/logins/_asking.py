"""What ways to log in by a backend share: how it is asked, and that nobody keeps its reply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.backends import Backends
from gateway.core.replies import Reply
from gateway.logins import Attempt

if TYPE_CHECKING:
    from gateway.config.model import AskingLogin

# A reply that holds a key is nobody else's (RFC 6749 §5.1), whatever the backend said of it.
_CACHING = frozenset({"cache-control", "expires", "pragma"})


async def ask(backends: Backends, config: AskingLogin, attempt: Attempt) -> Reply:
    """The backend's reply to the client's own request. Raises `BackendFailed`."""
    return await backends.call(
        config.upstream,
        attempt.method,
        config.backend_path + attempt.query,
        fields=attempt.fields,
        body=attempt.body,
        timeout=config.timeout,
        max_reply=config.max_reply,
    )


def private(reply: Reply, *more: tuple[str, str]) -> Reply:
    """The reply as one that no cache keeps, with more fields."""
    kept = [line for line in reply.fields if line[0].lower() not in _CACHING]
    return replace(reply, fields=(*kept, *more, ("Cache-Control", "no-store")))

"""What ways to log in by a backend share: how it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.backends import Backends
from gateway.core.replies import Reply
from gateway.logins import Attempt

if TYPE_CHECKING:
    from gateway.config.login_sections import AskingLogin


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

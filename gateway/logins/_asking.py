"""What ways to log in by a backend share: how it is asked, and what of its reply is a token."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from gateway.backends import Backends
from gateway.core import swaps
from gateway.core.replies import Reply
from gateway.core.request_echo import EchoDetector
from gateway.core.swaps import Found
from gateway.core.token_places import TokenPlace
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


async def find_token(reply: Reply, place: TokenPlace, sent: EchoDetector) -> Found:
    """The token that a reply hands out. Raises `NoToken` and `BadToken`.

    A large request is read beside the event loop.
    """
    find = partial(swaps.find, reply, place, sent.is_echo)
    return await asyncio.to_thread(find) if sent.is_large else find()

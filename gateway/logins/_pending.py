"""Pending logins: the reply to a first step passes, and makes no session."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import refusals
from gateway.core.logins import pending
from gateway.core.logins.mfa import steps
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import MAX_TOKENS
from gateway.core.logins.request_echo import EchoDetector
from gateway.logins import Attempt, LoginServices, Pending
from gateway.logins._events import report
from gateway.outbound.backends import BackendFailed

if TYPE_CHECKING:
    from gateway.config.login_sections import UpstreamLoginSection

_log = logging.getLogger("gateway.logins")


class PendingReplies:
    """Passes replies that announce a second step, by one login's `pending`."""

    def __init__(self, config: UpstreamLoginSection, services: LoginServices) -> None:
        self._place = config.pending
        self._sessions = services.sessions
        self._own_cookies = services.own_cookies

    async def passed(self, attempt: Attempt, reply: Reply, sent: EchoDetector) -> Pending | None:
        """The reply for the client; None if it announces no step.

        Its tokens are remembered first: they are never those of a session. Raises `BackendFailed`
        if it may hold another token, `StoreUnavailable` and `UnreadableReply`.
        """
        place, is_large = self._place, reply.is_large or sent.is_large
        if place is None or not await off_loop(is_large, pending.is_pending, reply, place):
            return None
        tokens = await off_loop(is_large, pending.tokens, reply, MAX_TOKENS + 1)
        if (
            len(tokens) > MAX_TOKENS
            or await off_loop(is_large, pending.is_set_by_client, place, sent)
            or await off_loop(is_large, pending.holds_other_tokens, reply, place)
        ):
            _log.error("login %s: a pending reply may hold another token", attempt.request_id)
            raise BackendFailed(refusals.NO_TOKEN)
        handed_out = await off_loop(is_large, steps.handed_out, reply, sent.is_echo)
        await self._sessions.temporary_tokens.add(dict.fromkeys([*tokens, *handed_out]))
        report(self._sessions, "login_pending", attempt)
        return Pending.of(reply.without_cookies(self._own_cookies))

    async def require_answer(
        self, attempt: Attempt, reply: Reply, sent: EchoDetector, names: Sequence[str]
    ) -> None:
        """Raise `BackendFailed` if the client may have left the announcement out.

        names: see `pending.may_be_left_out`

        Raises `UnreadableReply`.
        """
        place, is_large = self._place, reply.is_large or sent.is_large
        if place is None:
            return
        if await off_loop(is_large, pending.may_be_left_out, reply, place, sent, names):
            _log.error(
                "login %s: the request has not asked for %s, or has chosen what stands there",
                attempt.request_id,
                place.pointer,
            )
            raise BackendFailed(refusals.NO_TOKEN)

"""Answers to refresh calls: the backend's reply with marks for its tokens.

Several calls of one session may get the same answer, each with a refresh key of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from gateway.core.logins import reply_rewriting
from gateway.core.logins.refresh_tokens import RefreshToken
from gateway.core.logins.replies import Reply, field_and_cookie
from gateway.core.logins.reply_tokens import Found, is_in_cookie


@dataclass(frozen=True, slots=True)
class RefreshAnswer:
    """A reply to a renewal, with marks where the key and the refresh key go."""

    reply: Reply = field(repr=False)
    key_mark: str
    refresh_mark: str  # "" if the reply holds no refresh token
    in_cookie: bool  # the key goes into a cookie of the backend's

    @property
    def sets_cookies(self) -> bool:
        """Whether a cookie of the backend's gets the key or the refresh key."""
        marks = [mark for mark in (self.key_mark, self.refresh_mark) if mark]
        return any(
            mark in line[1]
            for line in self.reply.fields
            if field_and_cookie(line)[1]
            for mark in marks
        )

    def filled(self, key: str, refresh_key: str) -> Reply:
        """The reply with a key and a refresh key; either may be "" for none."""
        texts = {self.key_mark: key}
        if self.refresh_mark:
            texts[self.refresh_mark] = refresh_key
        return reply_rewriting.filled(self.reply, texts)


def make(reply: Reply, found: Found, refresh: RefreshToken | None, mark: str) -> RefreshAnswer:
    """Make the answer of a backend's reply to a renewal.

    found: the token in it
    refresh: the refresh token in it, if there is one
    mark: a text that nothing else in the reply is

    Raises `UnreadableReply`.
    """
    key_mark, refresh_mark = f"{mark}-key", f"{mark}-refresh" if refresh else ""
    swapped = reply_rewriting.swap(reply, found, key_mark, refresh, refresh_mark)
    return RefreshAnswer(swapped, key_mark, refresh_mark, is_in_cookie(reply, found))


def dump(answer: RefreshAnswer) -> bytes:
    """The answer as bytes for the store, which seals them."""
    reply = answer.reply
    return json.dumps(
        [
            [answer.key_mark, answer.refresh_mark, answer.in_cookie],
            [reply.status, reply.reason, reply.fields, reply.body.decode("latin-1")],
        ]
    ).encode()


def load(data: bytes) -> RefreshAnswer:
    """The answer that `dump` has written."""
    (key_mark, refresh_mark, in_cookie), (status, reason, fields, body) = json.loads(data)
    lines = tuple((name, value) for name, value in fields)
    reply = Reply(status, lines, body.encode("latin-1"), reason)
    return RefreshAnswer(reply, key_mark, refresh_mark, in_cookie)

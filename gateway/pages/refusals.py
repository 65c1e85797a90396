"""Refusals as pages, for the relay.

A page is rendered once, since it holds nothing about the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.http.refusals import Refusal
from gateway.pages import policy
from gateway.pages.rendering import REFUSAL, Templates
from gateway.pages.texts import Texts

# A nonce may stay the same here: no part of a page that is rendered once comes from a client.
_NONCE = "latchkey"


@dataclass(frozen=True, slots=True)
class RefusalPage:
    """A page and its header fields."""

    body: bytes
    fields: Mapping[str, str]


class RefusalPages:
    """The pages that one worker has rendered."""

    def __init__(self, folder: str | None) -> None:
        """folder: the operator's own templates and texts; None if there are none"""
        self._templates = Templates(folder)
        self._made: dict[tuple[str, str], RefusalPage] = {}

    def page(self, refusal: Refusal, accept_language: str) -> RefusalPage:
        """The page that a person gets instead of the JSON problem."""
        texts = self._templates.texts(accept_language)
        name = (refusal.reason, texts.language)
        if name not in self._made:
            self._made[name] = self._make(refusal, texts)
        return self._made[name]

    def _make(self, refusal: Refusal, texts: Texts) -> RefusalPage:
        body = self._templates.get_template(REFUSAL).render(
            text=texts,
            nonce=_NONCE,
            notice=texts.notice(refusal.reason),
            status=refusal.status,
            back=None,
        )
        fields = {
            "Content-Type": "text/html; charset=utf-8",
            **policy.fields(_NONCE, texts.language),
        }
        return RefusalPage(body.encode(), fields)

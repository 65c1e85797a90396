"""What nobody may read by accident: a text whose repr and str tell nothing."""

from __future__ import annotations


class Secret:
    """A text that must not reach a log; `reveal` gives it to the one who may have it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

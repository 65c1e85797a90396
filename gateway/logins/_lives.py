"""How long a login's sessions last, and whether their cookies last.

A user who asks to be remembered, by a field of the login, gets a session with other timeouts, and
its key in a lasting cookie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.core.sessions.session import MAX_SECONDS, Life

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection

# What a field says that asks for nothing. Any other text asks: a browser sends the `value` of a
# checkbox, which each page chooses, and sends nothing for one that is not checked.
_NO = frozenset({"", "0", "false", "no", "off", "none", "null"})


def asks_to_be_remembered(section: LoginSection, given: Callable[[str], Any]) -> bool:
    """Whether a login asks for a session that lasts.

    `given` gives the value of a field of the login; None if it has none.
    """
    remember = section.remember
    if remember is None:
        return False
    return remember.always or _is_yes(given(remember.field))


def life_of(section: LoginSection, *, remembered: bool) -> Life:
    """The timeouts of a session."""
    own = section.remember if remembered and section.remember else section
    return Life(_whole_seconds(own.idle_timeout), _whole_seconds(own.max_age))


def _whole_seconds(duration: float | None) -> int:
    """A duration as records keep it; 0 for none."""
    return int(min(duration or 0, MAX_SECONDS))


def _is_yes(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in _NO
    return value is True or (isinstance(value, int | float) and value != 0)

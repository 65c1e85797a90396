"""Names of claims in config.yaml: a member, or a JSON pointer.

`/realm_access/roles` (RFC 6901) and `user.id` are such places. A member of exactly this name comes
first, so `https://shop.example/roles` and `com.example.roles` are found as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import pointed

_DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")

# As many names as a large config.yaml has.
_MAX_KNOWN = 1024


def find(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name; None if there is none."""
    found = claims.get(name)
    return _found_inside(claims, name) if found is None else found


def chosen(claims: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The claims of these names alone, each at its own place."""
    kept: dict[str, Any] = {}
    for name in names:
        value = find(claims, name)
        if value is None:
            continue
        *outer, last = (name,) if claims.get(name) is not None else path_of(name)
        inner: Any = kept
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                break
        else:
            inner[last] = value
    return kept


def plain(name: str) -> str:
    """The one spelling of a name: `/sub` and `sub` are the same claim."""
    path = path_of(name)
    return path[0] if len(path) == 1 else name


@lru_cache(maxsize=_MAX_KNOWN)
def path_of(name: str) -> tuple[str, ...]:
    """The path that a name spells, at least one part long."""
    if name.startswith("/"):
        return pointed(name)
    return tuple(name.split(".")) if _DOTTED.fullmatch(name) else (name,)


def _found_inside(claims: Mapping[str, Any], name: str) -> Any:
    path = path_of(name)
    return json_text.found_at(claims, path) if path != (name,) else None

"""Which content coding a client takes (RFC 9110 §8.4.1, §12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Browsers send 30 bytes. The rest of a longer field does not count.
_MAX_READ = 1024

# Another name of a coding (RFC 9110 §8.4.1.3).
_ALIASES = {"x-gzip": "gzip"}

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def chosen(accepted: str | None, offered: Sequence[str]) -> str | None:
    """The offered coding that is wanted most; None for none at all.

    Of codings with the same weight the first offered one. Without the field a client may take any
    coding, but few programs mean that.

    accepted: the field Accept-Encoding, if there is one
    """
    if accepted is None:
        return None
    weights = _weights(accepted[:_MAX_READ])
    rest = weights.get("*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, rest), default=None)
    if best is None or weights.get(best, rest) <= 0:
        return None
    # What is named less than the plain form is not wanted.
    return best if weights.get(best, rest) >= weights.get("identity", 0.0) else None


def _weights(accepted: str) -> dict[str, float]:
    """The weights by coding. One that cannot be read is 0."""
    found: dict[str, float] = {}
    for part in accepted.split(","):
        coding, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = 1.0
        for name, _, value in (text.partition("=") for text in parameters):
            if name.strip() == "q":
                weight = float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
        if coding:
            found.setdefault(_ALIASES.get(coding, coding), weight)
    return found

"""Durations, sizes and shares in config.yaml: `1h30m`, `10MiB`, `50%`."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

# The whole, in percent.
WHOLE = 100

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PERCENT = re.compile(r"([0-9]{1,3})%")
_SIZE = re.compile(r"([0-9]{1,20})\s*([KMG]i?B|B)?")

# A thousand years. A longer duration is a mistake, and too large a number for Redis.
MAX_DURATION_SECONDS = 365_000 * 86_400
# A pebibyte. A larger size is a mistake.
MAX_SIZE_BYTES = 2**50


def parse_duration(value: Any) -> float:
    """Seconds, from a number or a text such as `30m`. Raises `ValueError`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        seconds = float(min(value, math.inf))
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(value))
    else:
        raise ValueError("is not a duration: write 30s, 5m, 1h30m or a number of seconds")
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError("is too long a duration: at most 365000d")
    return seconds


def parse_size(value: Any) -> int:
    """Bytes, from a number or a text such as `10MiB`. Raises `ValueError`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size = value
    elif found is not None:
        size = int(found[1]) * _BYTES[found[2] or ""]
    else:
        raise ValueError("is not a size: write 64KiB, 10MiB, 2GB or a number of bytes")
    if size > MAX_SIZE_BYTES:
        raise ValueError("is too large a size: at most 1048576GiB")
    return size


def parse_percent(value: Any) -> int:
    """Percent from a text such as `50%`. Raises `ValueError`."""
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[1]) <= WHOLE:
        raise ValueError("is not a share: write 1% to 100%")
    return int(found[1])


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"},
            ]
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+\\s*([KMG]i?B|B)?$"},
            ]
        }
    ),
]
Percent = Annotated[
    int,
    BeforeValidator(parse_percent),
    WithJsonSchema({"type": "string", "pattern": "^(100|[1-9][0-9]?)%$"}),
]

"""Set-Cookie values as browsers read them (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_SPACE = " \t"

# A longer lifetime is a mistake: 15 digits are 30 million years.
_MAX_AGE_DIGITS = 15

_MAX_AGE = re.compile(r"-?[0-9]+")

# A cookie's date (§5.1.1), whose parts come in any order.
_MAX_DATE = 128
_BETWEEN_TOKENS = re.compile(r"[\t -/;-@\[-`{-~]+")
_DATE_TOKENS = {
    "time": re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])"),
    "day": re.compile(r"([0-9]{1,2})(?![0-9])"),
    "year": re.compile(r"([0-9]{2,4})(?![0-9])"),
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@dataclass(frozen=True, slots=True)
class SetCookie:
    """A Set-Cookie value.

    Of several attributes with one name, the last one counts (§5.3).
    """

    name: str
    value: str = field(repr=False)
    attributes: Mapping[str, str]  # by their names in lower case


def read(value: str) -> SetCookie:
    """Read a Set-Cookie value as browsers do (RFC 6265 §5.2)."""
    pair, *attributes = value.split(";")
    name, _, content = pair.partition("=")
    pairs = (attribute.partition("=") for attribute in attributes)
    return SetCookie(
        name.strip(_SPACE),
        content.strip(_SPACE).strip('"'),
        {key.strip(_SPACE).lower(): text.strip(_SPACE) for key, _, text in pairs},
    )


def is_deletion(cookie: SetCookie, now: float) -> bool:
    """Whether a browser forgets the cookie at once, or its value (§5.3).

    Max-Age counts before Expires. `now` is UNIX seconds.
    """
    max_age = cookie.attributes.get("max-age", "")
    if not cookie.value:
        return True
    if _MAX_AGE.fullmatch(max_age):
        return max_age.startswith("-") or not max_age.strip("0")
    expires = _date(cookie.attributes.get("expires", ""))
    return expires is not None and expires <= now


def ends_at(cookie: SetCookie, now: float) -> float | None:
    """When a browser forgets the cookie (UNIX seconds, §5.3).

    None: when it closes. Max-Age counts before Expires. `now` is UNIX seconds.
    """
    max_age = cookie.attributes.get("max-age", "")
    if _MAX_AGE.fullmatch(max_age) and len(max_age) <= _MAX_AGE_DIGITS:
        return now + int(max_age)
    return _date(cookie.attributes.get("expires", ""))


def place(value: str, path: str) -> tuple[str, str, str]:
    """The name, domain and path by which browsers keep a cookie (§5.3).

    value: the Set-Cookie value
    path: the path of the request that it answers; counts if the value names no path

    The domain is "" for a cookie of the host alone.
    """
    cookie = read(value)
    folder = cookie.attributes.get("path", "")
    if not folder.startswith("/"):
        folder = path[: path.rfind("/")] or "/"  # §5.1.4
    return cookie.name, cookie.attributes.get("domain", "").lstrip(".").lower(), folder


def _date(text: str) -> float | None:
    """A cookie's date as browsers read it (§5.1.1), in UNIX seconds.

    None if it is malformed.
    """
    found: dict[str, tuple[int, ...]] = {}
    for token in _BETWEEN_TOKENS.split(text[:_MAX_DATE]):
        for kind, pattern in _DATE_TOKENS.items():
            match = pattern.match(token)
            if kind not in found and match is not None:
                found[kind] = tuple(map(int, match.groups()))
                break
        else:
            month = token[:3].lower()
            if month in _MONTHS:
                found.setdefault("month", (_MONTHS.index(month) + 1,))
    if len(found) < 4:  # time, day, month and year
        return None
    (year, month, day), time = (found[kind][0] for kind in ("year", "month", "day")), found["time"]
    if year < 100:
        year += 1900 if year > 69 else 2000
    try:
        date = datetime(year, month, day, time[0], time[1], time[2], tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp()

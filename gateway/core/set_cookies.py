"""Set-Cookie values: what they say, and by which a browser forgets a cookie that holds a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.core.carriers import HOST_PREFIX, deletion

# A browser may have a cookie from any domain above a host, and for any folder above a path. So many
# of each are tried, or the answer's head would not fit into a proxy's buffer (nginx: 4 KiB).
_MAX_DOMAINS = 3
_MAX_PATHS = 6

_SPACE = " \t"

# What tells one cookie from another, or whether a browser heeds its deletion; and what may be
# written of it.
_ATTRIBUTES = {
    "path": "Path",
    "domain": "Domain",
    "httponly": "HttpOnly",
    "samesite": "SameSite",
    "secure": "Secure",
    "partitioned": "Partitioned",
}
_TEXT = re.compile(r"[!-:<-~]*")

_MAX_AGE = re.compile(r"-?[0-9]+")

# A cookie's date (§5.1.1): its parts, in whatever order.
_MAX_DATE = 128
_BETWEEN_TOKENS = re.compile(r"[\t -/;-@\[-`{-~]+")
_DATE_TOKENS = {
    "time": re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])"),
    "day": re.compile(r"([0-9]{1,2})(?![0-9])"),
    "year": re.compile(r"([0-9]{2,4})(?![0-9])"),
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_HOST = re.compile(r"((?:[A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]*)\.?(?::[0-9]+)?")
_FOLDER = re.compile(r"[^/;\x00-\x20\x7f-\U0010ffff]+/?")


def deletions(name: str, host: str, path: str) -> list[str]:
    """Set-Cookie values that delete a cookie wherever it may be from: it came with a request to
    this host and path, so its own domain and path are among theirs (RFC 6265 §5.4).
    """
    plain = deletion(name)
    if name.startswith(HOST_PREFIX):
        return [plain]  # it has no domain, and no other path (RFC 6265bis §4.1.3)
    return [
        plain.replace("; Path=/", f"; Path={folder}{domain}", 1)
        for domain in ("", *(f"; Domain={domain}" for domain in _domains(host)))
        for folder in _folders(path)
    ]


def kept_place(value: str, path: str) -> str:
    """What a session keeps of a backend's cookie that holds its key, for a logout to delete it: its
    name and attributes, of a Set-Cookie value in the answer to a request to this path. Nothing, if
    they are those that `deletion` knows.
    """
    cookie = read(value)
    name, domain, folder = place(value, path)
    said = {**cookie.attributes, "path": folder}
    in_frames = "partitioned" in said or said.get("samesite", "").lower() == "none"
    if (domain, folder) == ("", "/") and not in_frames:
        return ""
    return f"{name}; {_written(said)}"


def deletion_from(kept: str, name: str) -> str:
    """A Set-Cookie value that has the browser forget the cookie of this name in which a key came,
    from where a session has `kept` it.
    """
    kept_name, _, attributes = kept.partition("; ")
    if not attributes or kept_name != name:
        return deletion(name)
    return f"{name}=; Max-Age=0; {attributes}"


def place(value: str, path: str) -> tuple[str, str, str]:
    """What a browser keeps the cookie of a Set-Cookie value by: name, domain and path (RFC 6265
    §5.3), if it comes in the answer to a request to this path. The domain is "" for the host alone.
    """
    cookie = read(value)
    folder = cookie.attributes.get("path", "")
    if not folder.startswith("/"):
        folder = path[: path.rfind("/")] or "/"  # §5.1.4
    return cookie.name, cookie.attributes.get("domain", "").lstrip(".").lower(), folder


@dataclass(frozen=True, slots=True)
class SetCookie:
    """What a Set-Cookie value says. Of attributes of one name the last one counts (§5.3)."""

    name: str
    value: str = field(repr=False)
    attributes: Mapping[str, str]  # by their names in lower case


def read(value: str) -> SetCookie:
    """Reads a Set-Cookie value as browsers do (RFC 6265 §5.2)."""
    pair, *attributes = value.split(";")
    name, _, content = pair.partition("=")
    said = (attribute.partition("=") for attribute in attributes)
    return SetCookie(
        name.strip(_SPACE),
        content.strip(_SPACE).strip('"'),
        {key.strip(_SPACE).lower(): text.strip(_SPACE) for key, _, text in said},
    )


def is_deletion(cookie: SetCookie, now: float) -> bool:
    """Whether a browser forgets the cookie at once (§5.3), or keeps nothing in it; `now` is UNIX
    seconds. Max-Age counts before Expires.
    """
    max_age = cookie.attributes.get("max-age", "")
    if _MAX_AGE.fullmatch(max_age):
        return max_age.startswith("-") or not max_age.strip("0")
    expires = _date(cookie.attributes.get("expires", ""))
    return not cookie.value or (expires is not None and expires <= now)


def deletion_of(cookie: SetCookie) -> str:
    """A Set-Cookie value that deletes the cookie from where another one puts it."""
    attributes = _written(cookie.attributes)
    return f"{cookie.name}=; Max-Age=0" + (f"; {attributes}" if attributes else "")


def _date(text: str) -> float | None:
    """A cookie's date as browsers read it (§5.1.1), in UNIX seconds; None for what is none."""
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


def _written(said: Mapping[str, str]) -> str:
    """The attributes that tell cookies apart, as a Set-Cookie value has them."""
    texts = {name: said[name] for name in _ATTRIBUTES if _TEXT.fullmatch(said.get(name, " "))}
    return "; ".join(
        f"{_ATTRIBUTES[name]}={text}" if text else _ATTRIBUTES[name] for name, text in texts.items()
    )


def _domains(host: str) -> list[str]:
    """The host and those above it, the widest last; none for an address."""
    named = _HOST.fullmatch(host)
    if named is None:
        return []
    labels = named[1].lower().split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)][-_MAX_DOMAINS:]


def _folders(path: str) -> list[str]:
    """The paths that a cookie can have which is sent to this one (RFC 6265 §5.1.4)."""
    return ["/", *_below_root(path)][:_MAX_PATHS]


def _below_root(path: str) -> Iterator[str]:
    at = 1
    while found := _FOLDER.match(path, at):
        at = found.end()
        yield path[:at].removesuffix("/")
        if path[at - 1] == "/":
            yield path[:at]

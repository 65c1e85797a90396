"""Set-Cookie values by which a browser forgets a cookie that holds a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.core.http.set_cookies import SetCookie, place, read
from gateway.core.logins.carriers import HOST_PREFIX, deletion

# A browser may have a cookie from any domain above a host, for any folder above a path. With more
# deletions, the answer's head would not fit into a proxy's buffer (nginx: 4 KiB).
MAX_DELETIONS = 32  # for all cookies of a request
_MAX_DOMAINS = 3
_MAX_PATHS = 6

# The attributes that tell cookies apart, or that a deletion needs; and the characters that their
# values may have.
_ATTRIBUTES = {
    "path": "Path",
    "domain": "Domain",
    "httponly": "HttpOnly",
    "samesite": "SameSite",
    "secure": "Secure",
    "partitioned": "Partitioned",
}
_TEXT = re.compile(r"[!-:<-~]*")

_HOST = re.compile(r"((?:[A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]*)\.?(?::[0-9]+)?")
_FOLDER = re.compile(r"[^/;\x00-\x20\x7f-\U0010ffff]+/?")


def deletions(name: str, host: str, path: str) -> list[str]:
    """Set-Cookie values that delete a cookie, wherever it was set.

    It came with a request to this host and path, so its domain and path are among those that match
    them (RFC 6265 §5.4).
    """
    plain = deletion(name)
    if name.startswith(HOST_PREFIX):
        return [plain]  # it has no domain, and no other path (RFC 6265bis §4.1.3)
    return [
        plain.replace("; Path=/", f"; Path={folder}{domain}", 1)
        for domain in ("", *(f"; Domain={domain}" for domain in _domains(host)))
        for folder in _folders(path)
    ]


def kept_place(value: str, path: str, *, lasts: bool = False) -> str:
    """The name and attributes of a backend's cookie with a key.

    A session keeps them. A logout deletes the cookie by them, and one that lasts is set again.

    value: the Set-Cookie value
    path: of its request
    lasts: whether the cookie lasts; otherwise "" if `deletion` knows such attributes
    """
    cookie = read(value)
    name, domain, folder = place(value, path)
    attributes = {**cookie.attributes, "path": folder}
    in_frames = "partitioned" in attributes or attributes.get("samesite", "").lower() == "none"
    if (domain, folder) == ("", "/") and not in_frames and not lasts:
        return ""
    return f"{name}; {_written(attributes)}"


def deletion_from(kept: str, name: str) -> str:
    """A Set-Cookie value that deletes the cookie of this name.

    `kept` is what its session keeps of it.
    """
    kept_name, _, attributes = kept.partition("; ")
    if not attributes or kept_name != name:
        return deletion(name)
    return f"{name}=; Max-Age=0; {attributes}"


def setting_from(kept: str, name: str, key: str, seconds: int | None = None) -> str:
    """A Set-Cookie value that puts a key into the cookie of this name again.

    kept: what its session keeps of it
    seconds: for how long the browser keeps it; None: until it closes
    """
    end = "" if seconds is None else f"; Max-Age={seconds}"
    return deletion_from(kept, name).replace("=; Max-Age=0", f"={key}{end}", 1)


def deletion_of(cookie: SetCookie) -> str:
    """A Set-Cookie value that deletes the cookie which another one sets."""
    attributes = _written(cookie.attributes)
    return f"{cookie.name}=; Max-Age=0" + (f"; {attributes}" if attributes else "")


def _written(attributes: Mapping[str, str]) -> str:
    """The attributes that tell cookies apart, as in a Set-Cookie value."""
    texts = {
        name: attributes[name] for name in _ATTRIBUTES if _TEXT.fullmatch(attributes.get(name, " "))
    }
    return "; ".join(
        f"{_ATTRIBUTES[name]}={text}" if text else _ATTRIBUTES[name] for name, text in texts.items()
    )


def _domains(host: str) -> list[str]:
    """The host and the domains above it, the widest last; none for an address."""
    named = _HOST.fullmatch(host)
    if named is None:
        return []
    labels = named[1].lower().split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)][-_MAX_DOMAINS:]


def _folders(path: str) -> list[str]:
    """The paths of cookies that a browser sends to this one (RFC 6265 §5.1.4)."""
    return ["/", *_below_root(path)][:_MAX_PATHS]


def _below_root(path: str) -> Iterator[str]:
    at = 1
    while found := _FOLDER.match(path, at):
        at = found.end()
        yield path[:at].removesuffix("/")
        if path[at - 1] == "/":
            yield path[:at]

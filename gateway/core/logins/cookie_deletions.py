"""Set-Cookie values by which a browser forgets a cookie that holds a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.core.http.set_cookies import SetCookie, place, read
from gateway.core.logins.carriers import HOST_PREFIX, deletion

# A browser may have a cookie from any domain above a host, and for any folder above a path. So many
# of each are tried, or the answer's head would not fit into a proxy's buffer (nginx: 4 KiB).
MAX_DELETIONS = 32  # of all the cookies of a request
_MAX_DOMAINS = 3
_MAX_PATHS = 6

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
    attributes = {**cookie.attributes, "path": folder}
    in_frames = "partitioned" in attributes or attributes.get("samesite", "").lower() == "none"
    if (domain, folder) == ("", "/") and not in_frames:
        return ""
    return f"{name}; {_written(attributes)}"


def deletion_from(kept: str, name: str) -> str:
    """A Set-Cookie value that has the browser forget the cookie of this name in which a key came,
    from where a session has `kept` it.
    """
    kept_name, _, attributes = kept.partition("; ")
    if not attributes or kept_name != name:
        return deletion(name)
    return f"{name}=; Max-Age=0; {attributes}"


def deletion_of(cookie: SetCookie) -> str:
    """A Set-Cookie value that deletes the cookie from where another one puts it."""
    attributes = _written(cookie.attributes)
    return f"{cookie.name}=; Max-Age=0" + (f"; {attributes}" if attributes else "")


def _written(attributes: Mapping[str, str]) -> str:
    """The attributes that tell cookies apart, as a Set-Cookie value has them."""
    texts = {
        name: attributes[name] for name in _ATTRIBUTES if _TEXT.fullmatch(attributes.get(name, " "))
    }
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

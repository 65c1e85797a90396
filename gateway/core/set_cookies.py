"""Set-Cookie values by which a browser forgets a cookie that holds a key."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.core.carriers import HOST_PREFIX, deletion

# A browser may have a cookie from any domain above a host, and for any folder above a path. So many
# of each are tried, or the answer's head would not fit into a proxy's buffer (nginx: 4 KiB).
_MAX_DOMAINS = 3
_MAX_PATHS = 6

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


def place(value: str, path: str) -> tuple[str, str, str]:
    """What a browser keeps the cookie of a Set-Cookie value by: name, domain and path (RFC 6265
    §5.3), if it comes in the answer to a request to this path. The domain is "" for the host alone.
    """
    pair, *attributes = value.split(";")
    said = {
        name.strip().lower(): text.strip()
        for name, _, text in (attribute.partition("=") for attribute in attributes)
    }
    folder = said.get("path", "")
    if not folder.startswith("/"):
        folder = path[: path.rfind("/")] or "/"  # §5.1.4
    return pair.partition("=")[0].strip(), said.get("domain", "").lstrip(".").lower(), folder


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

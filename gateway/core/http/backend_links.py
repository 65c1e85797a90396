"""What answers say of a backend's own URLs, as clients know them (RFC 9110 §7.7, §10.2.2).

A route may move paths: `/shop/x` is `/base/x` to its upstream. So `Location: /base/y` is `/shop/y`
to the client. URLs of other sites, and paths that no client reaches, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urljoin

_ABSOLUTE = re.compile(rb"((?i:https?:)?//)([^/?#]*)(.*)")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
_REFRESH = re.compile(rb"([0-9.]+[ \t]*[;,][ \t]*(?i:url[ \t]*=[ \t]*)?)([\"']?)(.*)")
_COOKIE_PATH = re.compile(rb"(;[ \t]*(?i:path)[ \t]*=[ \t]*)(/[^;]*)")
_DEFAULT_PORT = re.compile(rb":(?:80|443)?\Z")

# Browsers read a backslash as a slash (WHATWG URL §4.4): two of them would begin another host.
_SLASHES = b"/\\"

_WITH_PATHS = frozenset({b"location", b"content-location", b"refresh", b"set-cookie"})

# A cookie of this name is for the whole site, or for none (RFC 6265bis §4.1.3.2).
_WHOLE_SITE = b"__host-"


class Asked(NamedTuple):
    """What the upstream knows of the request that it answers.

    hosts: by which it may call the client's site: that of the request, and what a proxy told
    path: as it got it
    prefix: that it was told in X-Forwarded-Prefix
    """

    hosts: tuple[bytes, ...]
    path: bytes
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class BackendLinks:
    """How one route's URLs differ between its clients and its upstream.

    client: the prefix of paths that only clients know
    upstream: the prefix of paths that only the upstream knows
    authorities: what the upstream may call itself
    moves_urls: whether URLs are put right
    moves_cookies: whether the paths of cookies are
    """

    client: bytes
    upstream: bytes
    authorities: frozenset[bytes]
    moves_urls: bool = True
    moves_cookies: bool = True

    @classmethod
    def of(
        cls, client: bytes, upstream: bytes, authorities: Iterable[bytes], **moves: bool
    ) -> BackendLinks:
        """The links of a route; default ports of `authorities` do not count."""
        return cls(client, upstream, frozenset(map(_without_port, authorities)), **moves)

    def put_right(self, lines: Iterable[bytes], asked: Callable[[], Asked]) -> list[bytes]:
        """The field lines of an answer, as they are right for the client."""
        kept = []
        for line in lines:
            name, _, rest = line.partition(b":")
            lower = name.lower()
            if lower in _WITH_PATHS:
                value = rest.strip(b" \t\r\n")
                changed = self._changed(lower, value, asked())
                if changed != value:
                    kept.append(b"%b: %b\r\n" % (name, changed))
                    continue
            kept.append(line)
        return kept

    def _changed(self, name: bytes, value: bytes, asked: Asked) -> bytes:
        if name == b"set-cookie":
            return self._cookie(value, asked) if self.moves_cookies else value
        if not self.moves_urls:
            return value
        return (self._refresh if name == b"refresh" else self._url)(value, asked)

    def _url(self, url: bytes, asked: Asked) -> bytes:
        """A URL of the upstream, as a reference for the client."""
        absolute = _ABSOLUTE.fullmatch(url)
        if absolute is not None:
            start, authority, rest = absolute.groups()
            plain = _without_port(authority)
            if plain in map(_without_port, asked.hosts):
                return start + authority + self._moved(rest or b"/", asked)
            if plain not in self.authorities:
                return url
            return b"/" + self._moved(rest or b"/", asked).lstrip(_SLASHES)
        if not url or url[:1] in (b"?", b"#") or _SCHEME.match(url):
            return url
        return self._moved(url if url.startswith(b"/") else urljoin(asked.path, url), asked)

    def _refresh(self, value: bytes, asked: Asked) -> bytes:
        found = _REFRESH.fullmatch(value)
        if found is None:
            return value
        url = found[3].rstrip(found[2]) if found[2] else found[3]
        return found[1] + found[2] + self._url(url, asked) + found[2]

    def _moved(self, target: bytes, asked: Asked) -> bytes:
        """A path, with what is behind it."""
        end = min((at for mark in (b"?", b"#") if (at := target.find(mark)) >= 0), default=None)
        path = target[:end]
        rest = b"" if end is None else target[end:]
        if _is_below(path, self.upstream):
            if not self.upstream and self._knows_prefix(path, asked):
                return target
            path = path[len(self.upstream) :]
            path = self.client + (b"/" + path.lstrip(_SLASHES) if path or not self.client else b"")
        return path + rest

    def _cookie(self, value: bytes, asked: Asked) -> bytes:
        """A Set-Cookie value with the client's path in place of the upstream's."""
        if value[: len(_WHOLE_SITE)].lower() == _WHOLE_SITE:
            return value

        def put_right(found: re.Match[bytes]) -> bytes:
            path = found[2].rstrip(b" \t")
            return found[1] + self._cookie_path(path, asked) + found[2][len(path) :]

        return _COOKIE_PATH.sub(put_right, value)

    def _cookie_path(self, path: bytes, asked: Asked) -> bytes:
        if _is_below(self.upstream, path.rstrip(b"/")) and not self._knows_prefix(path, asked):
            return self.client or b"/"  # it covers all that the route reaches
        return self._moved(path, asked)

    def _knows_prefix(self, path: bytes, asked: Asked) -> bool:
        """Whether the upstream has put its X-Forwarded-Prefix before a path."""
        known = (self.client, asked.prefix)
        return any(_is_below(path, prefix) for prefix in known if prefix)


def _is_below(path: bytes, prefix: bytes) -> bool:
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def _without_port(authority: bytes) -> bytes:
    return _DEFAULT_PORT.sub(b"", authority.lower())

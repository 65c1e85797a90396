"""The verify endpoint: a proxy describes a request that has come to it, and learns whether it may
pass, and with what fields (forward authentication).

Proxies describe requests in three ways. A request has to be described in exactly one of them, and
nothing of it twice, for a client can send such fields too, and no proxy removes them all.

* Traefik and Caddy: X-Forwarded-Method and -Uri, with -Host and -Proto.
* nginx: X-Original-Method with -URI, or -URL which names the host too. Its `auth_request` knows
  2xx, 401 and 403 and takes all else for a fault, so a redirect is told as a 401 with Location.
* Envoy: by the question's own method and host, and by its path behind that of the endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.http import refusals
from gateway.core.http.field_names import ORIGINALS
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Access, Action, Auth, Route
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.request_head import Description, RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.store.resolved_session import ResolvedSession

# What names a request's target, and what names its method then. The last way is Envoy's; these are
# no fields, and no field can be called so.
_URL, _PATH = b"x-original-url", b":path"
_WAYS = {
    b"x-forwarded-uri": b"x-forwarded-method",
    b"x-original-uri": b"x-original-method",
    _URL: b"x-original-method",
    _PATH: b":method",
}
_HOST, _PROTO = b"x-forwarded-host", b"x-forwarded-proto"
_DESCRIBING = frozenset({_HOST, _PROTO, *_WAYS, *_WAYS.values()})

_ABSOLUTE = re.compile(rb"(?i:(https?))://([^/?]+)(/.*)")

# Where a browser can be sent.
_SITE = re.compile(rb"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# RFC 6455 §4.1: every handshake has some of these. Proxies keep `Upgrade` to themselves.
_OF_A_HANDSHAKE = b"sec-websocket-"

# What Connection may name: what speaks of the connection itself (RFC 9110 §7.6.1).
_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"})

_OK = 200


class VerifyEndpoint:
    """Reads descriptions of requests, and answers those who gave them."""

    def __init__(
        self, reader: RequestReader, *, identity: Iterable[str], key_field: str | None
    ) -> None:
        """`identity` are the names of the fields that tell upstreams of the subject; `key_field` is
        a field in which a key may come, beside Authorization.
        """
        self._reader = reader
        own = [] if key_field is None else [key_field]
        self._blank = dict.fromkeys(["Authorization", "Cookie", *own, *identity], "")

    def routes(self, path: str) -> list[Route]:
        """The endpoint itself, and all below it, where the path is a description."""
        return [
            Route(
                name=name,
                access=Access(Auth.PUBLIC),
                action=Action(strip_prefix=prefix),
                is_endpoint=True,
                verifies=True,
            )
            for name, prefix in ((path, b""), (f"{path}/*", path.encode()))
        ]

    def described_request(self, head: RequestHead, asked: Route, peer: Peer) -> RequestHead:
        """The request that is asked about, read by the rules for those that come themselves.

        Raises `Refused` for who may not ask, and for what is not described in exactly one way.
        """
        if not peer.describes:
            raise Refused(refusals.UNTRUSTED)
        if head.purged or not _OPTIONS.issuperset(head.named):
            # There are backends that take X_User_Id for X-User-Id, and some that speak h2c; and a
            # proxy may remove what Connection names after it has put our fields in.
            raise Refused(refusals.UNFIT)
        parts = _parts(head, asked, peer)
        line = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (parts.method, parts.target, parts.host)
        described = self._reader.read(line, len(line) - len(HEAD_END))
        described.description = Description(_site(parts), redirects=not parts.by_nginx)
        described.passed = head.passed
        described.credential, described.cookie = head.credential, head.cookie
        described.authorization, described.ambiguous = head.authorization, head.ambiguous
        described.key_cookies, described.disputed = head.key_cookies, head.disputed
        described.upgrade = head.upgrade or _handshake(head)
        return described

    def answer(self, head: RequestHead, entry: ResolvedSession | None) -> Answered:
        """Yes, with what is to take the place of what the client has sent.

        Every field is named, even if there is nothing to put there: some proxies leave a field that
        they are not told of as the client sent it.
        """
        fields = {**self._blank, "Cookie": _cookies(head), "Cache-Control": "no-store"}
        if entry is not None:
            fields["Authorization"] = f"Bearer {entry.token.decode('ascii')}"
            for line in entry.lines.decode("ascii").splitlines():
                name, _, value = line.partition(": ")
                fields[name] = value
        return Answered(_OK, fields)


class _Parts(NamedTuple):
    method: bytes
    target: bytes
    host: bytes
    scheme: bytes  # as the browser knows it; empty if that is not known
    by_nginx: bool


def _parts(head: RequestHead, asked: Route, peer: Peer) -> _Parts:
    said = [pair for pair in (*head.forwarding, *head.originals) if pair[0] in _DESCRIBING]
    if asked.action.strip_prefix:
        target = asked.action.upstream_path(head.path) + head.query
        said += ((_PATH, target), (_WAYS[_PATH], head.method))
    fields = dict(said)
    scheme, host = fields.pop(_PROTO, b"").lower(), fields.pop(_HOST, None)
    if b"," in scheme:
        scheme = peer.client(head).scheme if peer.trusted else b""
    way = next((way for way in _WAYS if fields.keys() == {way, _WAYS[way]}), None)
    if way is None or len(said) > len(dict(said)):
        raise Refused(refusals.UNDESCRIBED)
    method, target = fields[_WAYS[way]], fields[way]
    if way == _URL:
        url = _ABSOLUTE.fullmatch(target)
        if url is None or host not in (None, url[2]):
            raise Refused(refusals.UNDESCRIBED)
        # A scheme on which not all agree is none: there may be TLS in front of nginx, or not.
        scheme = url[1].lower() if scheme in (b"", url[1].lower()) else b""
        host, target = url[2], url[3]
    if not target.startswith(b"/"):
        raise Refused(refusals.UNDESCRIBED)
    by_nginx = way in ORIGINALS
    return _Parts(method, target, host or head.host or b"", scheme, by_nginx)


def _site(parts: _Parts) -> str:
    """What makes a path a URL again; nothing where a browser could not go."""
    site = b"%b://%b" % (parts.scheme, parts.host)
    return site.decode("latin-1") if _SITE.fullmatch(site) else ""


def _handshake(head: RequestHead) -> bytes | None:
    prefix, size = _OF_A_HANDSHAKE, len(_OF_A_HANDSHAKE)
    return b"websocket" if any(line[:size].lower() == prefix for line in head.passed) else None


def _cookies(head: RequestHead) -> str:
    """The cookies without the key, as one field (RFC 9113 §8.2.3 allows several)."""
    named = (line.partition(b":") for line in head.passed)
    values = [value.strip() for name, _, value in named if name.lower() == b"cookie"]
    return b"; ".join(values).decode("latin-1")

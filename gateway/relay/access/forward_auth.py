"""The verify endpoint: forward authentication for other proxies.

A proxy describes a request that has come to it, and learns whether the request may pass, and with
which fields. There are three ways to describe one. A description has to use exactly one of them,
and name nothing twice: a client can send such fields too, and no proxy removes them all.

* Traefik and Caddy: X-Forwarded-Method and -Uri, with -Host and -Proto.
* nginx: X-Original-Method with -URI, or with -URL, which names the host too. Its `auth_request`
  knows 2xx, 401 and 403 and takes all others for a fault. So a redirect becomes a 401 with
  Location.
* Envoy: the question's own method and host, and its path behind that of the endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.http import refusals
from gateway.core.http.field_names import ORIGINALS
from gateway.core.logins import token_sending
from gateway.relay.access import own_authorization
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.request_head import Description, RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Answered, Refused

if TYPE_CHECKING:
    from gateway.store.resolved_session import ResolvedSession

# By the field with a request's target: the field with its method. The last two are Envoy's way, and
# no fields: no field can have such a name.
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

# An origin to which a browser can be sent.
_SITE = re.compile(rb"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# Every handshake of a WebSocket has such fields (RFC 6455 §4.1). Proxies do not pass `Upgrade` on.
_OF_A_HANDSHAKE = b"sec-websocket-"

# The options of Connection that are about the connection itself (RFC 9110 §7.6.1).
_CONNECTION_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"})

_OK = 200


class VerifyEndpoint:
    """Reads descriptions of requests, and answers the proxies' questions."""

    def __init__(
        self,
        reader: RequestReader,
        *,
        identity: Iterable[str],
        key_fields: Iterable[str] = (),
    ) -> None:
        """Take the fields that every answer names.

        reader: reads a described request as one that came itself
        identity: the names of the fields that tell upstreams the subject
        key_fields: the other fields in which keys come and upstreams get tokens
        """
        self._reader = reader
        named = {name.lower(): name for name in (*key_fields, *identity)}
        self._blank = dict.fromkeys(["Authorization", "Cookie", *named.values()], "")

    def routes(self, path: str) -> list[Route]:
        """The routes of the endpoint, and of Envoy's descriptions below it."""
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
        """The request that a question is about, read by the usual rules.

        Raises `Refused` for a peer that may not ask, and for a request that is not described in
        exactly one way.
        """
        if not peer.describes:
            raise Refused(refusals.UNTRUSTED)
        if head.purged or not _CONNECTION_OPTIONS.issuperset(head.named):
            # Some backends take X_User_Id for X-User-Id, and some speak h2c. And a proxy may remove
            # the fields that Connection names after it has added ours.
            raise Refused(refusals.UNFIT)
        parts = _parts(head, asked, peer)
        line = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (parts.method, parts.target, parts.host)
        described = self._reader.read(line, len(line) - len(HEAD_END))
        described.description = Description(_site(parts), redirects=not parts.by_nginx)
        described.passed = head.passed
        described.presented_key, described.cookie = head.presented_key, head.cookie
        described.authorization, described.ambiguous = head.authorization, head.ambiguous
        described.key_cookies, described.disputed = head.key_cookies, head.disputed
        described.upgrade = head.upgrade or _handshake(head)
        return described

    def answer(self, head: RequestHead, route: Route, resolved: ResolvedSession | None) -> Answered:
        """The answer "yes", with the fields that replace the client's own.

        It names every field, and an empty value removes one: some proxies pass on a client's field
        that the answer does not name. No field can put a token into the query.
        """
        fields, lines, added = {**self._blank, "Cache-Control": "no-store"}, head.passed, b""
        if resolved is None:
            added = own_authorization.line(head, route)
        else:
            sending, added = route.action.send_token, token_sending.BEARER_LINE % resolved.token
            if sending is not None:
                _, lines, added = token_sending.put(sending, resolved.token, head.target, lines)
            elif resolved.sending is not None:
                by_cookie = head.cookie is not None
                _, lines, added = token_sending.put_as_it_came(
                    resolved.sending, resolved.token, head.target, lines, by_cookie=by_cookie
                )
            added += resolved.lines
        fields["Cookie"] = _cookies(lines)
        for line in added.split(b"\r\n")[:-1]:
            name, _, value = line.decode("latin-1").partition(": ")
            if name not in fields:  # in this spelling
                fields = {given: fields[given] for given in fields if given.lower() != name.lower()}
            fields[name] = value
        answered = Answered(_OK, fields)
        answered.route = route.label
        return answered


class _Parts(NamedTuple):
    method: bytes
    target: bytes
    host: bytes
    scheme: bytes  # as the browser knows it; empty if it is unknown
    by_nginx: bool


def _parts(head: RequestHead, asked: Route, peer: Peer) -> _Parts:
    describing = [pair for pair in (*head.forwarding, *head.originals) if pair[0] in _DESCRIBING]
    if asked.action.strip_prefix:
        target = asked.action.upstream_path(head.path) + head.query
        describing += ((_PATH, target), (_WAYS[_PATH], head.method))
    fields = dict(describing)
    scheme, host = fields.pop(_PROTO, b"").lower(), fields.pop(_HOST, None)
    if b"," in scheme:
        scheme = peer.client(head).scheme if peer.trusted else b""
    way = next((way for way in _WAYS if fields.keys() == {way, _WAYS[way]}), None)
    if way is None or len(describing) > len(dict(describing)):
        raise Refused(refusals.UNDESCRIBED)
    method, target = fields[_WAYS[way]], fields[way]
    if way == _URL:
        url = _ABSOLUTE.fullmatch(target)
        if url is None or host not in (None, url[2]):
            raise Refused(refusals.UNDESCRIBED)
        # If two fields disagree, the scheme is unknown: there may be TLS in front of nginx.
        scheme = url[1].lower() if scheme in (b"", url[1].lower()) else b""
        host, target = url[2], url[3]
    if not target.startswith(b"/"):
        raise Refused(refusals.UNDESCRIBED)
    by_nginx = way in ORIGINALS
    return _Parts(method, target, host or head.host or b"", scheme, by_nginx)


def _site(parts: _Parts) -> str:
    """The origin of a described request; "" if a browser could not go there."""
    site = b"%b://%b" % (parts.scheme, parts.host)
    return site.decode("latin-1") if _SITE.fullmatch(site) else ""


def _handshake(head: RequestHead) -> bytes | None:
    prefix, size = _OF_A_HANDSHAKE, len(_OF_A_HANDSHAKE)
    return b"websocket" if any(line[:size].lower() == prefix for line in head.passed) else None


def _cookies(lines: Iterable[bytes]) -> str:
    """The cookies without the key in one field.

    A request may have several (RFC 9113 §8.2.3).
    """
    named = (line.partition(b":") for line in lines)
    values = [value.strip() for name, _, value in named if name.lower() == b"cookie"]
    return b"; ".join(values).decode("latin-1")

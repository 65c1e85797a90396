"""Cookies with keys: which of them count, and how browsers forget them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from gateway.core.logins import carriers, cookie_deletions
from gateway.core.logins.carriers import HOST_PREFIX
from gateway.core.logins.token_places import TokenPlace
from gateway.relay.access import browsers
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.core.sessions.session import Session
    from gateway.relay.access.peer import Peer
    from gateway.store.resolved_session import ResolvedSession

_HOST_PREFIX = HOST_PREFIX.encode()

# A cookie's name and the key in it.
KeyCookie = tuple[bytes, bytes]


class TrustedCookies:
    """The cookies in which keys are taken.

    By any other cookie, another site could log a visitor in.
    """

    def __init__(
        self, name: str, places: Iterable[TokenPlace], *, secure: bool | Literal["auto"]
    ) -> None:
        """Take the section `keys` of config.yaml.

        name: the configured name of the cookie
        places: the places in which backends hand tokens out
        secure: whether clients come by HTTPS; `auto` looks at the request
        """
        places = tuple(places)
        self._secure = secure
        self._own = carriers.own_cookies(name, places)
        self._unknown = carriers.unknown_to_backends(name, places)
        self._by_http, self._by_https = (
            carriers.trusted_cookies(name, places, secure=by_https) for by_https in (False, True)
        )

    def have(self, head: RequestHead, peer: Peer) -> bool:
        """Whether the cookie that brought the request's key is one of them."""
        return self._by_http is None or self._has(head.cookie or b"", head, peer)

    def ranked(self, head: RequestHead, peer: Peer) -> list[list[KeyCookie]]:
        """A request's trusted cookies in two ranks, the more trusted ones first.

        A neighbouring host can set all cookies but those of one prefix (RFC 6265bis §4.1.3). It can
        also make its cookie come first in the field, by a longer path.
        """
        trusted = [
            (name, key)
            for name, key in dict.fromkeys(head.key_cookies)
            if self._by_http is None or self._has(name, head, peer)
        ]
        own = [pair for pair in trusted if pair[0].startswith(_HOST_PREFIX)]
        return [own, [pair for pair in trusted if pair not in own]]

    def is_of_backend(self, name: bytes) -> bool:
        """Whether a backend may hand out keys in this cookie."""
        text = name.decode("latin-1")
        return text not in self._unknown and (self._by_http is None or text in self._own)

    def forget(
        self, head: RequestHead, peer: Peer, resolved: ResolvedSession | None = None
    ) -> None:
        """Make the browser forget the gateway's own cookies that brought keys.

        A cookie of another name that is valid for a whole domain may be another gateway's.

        resolved: the session that has just ended, which knows the attributes of its cookie
        """
        path, host = head.path.decode("latin-1"), browsers.asked_host(head, peer)
        cookies = dict.fromkeys(head.key_cookies)
        names = dict.fromkeys(name.decode("latin-1") for name, _ in cookies)
        values: list[str] = []
        if resolved is not None:
            values += [
                cookie_deletions.deletion_from(resolved.session.cookie, name) for name in names
            ]
        if resolved is None or len(cookies) > 1:
            for name in names:
                if name in self._own:
                    values += cookie_deletions.deletions(name, host, path)
                elif self._by_http is None:
                    values += cookie_deletions.deletions(name, "", path)
        head.cookie_settings = tuple(dict.fromkeys(values))[: cookie_deletions.MAX_DELETIONS]

    def prolong(self, head: RequestHead, session: Session, key: str, until: int) -> bool:
        """Have the answer set the lasting cookie that brought the key anew.

        False if it is another one than the session's.

        key: the key as the client gets it
        until: when the cookie is to end (UNIX seconds)
        """
        name = (head.cookie or b"").decode("latin-1")
        seconds = max(1, until - int(time.time()))
        if name not in self._unknown and name != session.cookie.partition("; ")[0]:
            return False
        head.cookie_settings += (cookie_deletions.setting_from(session.cookie, name, key, seconds),)
        head.sets_key = True
        return True

    def _has(self, name: bytes, head: RequestHead, peer: Peer) -> bool:
        names = self._by_https if self._is_https(head, peer) else self._by_http
        return names is None or name.decode("latin-1") in names

    def _is_https(self, head: RequestHead, peer: Peer) -> bool:
        if self._secure != "auto":
            return self._secure
        if head.description is not None:
            return head.description.site.startswith("https:")
        return peer.client(head).is_protected

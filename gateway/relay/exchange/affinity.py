"""The key by which a request finds the server of the requests before it."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.relay.access.decision import Forward
    from gateway.relay.exchange.exchange_side import ExchangeSide
    from gateway.relay.upstream.policy import Sticky

# As base64 in 22 letters: two clients do not get the same one by chance.
_COOKIE_BYTES = 16


def key(sticky: Sticky, exchange: ExchangeSide, forward: Forward) -> bytes:
    """The session's id or the cookie's value. Empty for a client that cannot be told from others.

    Without a session, it is the client's address.
    """
    if sticky.cookie is not None:
        return _of_cookie(sticky.cookie, exchange, forward)
    resolved = forward.resolved
    return ((resolved is not None and resolved.session.id) or exchange.network).encode()


def _of_cookie(name: str, exchange: ExchangeSide, forward: Forward) -> bytes:
    """The value of the cookie, which the answer sets if it has not come.

    It is any text: servers are chosen by its hash, so it names none, and nothing has to be signed.
    """
    text = f"{exchange.head.passed_list(b'cookie') or ''};{forward.answer_lines.decode()}"
    found = re.search(rf"(?:^|[;, ]){re.escape(name)}=([^;,\s]+)", text)
    if found is not None:
        return found[1].encode("latin-1", "replace")
    value = secrets.token_urlsafe(_COOKIE_BYTES)
    secure = exchange.client.peer.client(exchange.head).is_protected
    line = f"Set-Cookie: {name}={value}; Path=/; HttpOnly; SameSite=Lax{'; Secure' * secure}\r\n"
    forward.answer_lines += line.encode()
    return value.encode()

"""The client's own Authorization, which is for the upstream alone.

It is Basic, Digest, the signature of a request, or a bearer token of another kind. It goes upstream
where no session is required and none is there, and to a backend's login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.sessions import keys
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.relay.access.route import Route

_DOTS = 2  # in a JWT; a key has none


def line(head: RequestHead, route: Route) -> bytes:
    """The field line; empty without one, for several, and for one with a key.

    A JWT that the gateway was to verify is not passed on.
    """
    given = head.authorization
    if given is None or head.ambiguous or b"authorization" in head.named:
        return b""
    if route.access.accepts_jwt and brings_jwt(head):
        return b""
    value = given.partition(b":")[2].strip(b" \t\r\n")
    scheme, _, rest = value.partition(b" ")
    if (scheme.lower() == b"bearer" and rest in keys.NOTHING) or keys.stands_in_authorization(
        value
    ):
        return b""
    return given


def is_presented(head: RequestHead) -> bool:
    """Whether the client presents a bearer token of its own as a key."""
    if head.presented_key is None or head.cookie is not None or head.key_fields:
        return False
    return head.authorization is not None


def brings_jwt(head: RequestHead) -> bool:
    """Whether a JWT came in place of a key, as a bearer token (RFC 6750 §2.1)."""
    presented_key, line = head.presented_key, head.authorization
    if presented_key is None or line is None or presented_key.count(b".") != _DOTS:
        return False
    return head.cookie is None and line.rstrip().endswith(b" " + presented_key)

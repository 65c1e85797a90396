"""What the names of header fields mean to a gateway.

Many backends read fields through CGI-style names, in which `X-User-Id`, `X_User_Id` and
`x.user.id` are one variable. So a name is compared after folding case, `_` and `.`: whatever
folds to a field that the gateway sets or guards, without being spelled like it, is dropped.
"""

from __future__ import annotations

# RFC 9110 §7.6.1 and its predecessors: they speak of one connection, not of the message.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        # Spoken only together with `Upgrade: h2c`, which is never granted (RFC 9113 §3.2.1).
        b"http2-settings",
    }
)

# Fields by which nginx describes another request, in its ways (see the relay's `forward_auth`).
ORIGINALS = frozenset({b"x-original-method", b"x-original-uri", b"x-original-url"})

# Fields by which some servers let a request name another path or proxy than its own.
OVERRIDES = ORIGINALS | {b"x-rewrite-url", b"proxy"}

# Fields that tell of the client; only a trusted peer may set them.
FORWARDING = frozenset({b"forwarded", b"x-real-ip", b"x-request-id", b"x-client-ip"})
FORWARDING_PREFIX = b"x-forwarded-"

# The gateway speaks to its own endpoints with these.
OWN_PREFIX = b"x-latchkey-"

# RFC 9110 §6.5.1: what a trailer must not carry, as it would change framing, routing or identity.
NEVER_TRAILERS = (
    HOP_BY_HOP
    | OVERRIDES
    | FORWARDING
    | frozenset(
        {
            b"authorization",
            b"cache-control",
            b"content-encoding",
            b"content-length",
            b"content-range",
            b"content-type",
            b"cookie",
            b"expect",
            b"host",
            b"max-forwards",
            b"set-cookie",
            b"trailer",
            b"via",
            b"www-authenticate",
        }
    )
)

_FOLD = bytes.maketrans(b"_.", b"--")


def fold(name: bytes) -> bytes:
    """The name as the most careless backend compares it: `X_User.Id` is `x-user-id`."""
    return name.lower().translate(_FOLD)

"""The header fields that mean something to a gateway, by their names.

Many backends read fields through CGI-style names, in which `X-User-Id`, `X_User_Id` and
`X~User.Id` are one variable: RFC 3875 §4.1.18 speaks of `-` alone, but lighttpd and others write
`_` for every byte that is not a letter or a digit. So names are compared folded, and a field is
dropped if it folds to a name that the gateway sets or guards, but is spelled differently.
"""

from __future__ import annotations

import string

# They are about one connection and not about the message (RFC 9110 §7.6.1 and its predecessors).
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
        # Sent together with `Upgrade: h2c`, which the gateway never grants (RFC 9113 §3.2.1).
        b"http2-settings",
    }
)

# nginx describes another request by these fields (see `forward_auth`).
ORIGINALS = frozenset({b"x-original-method", b"x-original-uri", b"x-original-url"})

# Some servers let a request override its own path, method or proxy by these fields.
OVERRIDES = ORIGINALS | {
    b"x-rewrite-url",
    b"x-override-url",
    b"x-http-method",
    b"x-http-method-override",
    b"x-method-override",
    b"proxy",
}

# The client's address, its scheme and the host that it asked. Only a trusted peer may set these
# fields; docs/configuration.md lists them.
FORWARDING = frozenset(
    {
        b"forwarded",
        b"x-real-ip",
        b"x-request-id",
        # Other names for the client's address.
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-pseudo-ipv4",
        b"client-ip",
        b"do-connecting-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded-for",
        b"true-client-ip",
        b"x-appengine-user-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-forwarded",
        b"x-original-for",
        b"x-original-forwarded-for",
        b"x-originating-ip",
        b"x-proxyuser-ip",
        b"x-remote-addr",
        b"x-remote-ip",
        # Other names for the scheme and the host.
        b"front-end-https",
        b"x-host",
        b"x-http-host-override",
        b"x-original-host",
        b"x-original-proto",
        b"x-scheme",
        b"x-url-scheme",
        # The client's certificate (RFC 9440 §2.4).
        b"client-cert",
        b"client-cert-chain",
        b"x-arr-clientcert",
        b"x-client-cert",
    }
)
FORWARDING_PREFIXES = (b"x-forwarded-", b"x-ssl-", b"ssl-client-")

# Backends and their frameworks learn the request's host from these fields.
HOSTS = frozenset(
    {
        b"forwarded",
        b"host",
        b"x-forwarded-host",
        b"x-forwarded-server",
        b"x-host",
        b"x-http-host-override",
        b"x-original-host",
    }
)

# The relay tells the gateway's own endpoints of callers by fields with this prefix.
OWN_PREFIX = b"x-latchkey-"

# The relay reads these itself, or takes them out of requests; and all that begin so.
OF_THE_RELAY = HOP_BY_HOP | FORWARDING | OVERRIDES
OF_THE_RELAY |= {b"authorization", b"content-length", b"cookie", b"expect", b"host"}
PREFIXES_OF_THE_RELAY = (*FORWARDING_PREFIXES, OWN_PREFIX)

# A trailer with one of these names would change framing, routing or identity (RFC 9110 §6.5.1).
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

# These names have a meaning already, so config.yaml can use none of them for identity or for keys.
_MEANT = NEVER_TRAILERS | {
    b"baggage",
    b"date",
    b"from",
    b"origin",
    b"priority",
    b"range",
    b"referer",
    b"traceparent",
    b"tracestate",
    b"user-agent",
    b"x-requested-with",
    *(
        b"x-forwarded-" + part
        for part in (
            *(b"by", b"client-cert", b"for", b"host", b"method", b"path", b"port", b"prefix"),
            *(b"proto", b"scheme", b"server", b"ssl", b"uri"),
        )
    ),
}
_MEANT_PREFIXES = (
    OWN_PREFIX,
    b"accept",
    b"access-control-",
    b"content-",
    b"if-",
    b"sec-",
    b"ssl-client-",
    b"x-ssl-",
)

_LETTERS_AND_DIGITS = frozenset((string.ascii_letters + string.digits).encode())
_FOLD = bytes(byte if byte in _LETTERS_AND_DIGITS else 0x2D for byte in range(256))


def fold(name: bytes) -> bytes:
    """Fold a name as careless backends do: `X_User~Id` is `x-user-id`."""
    return name.lower().translate(_FOLD)


def has_meaning(folded: bytes) -> bool:
    """Whether HTTP, browsers, proxies or the gateway use this name."""
    return folded in _MEANT or folded.startswith(_MEANT_PREFIXES)

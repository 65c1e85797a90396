"""Which site caused a request: what stands between a browser's cookie and another site's page.

A browser adds its cookies to whatever request any page makes it send. So a request that carries its
key in a cookie and may change something has to show where it comes from, by fields that browsers
set and no page can (Fetch Metadata §2.2; RFC 6454 §7; OWASP's cross-site request forgery cheat
sheet).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.core.http.cors import Policy

# RFC 9110 §9.2.1: they change nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Caused by a page of the same origin, or by the user: an address typed, a bookmark.
_OWN_SITES = ("same-origin", "none")


# A host as browsers spell it, with its port: without a root dot, and without a comma or an escape,
# which backends read in different ways. 253 characters are the most (RFC 1035 §2.3.4).
_PLAIN_AUTHORITY = re.compile(
    r"(?:(?=.{1,253}(?::|\Z))[a-z0-9._-]*[a-z0-9_-]|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
_PORT = re.compile(r":[0-9]+\Z")


def plain_authority(field: str) -> str:
    """The host and port in a Host field, in lower case; "" if they can be read in several ways."""
    authority = field.lower()
    return authority if _PLAIN_AUTHORITY.fullmatch(authority) else ""


def host_of(authority: str) -> str:
    """The host of a host and port."""
    return _PORT.sub("", authority)


def is_own_site(
    *, site: str | None, origin: str | None, host: str, policy: Policy | None = None
) -> bool:
    """Whether a request was caused by the site's own pages, or by a page with the same rights.

    A request without both fields shows nothing: no browser of this decade sends one.

    site: the field Sec-Fetch-Site
    origin: the field Origin
    host: what the request was sent to
    policy: says which other origins' pages may do what the site's own may
    """
    if origin is not None and policy is not None and policy.trusts(origin):
        return True
    if site is not None:
        return site in _OWN_SITES
    scheme, mark, _ = (origin or "").partition("://")
    # Some proxies say the port in Host that browsers leave out in Origin.
    return bool(mark) and authority(origin or "") == authority(f"{scheme}://{host}")


def authority(url: str) -> str:
    """The host and port of a URL, without a port that goes without saying; "" if there are none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.netloc.lower().removesuffix(default) if default else parts.netloc.lower()

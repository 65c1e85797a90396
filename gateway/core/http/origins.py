"""Protection against cross-site request forgery (CWE-352).

A browser adds its cookies to the requests of every page, of other sites as well. So a request with
a key in a cookie that may change something has to show where it comes from. Browsers set the fields
for that, and no page can (Fetch Metadata §2.2; RFC 6454 §7; OWASP's cheat sheet on CSRF).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.core.http.cors import Policy

# They change nothing (RFC 9110 §9.2.1).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OF_SITES = ("http", "https")

# A page of the same origin, or the user, who typed an address or opened a bookmark.
_OWN_SITES = ("same-origin", "none")


# A host as browsers spell it, and its port: without a root dot, a comma or an escape, which
# backends read in different ways. A name has at most 253 characters (RFC 1035 §2.3.4).
_PLAIN_AUTHORITY = re.compile(
    r"(?:(?=.{1,253}(?::|\Z))[a-z0-9._-]*[a-z0-9_-]|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
_PORT = re.compile(r":[0-9]+\Z")


def plain_authority(field: str) -> str:
    """The host and port of a Host field in lower case.

    "" if readers could differ about them.
    """
    authority = field.lower()
    return authority if _PLAIN_AUTHORITY.fullmatch(authority) else ""


def host_of(authority: str) -> str:
    """The host without the port."""
    return _PORT.sub("", authority)


def is_own_site(
    *, site: str | None, origin: str | None, host: str, policy: Policy | None = None
) -> bool:
    """Whether the site's own pages caused a request.

    Pages of other origins may have the same rights by a policy.

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
    scheme, _, _ = (origin or "").partition("://")
    # Some proxies write the default port in Host, which browsers leave out in Origin. An app's page
    # of another scheme (capacitor://localhost) is no page of the site.
    return scheme in _OF_SITES and authority(origin or "") == authority(f"{scheme}://{host}")


def authority(url: str) -> str:
    """The host and port of a URL, without the scheme's default port.

    "" without a host.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.netloc.lower().removesuffix(default) if default else parts.netloc.lower()

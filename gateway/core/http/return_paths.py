"""Where a browser goes after a login: a path here, or an allowed origin.

A login page that sends people to any URL in its query helps phishing (CWE-601).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote

# A slash, but no second one: that would be another host. Browsers read a backslash in a path as a
# slash (WHATWG URL §4.4), and in a query as itself. No control byte and no space.
_PATH = r"/(?![/\\])[!->@-\[\]-~]*(?:\?[!-~]*)?"
_SAFE = re.compile(_PATH)
_ELSEWHERE = re.compile(rf"([a-z]+://[^/?#@\\]+)(?:{_PATH})?")

# The parameter by which a login page learns how old a login may be, and the values that it may have
# (seconds).
MAX_AGE = "max_age"
_SECONDS = re.compile(r"[0-9]{1,9}")

# This gateway, nginx and Apache take a target of 8 KiB by default; a proxy may add something
# (bytes).
MAX_BYTES = 8000

# What a query's value may hold as it is (RFC 3986 §3.4), but for what forms read in another way.
_PLAIN_IN_QUERY = "/?=:@!$'()*,~"


def safe(back: str, origins: Collection[str] = ()) -> str:
    """The path with its query, or a URL of an allowed origin; otherwise `/`.

    origins: as browsers spell them
    """
    if len(back) > MAX_BYTES:
        return "/"
    elsewhere = _ELSEWHERE.fullmatch(back)
    allowed = elsewhere is not None and elsewhere[1] in origins
    return back if allowed or _SAFE.fullmatch(back) else "/"


def max_age_in(text: str) -> int | None:
    """The seconds of a parameter `MAX_AGE`; None if it has none."""
    return int(text) if _SECONDS.fullmatch(text) else None


def login_url(page: str, back: str, max_age: int | None = None) -> str:
    """The login page's path, with a safe place to come back to afterwards.

    One that does not fit in is left out: without a login page, a person could not log in at all.

    max_age: how old a login may be there (seconds), so that a session is not enough; None for any
    """
    if max_age is not None:
        page += f"{'&' if '?' in page else '?'}{MAX_AGE}={max_age}"
    mark = "&" if "?" in page else "?"
    for plain in ("/", _PLAIN_IN_QUERY):
        url = f"{page}{mark}return_to={quote(back, safe=plain)}"
        if back != "/" and len(url) <= MAX_BYTES:
            return url
    return page

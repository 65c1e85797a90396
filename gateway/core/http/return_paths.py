"""Where a browser goes after it has logged in: to a path of this very site, or nowhere.

A login page that sends people wherever its query says is what phishing is made of (CWE-601).
"""

from __future__ import annotations

import re
from urllib.parse import quote

# A slash, then neither a second one nor a backslash, which browsers read as one (WHATWG URL §4.4);
# no control byte, no space, and no more than what fits into a Location field anywhere.
_SAFE = re.compile(r"/(?![/\\])[!-~]{0,2047}")


def safe(path: str) -> str:
    """The path with its query, or `/` if it could lead to another site."""
    return path if _SAFE.fullmatch(path) and "\\" not in path else "/"


def login_url(page: str, back: str) -> str:
    """The login page's path, which brings one back afterwards."""
    back = safe(back)
    mark = "&" if "?" in page else "?"
    return page if back == "/" else f"{page}{mark}return_to={quote(back, safe='/')}"

"""Where a browser goes after a login: to a path of this site alone.

A login page that sends people to any URL in its query helps phishing (CWE-601).
"""

from __future__ import annotations

import re
from urllib.parse import quote

# A slash, but no second one, and no backslash, which browsers read as one (WHATWG URL §4.4); no
# control byte and no space; and short enough for a Location field of any server.
_SAFE = re.compile(r"/(?![/\\])[!-~]{0,2047}")


def safe(path: str) -> str:
    """The path with its query; `/` if it could lead to another site."""
    return path if _SAFE.fullmatch(path) and "\\" not in path else "/"


def login_url(page: str, back: str) -> str:
    """The login page's path, with the path to come back to afterwards."""
    back = safe(back)
    mark = "&" if "?" in page else "?"
    return page if back == "/" else f"{page}{mark}return_to={quote(back, safe='/')}"

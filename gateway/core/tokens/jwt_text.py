"""JWTs in texts: where one stands, or something that looks like one.

A JWS or JWE in compact form (RFC 7515 §7.1, RFC 7516 §7.1) begins with a JSON object in base64url.
So `www.example.com` is no JWT, and a token whose header has white space or another order is one.
Reading takes linear time for any text: a client may have written what a backend puts into a reply.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator

from gateway.core import json_text
from gateway.core.json_text import NotJson

# At least three parts of base64url, joined by dots. The look-behind and the possessive repeats take
# each as a whole, so no text makes the search go back over it.
_CHAIN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+){2,}+")

# The beginning of a JSON object in base64url: a brace, then a quotation mark or white space. It may
# stand inside a part, since the text before may be glued to it, as in `s%3AeyJ…`.
_HEADER = re.compile(r"e(?:y[AIJ]|w[0ko])")

# The beginning if white space stands before the brace, too (JSON allows that).
_AFTER_SPACE = "ICD"

# Beginnings in a part that are tried: glued text seldom looks like a header's beginning.
_MAX_TRIES = 8

# In characters. A shorter part holds no header: `{"alg":""}` takes more.
_MIN_HEADER = 12

# In characters. A longer part (a header may hold certificates) counts as a header unread.
_MAX_HEADER = 16384

# An algorithm in a header: a short name, or a URL in old tokens of .NET.
_ALGORITHM = re.compile(r"[!-~]+")

JWS_PARTS = 3
JWE_PARTS = 5


def spans(text: str) -> Iterator[tuple[int, int]]:
    """The starts and ends of the JWTs in a text, in their order."""
    for chain in _CHAIN.finditer(text):
        parts = chain[0].split(".")
        starts = [chain.start()]
        for part in parts:
            starts.append(starts[-1] + len(part) + 1)
        index = 0
        while index <= len(parts) - JWS_PARTS:
            glued = _header_at(parts[index])
            if glued < 0:
                index += 1
                continue
            length = min(_parts_of(parts[index][glued:]), len(parts) - index)
            yield starts[index] + glued, starts[index + length] - 1
            index += length


def replaced(text: str, put: Callable[[str], str]) -> str:
    """The text with another one in the place of each JWT."""
    result = []
    at = 0
    for start, end in spans(text):
        result += [text[at:start], put(text[start:end])]
        at = end
    return "".join([*result, text[at:]])


def sole(text: str) -> str:
    """The JWT that is the whole text, or all behind a scheme; else "".

    `Bearer` is such a scheme.
    """
    for start, end in spans(text):
        scheme = text[:start].strip()
        if not text[end:].strip() and (not scheme or scheme.isalpha()):
            return text[start:end]
        break
    return ""


def first(text: str) -> str:
    """The first JWT in a text, or ""."""
    return next((text[start:end] for start, end in spans(text)), "")


def is_signed(token: str) -> bool:
    """Whether a JWS has a signature, and a header that names one algorithm.

    The signature is not checked. `none` is no algorithm, in any spelling (RFC 8725 §3.2).
    """
    header, _, rest = token.partition(".")
    try:
        algorithm = json_text.value(_decoded(header).decode("utf-8"))["alg"]
        signature = _decoded(rest.partition(".")[2])
    except (ValueError, NotJson, LookupError, TypeError):
        return False
    if not isinstance(algorithm, str) or not _ALGORITHM.fullmatch(algorithm):
        return False
    return signature != b"" and algorithm.lower() != "none"


def _header_at(part: str) -> int:
    """Where in a part a header begins that ends with the part; -1: nowhere."""
    if len(part) < _MIN_HEADER:
        return -1
    if part[0] in _AFTER_SPACE and read_header(part) is not None:
        return 0
    for tries, found in enumerate(_HEADER.finditer(part)):
        if tries == _MAX_TRIES:
            return found.start()  # erase too much rather than read on without end
        if read_header(part[found.start() :]) is not None:
            return found.start()
    return -1


def read_header(part: str) -> dict[str, object] | None:
    """The JOSE header in a part; None if there is none."""
    if len(part) > _MAX_HEADER:
        return {}
    try:
        header = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _parts_of(header: str) -> int:
    """The number of parts.

    A JWE, whose header says how it is encrypted, has 5 (RFC 7516 §9).
    """
    return JWE_PARTS if "enc" in (read_header(header) or {}) else JWS_PARTS


def _decoded(part: str) -> bytes:
    """Base64url without its padding (RFC 7515 §2). Raises `ValueError`."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

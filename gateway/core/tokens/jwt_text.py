"""JWTs in texts: where something stands that is one, or looks like one.

A JWS or JWE in compact form (RFC 7515 §7.1, RFC 7516 §7.1) is told by its first part, which is a
JSON object in base64url. So `www.example.com` is none, and one whose header has white space or
another order is one all the same. Reading is linear in the length of the text, whatever it holds:
a backend may put into its reply what a client made up.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator

from gateway.core import json_text
from gateway.core.json_text import NotJson

# Parts of base64url joined by dots, at least three. Each is taken as a whole (the look-behind and
# the possessive repeats), so no text makes the search go back over it.
_CHAIN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+){2,}+")

# How the base64url of a JSON object begins: a brace, then a quotation mark or white space. It is
# looked for anywhere in a part, since the text before may be glued to it, as in `s%3AeyJ…`.
_HEADER = re.compile(r"e(?:y[AIJ]|w[0ko])")

# How it begins when the brace, too, has white space before it (JSON allows that).
_AFTER_SPACE = "ICD"

# Nobody glues more than this in front of a token that happens to look like a header's beginning.
_MAX_TRIES = 8

# A shorter part than this spells no header: `{"alg":""}` takes more.
_MIN_HEADER = 12

# A longer header than this (it may hold certificates) is taken for one without being read.
_MAX_HEADER = 16384

# What a header may name as its algorithm: mostly a short name, in old tokens of .NET an address.
_ALGORITHM = re.compile(r"[!-~]+")

JWS_PARTS = 3
JWE_PARTS = 5


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the JWTs of a text begin and end, in their order."""
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
    """The text with something else in the place of each JWT."""
    result = []
    at = 0
    for start, end in spans(text):
        result += [text[at:start], put(text[start:end])]
        at = end
    return "".join([*result, text[at:]])


def sole(text: str) -> str:
    """The JWT that a text consists of, maybe behind a scheme as in `Bearer …`; or nothing."""
    for start, end in spans(text):
        scheme = text[:start].strip()
        if not text[end:].strip() and (not scheme or scheme.isalpha()):
            return text[start:end]
        break
    return ""


def first(text: str) -> str:
    """The first JWT of a text, or nothing."""
    return next((text[start:end] for start, end in spans(text)), "")


def is_signed(token: str) -> bool:
    """Whether a JWS has a signature, and a header that names its algorithm in one way only.

    By whom it is signed is not looked at. `none` is no algorithm in any spelling (RFC 8725 §3.2).
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
    """Where in a part a header begins that goes to the part's end, or -1."""
    if len(part) < _MIN_HEADER:
        return -1
    if part[0] in _AFTER_SPACE and read_header(part) is not None:
        return 0
    for tries, found in enumerate(_HEADER.finditer(part)):
        if tries == _MAX_TRIES:
            return found.start()  # rather blot out too much than read on without end
        if read_header(part[found.start() :]) is not None:
            return found.start()
    return -1


def read_header(part: str) -> dict[str, object] | None:
    """The JOSE header that a part spells; None if it spells none."""
    if len(part) > _MAX_HEADER:
        return {}
    try:
        header = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _parts_of(header: str) -> int:
    """RFC 7516 §9: a JWE has five parts, and its header says how it is encrypted."""
    return JWE_PARTS if "enc" in (read_header(header) or {}) else JWS_PARTS


def _decoded(part: str) -> bytes:
    """RFC 7515 §2: base64url without its padding. Raises `ValueError`."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

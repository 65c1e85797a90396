"""Counting passwords in a request, by the names of their fields.

One request can try many: in a batch, or in a GraphQL document that has one field under many
aliases. So fields are counted in the text, whatever its format is: a field that a backend takes for
a password has such a name somewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

# Counting stops here: no rule lets so many pass.
MAX_PASSWORDS = 1000

# The beginnings of the last word in the name of a password, or of a code that is typed like one.
# They are searched as plain texts: a pattern takes 0.1 s for 1 MiB, a hundred times as long.
_SEEDS = ("pass", "pw", "pin", "otp", "secret", "code")

# That word, and the characters behind it that tell the kind of field: a member of JSON, an argument
# of GraphQL (a comma is white space there), a field of a form or an attribute, an element of XML,
# or a part of a form (RFC 7578 §4.2).
_END = re.compile(
    r"(?:pass(?:word|wd|wort|code|phrase)?+|pwd?+|pin|otp|secret|code)(?:"
    r"(?P<member>\\*+[\"']\s*+:)|(?P<argument>[\s,\ufeff]*+:)|(?P<field>\]*+\s*+=)|(?P<element>\s*+>)"
    r"|(?P<part>\]*+\"?[ \t]*+[\r\n;]))"
)
_PART = re.compile(r"name\s*+=\s*+\"?(?:[\w-]*+\[)?\Z")

# A comment, up to a colon: in a text without line breaks, its end is not known.
_COMMENT = re.compile(r"#[^\n:]*+")

# The codes that are secrets. Others are of countries or products.
_SECRET_CODE = re.compile(
    r"(?:mfa|2fa|otp|sms|auth|security|verification|recovery|backup)[_-]?code"
)

# Characters before names that are no field's: of GraphQL variables, of closing elements.
_NO_FIELD = ("$", "/")

_MAX_NAME = 64

_PASSWORD = re.compile(r"(?:pass(?:word|wd|wort|phrase)?|pwd|pw)\Z")


def is_password(name: str) -> bool:
    """Whether a field of this name holds a password.

    The name is plain (see `throttle_keys.plain_name`).
    """
    return _PASSWORD.search(name) is not None


def count(texts: Iterable[str]) -> int:
    """The number of passwords in a request, at most `MAX_PASSWORDS`.

    The reading with the most passwords counts.
    """
    most = 0
    for text in texts:
        lower = text.lower()
        most = max(most, _count_in(lower))
        if "#" in lower:
            most = max(most, _count_in(_COMMENT.sub("", lower)))
    return most


def _count_in(text: str) -> int:
    """How often the commonest field occurs.

    One login may hold a password and a code.
    """
    fields: Counter[tuple[str, str]] = Counter()
    for seed in _SEEDS:
        for at in _places(text, seed):
            found = _END.match(text, at)
            if found is not None:
                kind = str(found.lastgroup)
                start = _start_of_name(text, at)
                name = text[start : found.start(kind)]
                if _is_field(text, start, kind) and _is_secret(name):
                    fields[kind, name] += 1
                    if fields[kind, name] == MAX_PASSWORDS:
                        return MAX_PASSWORDS
    return max(fields.values(), default=0)


def _places(text: str, seed: str) -> Iterator[int]:
    at = text.find(seed)
    while at >= 0:
        yield at
        at = text.find(seed, at + 1)


def _start_of_name(text: str, at: int) -> int:
    last = max(0, at - _MAX_NAME)
    while at > last and (text[at - 1].isalnum() or text[at - 1] in "_-"):
        at -= 1
    return at


def _is_field(text: str, start: int, kind: str) -> bool:
    """Whether the name that starts here is a field's.

    The characters before it tell.
    """
    if kind == "part":
        return _PART.search(text, max(0, start - _MAX_NAME), start) is not None
    return text[start - 1 : start] not in _NO_FIELD


def _is_secret(name: str) -> bool:
    return not name.endswith("code") or _SECRET_CODE.search(name) is not None

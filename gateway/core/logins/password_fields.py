"""Passwords in a request, by what their fields are called: how many logins it tries at once.

One request can try many: in a batch, or in a document of GraphQL that has one field under many
aliases. So fields are counted in the text, whatever its format is: what a backend takes for a
password is called one somewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

# More are not counted: no rule lets so many pass.
MAX_PASSWORDS = 1000

# How the last word begins in the name of a password, or of a code that is typed like one. They are
# looked for as plain texts: a pattern takes 0.1 s for 1 MiB, a hundred times as long.
_SEEDS = ("pass", "pw", "pin", "otp", "secret", "code")

# That word to the name's end, and what tells the field's kind: a member of JSON, an argument of
# GraphQL (a comma is white space there), a field of a form or an attribute, an element of XML, or a
# part of a form (RFC 7578 §4.2).
_END = re.compile(
    r"(?:pass(?:word|wd|wort|code|phrase)?+|pwd?+|pin|otp|secret|code)(?:"
    r"(?P<member>\\*+[\"']\s*+:)|(?P<argument>[\s,\ufeff]*+:)|(?P<field>\]*+\s*+=)|(?P<element>\s*+>)"
    r"|(?P<part>\]*+\"?[ \t]*+[\r\n;]))"
)
_PART = re.compile(r"name\s*+=\s*+\"?(?:[\w-]*+\[)?\Z")

# A comment, or as much of it as matters where it is not known which line it ends.
_COMMENT = re.compile(r"#[^\n:]*+")

# A code is a secret by what stands before it: there are codes of countries and of products, too.
_SECRET_CODE = re.compile(
    r"(?:mfa|2fa|otp|sms|auth|security|verification|recovery|backup)[_-]?code"
)

# What stands before the name of what is no field: of a variable of GraphQL, of an element's end.
_NO_FIELD = ("$", "/")

_MAX_NAME = 64

_PASSWORD = re.compile(r"(?:pass(?:word|wd|wort|phrase)?|pwd|pw)\Z")


def is_password(name: str) -> bool:
    """Whether a field of this plain name (see `accounts.plain_name`) holds a password, no code."""
    return _PASSWORD.search(name) is not None


def count(texts: Iterable[str]) -> int:
    """How many passwords a request holds by any of its readings, at most `MAX_PASSWORDS`."""
    most = 0
    for text in texts:
        lower = text.lower()
        most = max(most, _count_in(lower))
        if "#" in lower:
            most = max(most, _count_in(_COMMENT.sub("", lower)))
    return most


def _count_in(text: str) -> int:
    """How often the field occurs that occurs most: one login may hold a password and a code."""
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
    """Whether a name that starts here is a field's, by what stands before it."""
    if kind == "part":
        return _PART.search(text, max(0, start - _MAX_NAME), start) is not None
    return text[start - 1 : start] not in _NO_FIELD


def _is_secret(name: str) -> bool:
    return not name.endswith("code") or _SECRET_CODE.search(name) is not None

"""The fields of `identity`: claims of the token under configured names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.core.sessions.session import Session

# What RFC 9110 §5.5 lets a field value hold, without white space at either end.
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")


def lines(session: Session, names: Mapping[str, str]) -> bytes:
    """The finished field lines for one session, without its token.

    `names` maps field names to claims. A claim is left out if it is missing, or is no text or
    number that a field can hold: a half-right identity would be worse than none.
    """
    fields = []
    for name, claim in names.items():
        value = session.claim(claim)
        if isinstance(value, bool) or not isinstance(value, str | int):
            continue
        if _VALUE.fullmatch(str(value)):
            fields.append(f"{name}: {value}\r\n")
    return "".join(fields).encode("ascii")

"""Keys in the shape of a JWT, for frontends that read their token.

Such a frontend counts the parts of its token, and shows what the payload says. So a key may come as
the third part, behind a header and a payload of chosen claims. The text is no token: its algorithm
does not exist, and the key stands in the signature's place. What the gateway believes is the key
alone (`keys.bare`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.sessions import shown_claims
from gateway.core.sessions.keys import Key
from gateway.core.sessions.session import Session

# Browsers keep at most 4096 bytes of a cookie's name and value (RFC 6265bis §5.6), and frontends
# put their token into cookies as well.
MAX_BYTES = 3968

# What the gateway itself says: when the text was written, and when the session ends.
OWN_CLAIMS = frozenset({"iat", "exp"})

# No verifier knows this algorithm, so none takes the text for a signed or an unsigned token.
_HEADER = {"typ": "JWT", "alg": "latchkey"}


def spelled(key: Key, session: Session, names: Sequence[str], now: float) -> tuple[str, list[str]]:
    """A key in the shape of a JWT, and the claims for which it has no room.

    names: the claims to show, the most important one first
    now: UNIX seconds

    Its `exp` is the session's longest life: a frontend that logs out then is never too early.
    """
    claims, left_out = shown_claims.chosen(session, names), []
    own = {"iat": int(now), "exp": int(session.ends_at)}
    while len(text := _jwt({**claims, **own}, key)) > MAX_BYTES and claims:
        left_out.append(claims.popitem()[0])
    return text, left_out


def _jwt(payload: Mapping[str, Any], key: Key) -> str:
    return f"{_part(_HEADER)}.{_part(payload)}.{key.reveal()}"


def _part(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")

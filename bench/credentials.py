"""Keys and tokens of the common shape and size."""

from __future__ import annotations

import json
import secrets
import time

import jwt

from gateway.core.sessions import keys

TOKEN_LIFE = 86_400  # s, a day

_PAYLOAD = 239  # bytes; with the header and the signature of HS256 they make 400 characters


def new_key() -> str:
    """A key as long as Latchkey's, so that all gateways read as many bytes."""
    return keys.new_key(secrets.token_bytes(32)).reveal()


def new_token(subject: str) -> str:
    """A JWT of a common size, 400 characters, good for a day."""
    now = int(time.time())
    payload = {
        "iss": "https://accounts.example.com",
        "aud": "https://api.example.com",
        "sub": subject,
        "email": f"{subject}@example.com",
        "scope": "openid profile email orders:read orders:write",
        "iat": now,
        "exp": now + TOKEN_LIFE,
        "jti": "",
    }
    left = _PAYLOAD - len(json.dumps(payload, separators=(",", ":")))
    payload["jti"] = secrets.token_hex(left)[:left]
    return jwt.encode(payload, "a secret that only the backend would know", algorithm="HS256")

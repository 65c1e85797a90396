"""Keys and tokens of the common shape and size."""

from __future__ import annotations

import secrets
import time

import jwt

from gateway.core import keys


def new_key() -> str:
    """As long as any key of Latchkey's, so that peers and Latchkey read as many bytes."""
    return keys.new_key(secrets.token_bytes(32)).reveal()


def new_token(subject: str) -> str:
    """A JWT of a common size, about 400 characters, good for a day."""
    now = int(time.time())
    payload = {
        "iss": "https://accounts.example.com",
        "aud": "https://api.example.com",
        "sub": subject,
        "email": f"{subject}@example.com",
        "scope": "openid profile email orders:read orders:write",
        "iat": now,
        "exp": now + 86_400,
        "jti": secrets.token_hex(16),
    }
    return jwt.encode(payload, "a secret that only the backend would know", algorithm="HS256")

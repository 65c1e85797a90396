"""Replies of backends to logins, for tests of what is read in them."""

import json
from typing import Any

import jwt

from gateway.core.logins.replies import Reply

SECRET = "a secret of the tests, long enough to sign"
KEY = "lk_the-key-in-these-tests"
JSON = ("Content-Type", "application/json")


def token(name: str) -> str:
    """A token that differs from those of other names."""
    return jwt.encode({"sub": "alice", "jti": name}, SECRET)


ACCESS, REFRESH, OTHER = token("access"), token("refresh"), token("other")


def reply(body: Any, *fields: tuple[str, str], status: int = 200) -> Reply:
    """A reply with this body, in JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, fields or (JSON,), data)

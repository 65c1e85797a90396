"""Users for tests, with hashes that cost nothing, as no site should keep them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

PASSWORD = "wonderland"

_cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def cheap_hash(password: str = PASSWORD) -> str:
    """A hash whose parameters are not those of today; the same one each time."""
    return _hashed(password)


@cache
def _hashed(password: str) -> str:
    return _cheap.hash(password)


def user(password: str = PASSWORD, **claims: Any) -> dict[str, Any]:
    """A user as the file has it."""
    return {"hash": cheap_hash(password), "claims": claims}


def write(path: Path, **users: dict[str, Any]) -> Path:
    """A file of users, replaced in one step, as deployments do it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(users))
    fresh.replace(path)
    return path

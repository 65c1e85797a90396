"""A request to log in, as every way to log in gets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `repr` shows nothing that the client sent as a secret."""

    method: str
    query: str  # with its question mark, as it came
    fields: tuple[tuple[str, str], ...]
    body: bytes
    address: str  # the client's
    device: str  # its label
    request_id: str
    replaces: str | None  # the session id of the cookie that the same browser sent

    def __repr__(self) -> str:
        return f"Attempt({self.method}, request_id={self.request_id})"

"""Paths of logins: at the gateway, and at the backends that it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.core.logins.carriers import Choice


@dataclass(frozen=True, slots=True)
class LoginPath:
    """A path at which the gateway answers for a login."""

    setting: str  # of config.yaml, which names the path
    path: str
    methods: Sequence[str]
    max_body: int  # bytes
    body_timeout: float = 20.0  # seconds that a whole body may take
    carrier: Choice | None = None  # how the key travels; None: as `keys` says
    action: Literal["login", "logout", "refresh"] = "login"
    upstream: str = "gateway"  # that decides about the request
    skips_origin_check: bool = False  # other sites may lead here: a `state` or a signature protects
    may_be_led_to: bool = False  # other sites may send visitors here: the backend protects them


@dataclass(frozen=True, slots=True)
class BackendPath:
    """A path at which a backend hands out tokens.

    It is its login or its refresh endpoint.
    """

    upstream: str
    path: str
    renews: bool = False

"""Ways to log in: one file for each, and the file's name is its `kind` in config.yaml.

A way to log in is a module with a class `Login` (see `Login` below). It gets an attempt and gives
the reply for the client, with a key in it if the attempt succeeded. The endpoints find it by its
name, so adding one touches nothing here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.backends import Backends
from gateway.core.carriers import KeyCookie
from gateway.core.minting import Minter
from gateway.core.replies import Reply
from gateway.store.renewals import Renew
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.model import AnyLogin


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request to log in. Its repr shows nothing that the client sent."""

    method: str
    query: str = field(repr=False)  # with its question mark, as it came
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    address: str  # the client's
    device: str  # its label
    request_id: str
    replaces: str | None  # the session id of the cookie that the same browser sent
    cookie: KeyCookie | None  # what the key is to travel in; None: in the reply


@dataclass(frozen=True, slots=True)
class Means:
    """What ways to log in work with."""

    backends: Backends
    sessions: Sessions
    minter: Minter | None  # there is one for those that need one: config.yaml is checked for it


class Login(Protocol):
    """One configured login. `renew` gets its sessions new tokens; None if it never does."""

    renew: Renew | None

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        ...


def open_login(config: AnyLogin, means: Means) -> Login:
    """The way to log in that a section of config.yaml names; it renews the sessions it issued."""
    module = importlib.import_module(f"{__name__}.{config.kind}")
    login: Login = module.Login(config, means)
    if login.renew is not None:
        means.sessions.renewals.register(config.path, login.renew)
    return login

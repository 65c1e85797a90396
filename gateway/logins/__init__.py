"""Logins: one file for each kind, named as the `kind` in config.yaml.

The kind `ldap_bind` is the class `LdapBindLogin` in `ldap_bind.py`, a `Login`. It gets an `Attempt`
and gives the reply for the client: a `LoggedIn`, which holds a key, if the attempt succeeds. Its
settings stand in the file of the same name in `gateway.config.logins`, since workers do not carry
what it takes to read config.yaml. Both are found by their names, so a new kind touches nothing
else. Modules whose names begin with `_` are shared by kinds.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http.origins import host_of
from gateway.core.http.refusals import Refusal
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.kinds import class_name
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import JsonPointer
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Session
from gateway.outbound.backends import BackendFailed, Backends
from gateway.store.renewals import Renew
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.core.logins.login_paths import LoginPath
    from gateway.core.tokens.minting import Minter
    from gateway.logins._token_replacement import TokenReplacement


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
    replaces: tuple[str, ...]  # the session ids of the cookies that the same browser sent
    is_foreign: bool  # a browser says that another site has caused it
    cookie: KeyCookie | None  # what the key is to travel in; None: in the reply
    origin: str = ""  # the gateway's own, as the client names it
    authority: str = ""  # the host and port that were asked for; "" if they are no plain ones
    # Cookies that hold login states (see `core.logins.login_state`), by their names.
    login_states: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """The host that was asked for; "" if it is no plain one."""
        return host_of(self.authority)

    def field(self, name: str) -> str:
        """The first field of this name (in lower case), or nothing."""
        return next((value for given, value in self.fields if given.lower() == name), "")


@dataclass(frozen=True, slots=True)
class LoggedIn(Reply):
    """The reply to an attempt that has succeeded: it hands out a key. Any other has failed."""

    @classmethod
    def by(cls, reply: Reply, *more: tuple[str, str]) -> LoggedIn:
        """A reply that holds a key, or has it among `more` fields; so nobody keeps it."""
        shown = replace(reply, fields=(*reply.fields, *more)).unstored()
        return cls(shown.status, shown.fields, shown.body, shown.reason)


class LoginFailed(BackendFailed):
    """An attempt that a person may repeat at the path `again`; `cookie` is set by the answer."""

    def __init__(self, refusal: Refusal, *, again: str, cookie: str | None = None) -> None:
        super().__init__(refusal)
        self.again = again
        self.cookie = cookie


@dataclass(frozen=True, slots=True)
class LoginServices:
    """What every login works with."""

    backends: Backends
    sessions: Sessions
    minter: Minter | None  # config.yaml is checked for the `signing` of logins that mint
    own_cookies: frozenset[str]  # that hold keys: no backend sets one (wire-rules.md#E7)
    realms: Mapping[str, Realm]  # by the logins' paths


Answer = Callable[[Attempt], Awaitable[Reply]]


class Login:
    """One configured login. A kind overrides what it has; it is made of its section and services.

    renewal: gets new tokens for its sessions; None if there are none
    token_replacement: takes its sessions' new tokens out of upstreams' replies; None if it does not
    failed: the place at which a reply without a token says what was wrong
    """

    renewal: Renew | None = None
    token_replacement: TokenReplacement | None = None
    failed: JsonPointer = JsonPointer("")

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        raise NotImplementedError

    def answer_at(self, path: LoginPath) -> Answer:
        """What answers at one of the section's paths."""
        return self

    def name_in(self, attempt: Attempt) -> str | None:
        """The name with which an attempt would log in, "" for none; None: only a backend knows."""
        return None

    async def logout_url(self, session: Session, origin: str) -> str | None:
        """The URL at which a browser logs out of the provider, too, once its session has ended.

        `origin` is the gateway's own. None if there is no such URL.
        """
        return None

    async def close(self) -> None:
        """Lets go of its connections."""


def open_login(section: LoginSection, services: LoginServices) -> Login:
    """The login of a section of config.yaml. It renews the sessions that it has issued."""
    module = importlib.import_module(f"{__name__}.{section.kind}")
    login: Login = getattr(module, class_name(section.kind, "Login"))(section, services)
    if login.renewal is not None:
        services.sessions.renewals.register(section.path, login.renewal)
    return login

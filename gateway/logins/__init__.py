"""Ways to log in: one file for each, and the file's name is its `kind` in config.yaml.

A way to log in is a module with a class `Login` (see `Login` below). It gets an attempt and gives
the reply for the client: a `LoggedIn`, with a key in it, if the attempt succeeded. What config.yaml
may say of it stands in the file of the same name in `gateway.config.logins`, since workers do not
carry what it takes to read that. Both are found by their names, so adding one touches nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gateway.core.http.origins import host_of
from gateway.core.http.refusals import Refusal
from gateway.core.logins import carriers
from gateway.core.logins.carriers import Choice, KeyCookie
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import TokenPlace
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import Session
from gateway.outbound.backends import BackendFailed, Backends
from gateway.store.renewals import Renew
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.logins import AnyLogin
    from gateway.config.model import Config
    from gateway.core.tokens.minting import Minter


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
    trips: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # see `core.logins.login_state`

    @property
    def host(self) -> str:
        """The host that was asked for; "" if it is no plain one."""
        return host_of(self.authority)

    def field(self, name: str) -> str:
        """The first field of this name (in lower case), or nothing."""
        return next((value for each, value in self.fields if each.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Means:
    """What ways to log in work with."""

    backends: Backends
    sessions: Sessions
    minter: Minter | None  # there is one for those that need one: config.yaml is checked for it
    own_cookies: frozenset[str]  # that hold keys: no backend sets one (wire-rules.md#E7)
    realms: Mapping[str, Realm]  # by the logins' paths


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
class Entrance:
    """One path at which a login answers: what it takes, and what it is asked there."""

    path: str
    methods: Sequence[str]
    max_body: int
    answer: Callable[[Attempt], Awaitable[Reply]]
    carrier: Choice | None = None  # how the key travels; None: as `keys` says
    body_timeout: float = 20.0  # seconds; so long a body may take that never stops
    is_open: bool = False  # other sites may lead here; who may come in is shown in another way


class Login(Protocol):
    """One configured login. `renew` gets its sessions new tokens; None if it never does."""

    renew: Renew | None

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        ...


@runtime_checkable
class Deciding(Protocol):
    """A login that decides itself, so it knows whose an attempt is; of others it can be guessed."""

    def account(self, attempt: Attempt) -> str:
        """The name of the account that an attempt would log in to; nothing, if none."""
        ...


@runtime_checkable
class Federated(Protocol):
    """A login at somebody else's site, to which browsers go to log in and out, and come back."""

    entrances: Sequence[Entrance]

    async def farewell(self, session: Session, origin: str) -> str | None:
        """Where a browser goes on whose session has ended, to log out there as well; None if
        nowhere. `origin` is the gateway's own.
        """
        ...

    async def close(self) -> None:
        """Lets go of its connections."""
        ...


def key_cookies(config: Config) -> frozenset[str]:
    """The cookies that hold keys: the gateway's own, and those in which backends give tokens."""
    return carriers.own_cookies(config.keys.cookie, token_places(config))


def key_places(config: Config) -> list[TokenPlace]:
    """Where upstreams hand out the tokens that become keys, or whose places keys take."""
    captured = [rule.captures for rule in config.routes if rule.captures is not None]
    return [*token_places(config), *captured]


def token_places(config: Config) -> list[TokenPlace]:
    """Where backends hand out the tokens that become keys."""
    places = [getattr(login, "token", None) for login in config.login]
    return [place for place in places if isinstance(place, TokenPlace)]


def backend_paths(config: Config) -> list[tuple[str, str]]:
    """Where backends hand tokens out, at a login or for a refresh token: the upstreams, and the
    paths there.
    """
    sections: list[Any] = [
        *config.login,
        *(getattr(login, "renew", None) for login in config.login),
    ]
    return [
        (section.upstream, section.backend_path)
        for section in sections
        if hasattr(section, "backend_path")
    ]


def logout_paths(config: Config) -> list[tuple[str, str]]:
    """Where a backend logs people out: its upstream, and the path there."""
    logout = config.logout
    if logout.upstream is None or logout.backend_path is None:
        return []
    return [(logout.upstream, logout.backend_path)]


def max_bodies(config: Config) -> dict[str, int]:
    """How large the body of a login may be, by its path (bytes)."""
    sections: Sequence[Any] = config.login
    return {each.path: each.max_body for each in sections if hasattr(each, "max_body")}


def login_paths(config: AnyLogin) -> list[str]:
    """The paths of a login's entrances, as config.yaml says them."""
    fields = ("path", "callback_path", "backchannel_path")
    return [getattr(config, field) for field in fields if hasattr(config, field)]


def open_login(config: AnyLogin, means: Means) -> Login:
    """The way to log in that a section of config.yaml names; it renews the sessions it issued."""
    module = importlib.import_module(f"{__name__}.{config.kind}")
    login: Login = module.Login(config, means)
    if login.renew is not None:
        means.sessions.renewals.register(config.path, login.renew)
    return login

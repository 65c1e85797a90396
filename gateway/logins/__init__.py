"""Logins: one file for each kind, named as the `kind` in config.yaml.

The kind `ldap_bind` is the class `LdapBindLogin` in `ldap_bind.py`, a `Login`. It turns an
`Attempt` into the reply for the client: a `LoggedIn`, which holds a key, if the attempt succeeds.
Its settings stand in the file of the same name in `gateway.config.logins`, since workers do not
carry what it takes to read config.yaml. Both are found by their names, so a new kind touches
nothing else. Modules whose names begin with `_` are shared by the kinds.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http.origins import host_of
from gateway.core.http.refusals import Refusal
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.kinds import class_name
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import JsonPointer, TokenPlace
from gateway.core.sessions.realms import Realm
from gateway.core.sessions.session import AS_ALL, Life, Parent, Session
from gateway.outbound.backends import BackendFailed, Backends
from gateway.outbound.token_readers import ReadToken, open_reader, without_temporary
from gateway.store.renewals import Renew
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.token_sections import Verify
    from gateway.core.logins.login_paths import LoginPath
    from gateway.core.logins.request_echo import EchoDetector
    from gateway.core.logins.token_sending import TokenSending
    from gateway.core.tokens.minting import Minter
    from gateway.logins._refresh_calls import RefreshCalls
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
    replaces: tuple[str, ...]  # ids of the sessions whose keys the browser sent in cookies
    is_foreign: bool  # a browser marks it as caused by another site, which may not cause it
    cookie: KeyCookie | None  # carries the key; None: the reply does
    path: str = ""  # as the client sees it
    segments: Mapping[str, str] = field(default_factory=dict, repr=False)  # see `path_shapes`
    parent: Parent | None = None  # the session that impersonates by this attempt
    is_remembered: bool = False  # the user asks for a session that lasts
    life: Life = AS_ALL  # the timeouts of the session
    origin: str = ""  # the gateway's, as the client names it
    may_set_cookie: bool = True  # the site's own pages, or a site that may, caused it
    authority: str = ""  # the host and port in the request; "" if they are not plain
    # The cookies that hold login states (see `core.logins.login_state`), by their names.
    login_states: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """The host in the request; "" if it is not plain."""
        return host_of(self.authority)

    @property
    def target(self) -> str:
        """The parts of a target that clients choose: segments and the query."""
        return "/".join(self.segments.values()) + self.query

    def field(self, name: str) -> str:
        """The value of the first field of this name (in lower case), or ""."""
        return next((value for given, value in self.fields if given.lower() == name), "")


@dataclass(frozen=True, slots=True)
class LoggedIn(Reply):
    """The reply to an attempt that succeeds: it hands out a key.

    With any other reply, the attempt has failed.
    """

    @classmethod
    def of(cls, reply: Reply, *more: tuple[str, str]) -> LoggedIn:
        """Make one of a reply with a key, or with `more` fields that hold it.

        No cache stores it.
        """
        shown = replace(reply, fields=(*reply.fields, *more)).unstored()
        return cls(shown.status, shown.fields, shown.body, shown.reason)


@dataclass(frozen=True, slots=True)
class Pending(Reply):
    """The reply to a first step: a second one makes the session."""

    @classmethod
    def of(cls, reply: Reply) -> Pending:
        """Make one of a backend's reply. No cache stores it."""
        shown = reply.unstored()
        return cls(shown.status, shown.fields, shown.body, shown.reason)


class LoginRefused(BackendFailed):
    """A failed attempt that a user may repeat at the path `again`.

    The answer sets the `cookies`.
    """

    def __init__(self, refusal: Refusal, *, again: str, cookies: Sequence[str] = ()) -> None:
        super().__init__(refusal)
        self.again = again
        self.cookies = cookies


@dataclass(frozen=True, slots=True)
class LoginServices:
    """The services that every login works with."""

    backends: Backends
    sessions: Sessions
    minter: Minter | None  # config.yaml is checked for the `signing` of logins that mint
    own_cookies: frozenset[str]  # that hold keys: no backend sets one (wire-rules.md#E7)
    realms: Mapping[str, Realm]  # by the logins' paths
    # The upstreams whose logouts are sent the refresh tokens of their logins.
    refresh_tokens_for: frozenset[str] = frozenset()
    has_pending: bool = False  # logins hand out temporary tokens
    # By upstream: how its requests bring the token; None: as it came.
    token_sendings: Mapping[str, TokenSending | None] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()  # the fields of logins that name accounts, see `guessing`
    return_origins: frozenset[str] = frozenset()  # other sites that a browser may go back to

    def token_reader(self, config: Verify | None) -> ReadToken:
        """The reader of a login's tokens. No temporary token is one."""
        read = open_reader(config, self.backends.key_sets, self.sessions.skew)
        if not self.has_pending:
            return read
        return without_temporary(read, self.sessions.temporary_tokens)


Answer = Callable[[Attempt], Awaitable[Reply]]


class Login(ABC):
    """One configured login.

    A kind's `__init__` takes its section and the `LoginServices`.

    renewal: gets new tokens for its sessions; None if it cannot
    token_replacement: finds its sessions' new tokens in upstreams' replies; None if it cannot
    refresh_calls: answers its frontends' refresh calls; None if it does not
    failed: the place at which a reply without a token says what was wrong
    pending: the place at which a reply announces a second step, if config.yaml names one
    """

    renewal: Renew | None = None
    token_replacement: TokenReplacement | None = None
    refresh_calls: RefreshCalls | None = None
    failed: JsonPointer = JsonPointer("")
    pending: JsonPointer | None = None

    @abstractmethod
    async def __call__(self, attempt: Attempt) -> Reply:
        """Answer the client. Raises `BackendFailed` and `StoreUnavailable`."""

    async def begin(
        self, attempt: Attempt, reply: Reply, place: TokenPlace, sent: EchoDetector
    ) -> Reply | None:
        """Begin a session by the reply of an upstream to a captured request.

        attempt: the request
        place: the place of the token in the reply
        sent: all that the client has sent

        Returns the reply for the client; None if it neither hands out a token nor announces a
        second step. Raises as a call does, and `UnreadableReply`.
        """
        return None

    def answer_at(self, path: LoginPath) -> Answer:
        """The callable that answers at one of the section's paths."""
        return self

    def name_in(self, attempt: Attempt) -> str | None:
        """The name with which the attempt logs in ("": none).

        None if only a backend can tell.
        """
        return None

    async def logout_url(self, session: Session, origin: str) -> str | None:
        """The URL at which a browser logs out of the provider, if there is one.

        `origin` is the gateway's, as the browser names it.
        """
        return None

    async def close(self) -> None:
        """Close its connections; most logins have none of their own."""
        return


def open_login(section: LoginSection, services: LoginServices) -> Login:
    """Make the login of a section of config.yaml; its renewal is registered."""
    module = importlib.import_module(f"{__name__}.{section.kind}")
    login: Login = getattr(module, class_name(section.kind, "Login"))(section, services)
    if login.renewal is not None:
        services.sessions.renewals.register(section.path, login.renewal)
    return login

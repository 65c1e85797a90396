"""Finds the token in a login's reply, and what is said of its user."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import set_cookies
from gateway.core.json_text import pointed
from gateway.core.logins import (
    lifetimes,
    opaque_claims,
    opaque_tokens,
    reply_tokens,
    throttle_keys,
)
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found, InBody
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import Auto, JsonPointer, TokenPlace
from gateway.core.sessions import claim_names, subjects
from gateway.core.tokens.claims import BadToken, Claims
from gateway.logins import LoginServices
from gateway.logins._asking import find_token
from gateway.logins._userinfo import Userinfo
from gateway.outbound.backends import Fields
from gateway.outbound.token_readers import ReadToken

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendSection

_log = logging.getLogger("gateway.logins")


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A token that a reply hands out."""

    found: Found
    claims: Claims
    name: str | None  # of its user; None: nothing names one
    claims_text: bytes | None = None  # of an opaque token: see `session.OpaqueToken`

    @property
    def is_opaque(self) -> bool:
        return self.claims_text is not None


class TokenFinder(ABC):
    """Finds and reads the tokens of one login."""

    @abstractmethod
    async def find(
        self, reply: Reply, place: TokenPlace, sent: EchoDetector, of_client: Fields
    ) -> HandedOut:
        """The token of a reply.

        place: the token's place in the reply
        sent: the request, none of whose texts is a token
        of_client: the fields about the client and the host, for a call to the backend

        Raises `NoToken`, `BadToken`, `BackendFailed`, `KeysUnavailable`, `StoreUnavailable` and
        `UnreadableReply`.
        """


def open_finder(config: BackendSection, services: LoginServices) -> TokenFinder:
    """The finder of a login's kind of tokens."""
    if config.has_opaque_tokens:
        return OpaqueFinder(config, services)
    return JwtFinder(config, services.token_reader(config.verify))


class JwtFinder(TokenFinder):
    """Finds JWTs, which say themselves whose they are."""

    def __init__(self, config: BackendSection, read: ReadToken) -> None:
        """`read` reads, and if configured verifies, a token of the login."""
        self._names = config.subject
        self._is_verified = config.verify is not None
        self._read = read

    async def find(
        self, reply: Reply, place: TokenPlace, sent: EchoDetector, of_client: Fields
    ) -> HandedOut:
        """The token of a reply. A pointer may name the user beside the token."""
        found = await find_token(reply, place, sent, is_verified=self._is_verified)
        claims = await self._read(found.token)
        name = claims.subject(self._names)
        pointers = [name for name in self._names if name.startswith("/")]
        if name is None and pointers:
            document = await off_loop(reply.is_large, opaque_claims.document, reply)
            name = await off_loop(sent.is_large, _name_in, document, pointers, sent)
        return HandedOut(found, claims, name)


class OpaqueFinder(TokenFinder):
    """Finds opaque tokens. The reply or a userinfo answer names the user."""

    def __init__(self, config: BackendSection, services: LoginServices) -> None:
        self._config = config
        self._has_pending = services.has_pending
        self._temporary_tokens = services.sessions.temporary_tokens
        own, subject = config.own_throttle, config.subject
        accounts = services.accounts if own is None else own.account
        self._accounts = frozenset(map(throttle_keys.plain_name, accounts))
        self._accounts |= {throttle_keys.plain_name(name.rpartition("/")[2]) for name in subject}
        self._userinfo = None
        if config.userinfo is not None:
            self._userinfo = Userinfo(config.userinfo, config.upstream, services)

    async def find(
        self, reply: Reply, place: TokenPlace, sent: EchoDetector, of_client: Fields
    ) -> HandedOut:
        """The token of a reply. `auto` stands for the place of the login's token."""
        place = self._config.token if isinstance(place, Auto) else place
        now, is_long = time.time(), reply.is_large or sent.is_large
        found = await off_loop(is_long, opaque_tokens.find, reply, place, now, sent.is_mostly_echo)
        if await off_loop(sent.is_large, reply_tokens.is_named_by_client, found, sent.may_name):
            raise BadToken("named_by_client")
        if self._has_pending and await self._temporary_tokens.holds(found.token):
            raise BadToken("temporary_token")
        replied = await off_loop(is_long, _said_beside, reply, found)
        expires = self._expiry(reply, found, replied, now)
        if self._userinfo is None:
            name = await off_loop(sent.is_large, _name_in, replied, self._config.subject, sent)
            kept = await off_loop(replied != {}, self._kept, replied, sent)
        else:
            document = await self._userinfo(reply, found, of_client)
            name = _name_in(document, self._config.subject, None)
            kept = (
                claim_names.chosen(document, self._config.claims)
                if self._config.claims
                else document
            )
        return HandedOut(found, Claims(kept, expires), name, self._claims_text(kept))

    def _expiry(
        self, reply: Reply, found: Found, document: Mapping[str, Any], now: float
    ) -> float | None:
        """When the token expires: by config.yaml, by the reply or with its cookie."""
        lifetime = self._config.lifetime
        if isinstance(lifetime, float):
            return now + lifetime
        if isinstance(lifetime, JsonPointer):
            return lifetimes.expiry_at(document, pointed(lifetime.pointer), now)
        if isinstance(found, InBody):
            return lifetimes.expiry_beside(document, found.names, now)
        expires = lifetimes.expiry_beside(document, (), now)
        if expires is None and reply_tokens.is_in_cookie(reply, found):
            return set_cookies.ends_at(set_cookies.read(reply.fields[found.index][1]), now)
        return expires

    def _is_written(self, sent: EchoDetector) -> Callable[[str, Any], bool]:
        """Tells which members of a reply the client may have written.

        The account's name and the subject are none of them: a password belongs to these.
        """
        may_set = lru_cache(maxsize=None)(sent.may_set)

        def is_written(name: str, value: Any) -> bool:
            member = claim_names.path_of(name)[-1]
            if throttle_keys.plain_name(member) in self._accounts or not may_set(member):
                return False
            return isinstance(value, bool) or sent.has_word(str(value))

        return is_written

    def _kept(self, document: Mapping[str, Any], sent: EchoDetector) -> dict[str, Any]:
        """The claims of a reply that the session keeps. Raises `BadToken`.

        GraphQL clients choose the names below `data`, so these are kept only if config.yaml names
        them and the client has not.
        """
        names = self._config.claims
        for name in names:
            _require_own_name(name, sent)
        if names:
            kept = claim_names.chosen(document, names)
        else:
            shown = (
                (name, document[name]) for name in document if name != opaque_claims.GRAPHQL_DATA
            )
            kept = {name: value for name, value in shown if value != ""}  # erased tokens are empty
        is_kept = opaque_claims.text_of(kept) is not None  # so there are not many
        return opaque_claims.not_written(kept, self._is_written(sent)) if is_kept else kept

    def _claims_text(self, claims: Mapping[str, Any]) -> bytes:
        text = opaque_claims.text_of(claims)
        if text is not None:
            return text
        _log.error(
            "login at %s: what the backend says of the user is too large to keep (at most %d "
            "bytes), so it is left out: let `claims` name what is needed",
            self._config.path,
            opaque_claims.MAX_BYTES,
        )
        return b"{}"


def _said_beside(reply: Reply, found: Found) -> dict[str, Any]:
    """What a reply says beside its token."""
    return opaque_claims.document(opaque_claims.without_tokens(reply, found))


def _name_in(
    document: Mapping[str, Any], names: Sequence[str], sent: EchoDetector | None
) -> str | None:
    """The name of the user in what a backend says.

    Raises `BadToken` if a client may have chosen the place; `sent` is its request.
    """
    for name in names:
        found = subjects.name_of(claim_names.find(document, name))
        if found is not None:
            if sent is not None:
                _require_own_name(name, sent)
            return found
    return None


def _require_own_name(name: str, sent: EchoDetector) -> None:
    """Raise `BadToken` for a place that a GraphQL client may have named."""
    outer, *inner = claim_names.path_of(name)
    if outer == opaque_claims.GRAPHQL_DATA and any(map(sent.may_name, inner)):
        raise BadToken("named_by_client")

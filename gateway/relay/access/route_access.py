"""Who may pass by a route.

Its options stand in `RouteAccess` of `config/route_sections.py`. A new one is a field
here, and a line in `of`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config.exposed_fields import exposed_fields
from gateway.config.token_places import key_schemes
from gateway.core.http.cors import Policy
from gateway.relay.access.requirements import Requirements

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteAccess
    from gateway.rules.rule import RuleSet


class Auth(enum.Enum):
    """Who may pass.

    `OFFERED` is for endpoints: a key is looked up, and none is required.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    PUBLIC = "public"
    OFFERED = "offered"


# A route with a higher number is stricter.
_STRICTNESS = {Auth.PUBLIC: 0, Auth.OFFERED: 0, Auth.OPTIONAL: 1, Auth.REQUIRED: 2}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may pass by a route, and what other callers are told."""

    auth: Auth
    requires: Requirements | None = None  # of the session, beyond being one
    bad_key_is_anonymous: bool = False
    accepts_jwt: bool = False  # a caller may bring a JWT in place of a key
    key_in_query: bytes | None = None  # the parameter in which a key may come
    key_in_subprotocol: bool = False  # a key may come among the subprotocols of a WebSocket
    login_page: str | None = None  # browsers without a session are sent there
    sends_all_to_login: bool = False  # programs as well
    asks_for_basic: bool = False  # programs send their keys as Basic once they are asked to
    cors: Policy | None = None  # which other origins' pages may read the answers

    @classmethod
    def of(cls, options: RouteAccess, config: Config, rules: RuleSet) -> Access:
        """The access that a route of config.yaml gives; `rules` are those in Python."""
        return cls(
            auth=Auth(options.auth),
            requires=Requirements.of(options, config, rules),
            bad_key_is_anonymous=options.bad_key == "anonymous",
            accepts_jwt=options.accept_jwt == "verify",
            key_in_query=None if options.key_in_query is None else options.key_in_query.encode(),
            key_in_subprotocol=options.key_in_subprotocol,
            login_page=None if options.on_unauthenticated == "401" else config.login_page,
            sends_all_to_login=options.on_unauthenticated == "login",
            asks_for_basic="basic" in map(str.lower, key_schemes(config)),
            cors=Policy.of(options.cors or config.cors, exposed_fields(config)),
        )

    def opens_more_than(self, other: Access) -> Iterator[str]:
        """The settings in which it lets pass what the other refuses, or others may read it."""
        if _STRICTNESS[self.auth] < _STRICTNESS[other.auth]:
            yield "auth"
        if other.requires and not (self.requires and self.requires.imply(other.requires)):
            yield "require"
        if self.accepts_jwt and not other.accepts_jwt:
            yield "accept_jwt"
        if self.key_in_query not in (None, other.key_in_query):
            yield "key_in_query"
        if self.key_in_subprotocol and not other.key_in_subprotocol:
            yield "key_in_subprotocol"
        passes_bad_keys = other.bad_key_is_anonymous or other.auth is Auth.PUBLIC
        if self.bad_key_is_anonymous and not passes_bad_keys:
            yield "bad_key"
        if self.cors != other.cors:
            yield "cors"

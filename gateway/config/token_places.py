"""Where tokens stand in requests to upstreams, by all sections together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.login_places import key_places
from gateway.config.once import once
from gateway.core.http.field_names import fold, has_meaning
from gateway.core.logins.token_places import Header
from gateway.core.logins.token_sending import AUTHORIZATION, AUTO, NO_SCHEME, InField, TokenSending

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions


def token_sending(rule: RouteOptions, config: Config) -> TokenSending | None:
    """How the requests of a route bring the token; None: as it came."""
    if rule.send_token is None:
        return upstream_sending(rule.upstream, config)
    return None if rule.send_token == AUTO else rule.send_token


def upstream_sending(upstream: str | None, config: Config) -> TokenSending | None:
    """How the requests to an upstream bring the token; None: as it came."""
    if upstream is None:
        return None
    sending = config.upstreams[upstream].send_token
    return None if sending == AUTO else sending


@once
def token_sendings(config: Config) -> list[TokenSending]:
    """All the ways in which config.yaml has tokens sent."""
    upstreams = (upstream_sending(name, config) for name in config.upstreams)
    routes = (token_sending(rule, config) for rule in config.routes)
    return list(dict.fromkeys(sending for sending in (*upstreams, *routes) if sending is not None))


def token_fields(config: Config) -> list[str]:
    """The fields other than Authorization in which config.yaml sends tokens."""
    sendings = token_sendings(config)
    named = [sending.name for sending in sendings if isinstance(sending, InField)]
    named += [place.name for place in key_places(config) if isinstance(place, Header)]
    own = {name.lower(): name for name in named if not has_meaning(fold(name.encode()))}
    return list(own.values())


def key_schemes(config: Config) -> list[str]:
    """The schemes of Authorization behind which keys come.

    A frontend writes its key where its backend reads the token.
    """
    named = [
        sending.scheme or NO_SCHEME
        for sending in token_sendings(config)
        if isinstance(sending, InField) and sending.name == AUTHORIZATION
    ]
    return list({scheme.lower(): scheme for scheme in (*config.keys.schemes, *named)}.values())

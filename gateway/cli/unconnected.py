"""What a relay decides with, without connections, sessions and counts behind it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gateway.config.login_places import endpoint_paths
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.core.sessions.session import Session
from gateway.observe.unsent_fields import UnsentFields
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.limits import LimitBuilder
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.setup.relay import request_reader, route_table, verify_endpoint_of
from gateway.relay.setup.routes import RouteBuilder
from gateway.store.resolved_session import ResolvedSession

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.relay.access.route_table import RouteTable

# Stands for the session's token.
TOKEN = b"<the session's token>"

# Names the gateway in Via.
INSTANCE = "instance"


def table_of(config: Config) -> RouteTable:
    """The relay's table. Runs in an event loop."""

    async def connect(_factory: object) -> object:
        raise AssertionError("nothing is sent")

    uncounted: Any = SimpleNamespace(token_passed=lambda *_: None)
    unshared: Any = lambda *_: None  # noqa: E731
    pools = PoolBuilder(config, basis_of(config))
    limits = LimitBuilder(config, unshared)
    routes = RouteBuilder(config, pools, connect, uncounted, limits)
    verify_endpoint = verify_endpoint_of(config, request_reader(config, INSTANCE))
    endpoints = dict.fromkeys(endpoint_paths(config), connect)
    return route_table(config, routes, endpoints, verify_endpoint)


def placeholder_session(config: Config) -> ResolvedSession:
    """A session whose values are placeholders, as `<email of the session>`."""
    ends_at = time.time() + 60
    token: Any = SimpleNamespace(claims={})
    session = Session(
        id="<handle of the session>",
        subject="<sub of the session>",
        token=token,
        login="",
        ends_at=ends_at,
        _claims=_Placeholders(),
    )
    lines = IdentityHeaders(config.identity, UnsentFields())(session)
    return ResolvedSession(session, lines, TOKEN, ends_at)


class _Placeholders(dict[str, Any]):
    """Claims of any name."""

    def get(self, name: str, _default: object = None) -> str:
        return f"<{name} of the session>"

"""Warnings about settings that are allowed and unsafe: a module for each part of config.yaml.

`gateway check` prints them, and a start logs them. A warning says what could happen and which lines
prevent it. It never stops the gateway.
"""

from __future__ import annotations

from gateway.config.document import Document
from gateway.config.limit_checks import limit_warnings
from gateway.config.model import Config
from gateway.config.problems import Problem, in_order
from gateway.config.realm_checks import realm_warnings
from gateway.config.warnings.clients import client_warnings
from gateway.config.warnings.listeners import listener_warnings
from gateway.config.warnings.logins import login_warnings
from gateway.config.warnings.moved import moved_warnings
from gateway.config.warnings.overlaps import overlap_warnings
from gateway.config.warnings.routes import route_warnings
from gateway.config.warnings.servers import server_warnings
from gateway.config.warnings.sessions import session_warnings
from gateway.config.warnings.unreached import unreached_warnings
from gateway.config.warnings.upstreams import upstream_warnings

_WARNINGS = (
    upstream_warnings,
    server_warnings,
    overlap_warnings,
    moved_warnings,
    unreached_warnings,
    route_warnings,
    login_warnings,
    session_warnings,
    client_warnings,
    listener_warnings,
    realm_warnings,
    limit_warnings,
)


def warnings(config: Config, document: Document) -> list[Problem]:
    """Find all unsafe settings of a configuration, in the file's order."""
    return in_order([problem for find in _WARNINGS for problem in find(config, document)])

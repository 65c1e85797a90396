"""`gateway check` and `gateway routes`: inspect a configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, counted
from gateway.config.load import load, load_with_warnings
from gateway.config.login_places import refresh_paths
from gateway.config.problems import ConfigError
from gateway.config.route_rules import described, order_of, required
from gateway.store.embedded import EmbeddedStoreError, choose_embedded_server

if TYPE_CHECKING:
    from gateway.core.logins.login_paths import LoginPath


def check(options: argparse.Namespace) -> int:
    """Print all problems and warnings.

    The exit code is 2 if `run` would refuse to start, and 1 if `--strict` meets a warning.
    """
    try:
        config, warnings = load_with_warnings(options.config, opens=True)
        if config.store.url == "embedded":
            choose_embedded_server(Path(config.store.data_dir))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except EmbeddedStoreError as error:
        print(f"{options.config}: store: {error}", file=sys.stderr)
        return EXIT_USAGE
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    routes, upstreams = len(config.routes), len(config.upstreams)
    counts = f"{counted(routes, 'route')}, {counted(upstreams, 'upstream')}"
    print(f"{options.config} is right: {counts}")
    return EXIT_FAILED if warnings and options.strict else 0


def print_routes(options: argparse.Namespace) -> int:
    """Print the routes as a table, the most specific first."""
    try:
        config = load(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    rows = [_login_row(path) for login in config.login for path in login.paths]
    logins = {row[0] for row in rows}
    rows += [_login_row(path) for path in refresh_paths(config) if path.path not in logins]
    if config.pages.login is not None:
        rows.append((config.pages.login, "GET,HEAD", "login", "gateway"))
    rows += [
        (logout.path, ",".join(logout.methods), "logout", "gateway") for logout in config.logout
    ]
    if config.sessions.path is not None:
        rows.append((config.sessions.path, "GET,HEAD", "sessions", "gateway"))
        rows.append((f"{config.sessions.path}/*", "DELETE,POST", "sessions", "gateway"))
    if config.whoami is not None:
        rows.append((config.whoami.path, "GET,HEAD", "whoami", "gateway"))
    if config.verify is not None:
        rows.append((config.verify.path, "any", "verify", "gateway"))
    routes = sorted(config.routes, key=order_of)
    rows += [
        (described(rule), ",".join(rule.methods or ("any",)), required(rule), rule.upstream or "-")
        for rule in routes
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _login_row(login: LoginPath) -> tuple[str, str, str, str]:
    """One row: path, methods, purpose, upstream."""
    methods = ",".join(login.methods).removesuffix(",HEAD")  # HEAD goes with GET
    return login.path, methods, login.action, login.upstream

"""The command line: run, check, routes, schema, version.

Exit codes: 0 all is well; 1 the gateway could not start or go on; 2 the command line or config.yaml
is wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence

from gateway import __version__

_EXIT_FAILED = 1
_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)  # type: ignore[no-any-return]
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="Latchkey: log in once, hold a key instead of a JWT, and really log out.",
        epilog="exit codes: 0 all is well, 1 could not start or go on, 2 wrong usage or config",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str, *, config: bool = True) -> None:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        if config:
            sub.add_argument(
                "-c", "--config", default="config.yaml", help="the file (default: %(default)s)"
            )

    command("run", _run, "Run the gateway in the foreground; SIGHUP reloads, SIGTERM drains.")
    command("check", _check, "Check a configuration and say everything that is wrong with it.")
    command("routes", _routes, "Print the routes, the most specific first.")
    command("schema", _schema, "Print the JSON Schema of config.yaml.", config=False)
    command("version", _version, "Print the version.", config=False)
    return parser


def _run(options: argparse.Namespace) -> int:
    from gateway.config.apart import load_apart
    from gateway.config.problems import ConfigError
    from gateway.supervisor import StartError, Supervisor

    _hold_standard_streams()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    # aiohttp logs each request line of the in-process endpoints; the relay's log has them already.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

    def reload() -> object:
        try:
            return load_apart(options.config)
        except ConfigError as error:
            _say(f"the old configuration stays:\n{error}")
            return None

    try:
        config = load_apart(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    try:
        return Supervisor(config, reload, _say).run()  # type: ignore[arg-type]
    except StartError as error:
        _say(str(error))
        return _EXIT_FAILED


def _hold_standard_streams() -> None:
    """The number of a stream that is closed would be some socket's, and the logs would go there."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the first number that is free, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _check(options: argparse.Namespace) -> int:
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    try:
        config = load(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    print(
        f"{options.config} is right: {len(config.routes)} routes, {len(config.upstreams)} upstreams"
    )
    return 0


def _routes(options: argparse.Namespace) -> int:
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    try:
        config = load(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    rows = [
        (
            login.path,
            ",".join(login.methods),
            "login",
            "gateway" if login.kind == "users" else login.upstream,
        )
        for login in config.login
    ]
    rows.append((config.logout.path, "GET,POST", "logout", "gateway"))
    if config.sessions.path is not None:
        rows.append((config.sessions.path, "GET,HEAD", "sessions", "gateway"))
        rows.append((f"{config.sessions.path}/*", "DELETE,POST", "sessions", "gateway"))
    routes = sorted(config.routes, key=lambda each: (each.path.endswith("*"), -len(each.path)))
    rows += [(r.path, ",".join(r.methods or ("any",)), r.auth, r.upstream) for r in routes]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _schema(_options: argparse.Namespace) -> int:
    from gateway.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _version(_options: argparse.Namespace) -> int:
    print(f"latchkey-gateway {__version__}")
    return 0


def _say(text: str) -> None:
    print(f"gateway: {text}", file=sys.stderr, flush=True)

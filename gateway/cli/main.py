"""The command line `gateway`: its commands and their help.

Exit codes: 0 success; 1 the command failed; 2 the command line or config.yaml is wrong.
A command's module is imported when the command runs, so `gateway --help` is quick.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.cli.arguments import EXIT_FAILED, add_config, store_commands
from gateway.cli.keys import add_keys
from gateway.cli.rules import add_rules
from gateway.cli.sessions import add_sessions
from gateway.cli.trying import add_try
from gateway.cli.users import add_users

_NAME_AND_VERSION = f"latchkey-gateway {__version__}"

_SESSIONS = "List, count and end sessions in the store that config.yaml names."

_KEYS = "Issue, list and end named keys, for scripts."

_TRY = "Try a login at the backend, and see what the gateway makes of it."

_RELOAD = "Have the running gateway reload, and wait until it has, or says why it has not."

_RULES = "Try the rules in Python that routes require."

_EXPLAIN = "Say which route serves a request, why others do not, and what its upstream gets."

_USERS = "Add, change, list and remove users in the users file that config.yaml names."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        if sys.stdout is not None:  # or it was closed from the beginning
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # as in `gateway routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last flush
        return EXIT_FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="Latchkey: log in once, hold a key instead of a JWT, and really log out.",
        epilog="exit codes: 0 success, 1 the command failed, 2 wrong usage or configuration",
    )
    parser.add_argument("--version", action="version", version=_NAME_AND_VERSION)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, function: object, text: str, *, config: bool = True
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        if config:
            add_config(sub)
        return sub

    command("run", _run, "Run the gateway in the foreground; SIGHUP reloads, SIGTERM drains.")
    checking = command(
        "check", _check, "Check a configuration and print everything that is wrong with it."
    )
    checking.add_argument("--strict", action="store_true", help="a warning is exit code 1")
    command("reload", _reload, _RELOAD)
    listing = command("routes", _routes, "Print the routes, the most specific first.")
    explaining = listing.add_subparsers(title="commands", metavar="COMMAND").add_parser(
        "explain", help=_EXPLAIN, description=_EXPLAIN
    )
    add_config(explaining)
    explaining.add_argument("method", metavar="METHOD")
    explaining.add_argument("url", metavar="URL", help="as in https://shop.example/api/x")
    header = explaining.add_argument("-H", "--header", action="append", default=[])
    header.metavar, header.help = "'Name: value'", "a field of the request"
    explaining.set_defaults(command=_explain)
    add_sessions(
        store_commands(commands.add_parser("sessions", help=_SESSIONS, description=_SESSIONS))
    )
    add_keys(store_commands(commands.add_parser("keys", help=_KEYS, description=_KEYS)))
    add_try(store_commands(commands.add_parser("try", help=_TRY, description=_TRY)))
    add_users(commands.add_parser("users", help=_USERS, description=_USERS))
    add_rules(commands.add_parser("rules", help=_RULES, description=_RULES))
    command("schema", _schema, "Print the JSON Schema of config.yaml.", config=False)
    command("version", _version, "Print the version.", config=False)
    return parser


def _run(options: argparse.Namespace) -> int:
    from gateway.processes.signals import block_signals

    block_signals()  # first: the other imports take a tenth of a second, and SIGHUP would end it
    from gateway.cli.run import run

    return run(options)


def _reload(options: argparse.Namespace) -> int:
    from gateway.cli.reload import reload

    return reload(options)


def _check(options: argparse.Namespace) -> int:
    from gateway.cli.check import check

    return check(options)


def _routes(options: argparse.Namespace) -> int:
    from gateway.cli.check import print_routes

    return print_routes(options)


def _explain(options: argparse.Namespace) -> int:
    from gateway.cli.explain import explain

    return explain(options)


def _schema(_options: argparse.Namespace) -> int:
    from gateway.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _version(_options: argparse.Namespace) -> int:
    print(_NAME_AND_VERSION)
    return 0

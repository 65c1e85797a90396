"""The command line: run, check, routes, sessions, keys, users, schema, version.

Exit codes: 0 all is well; 1 it could not be started or done; 2 the command line or config.yaml is
wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.cli.keys import AddCommand, Work, add_keys
from gateway.cli.users import add_users

if TYPE_CHECKING:
    from gateway.config.logins import AnyLogin
    from gateway.config.model import Config

_SESSIONS = "List, count and end sessions in the store that config.yaml names."

_KEYS = "Issue, list and end named keys, for scripts."

_USERS = "Say who may log in by the file of users that config.yaml names."

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
        epilog="exit codes: 0 all is well, 1 could not be started or done, 2 wrong usage or config",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str, *, config: bool = True) -> None:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        if config:
            _add_config(sub)

    command("run", _run, "Run the gateway in the foreground; SIGHUP reloads, SIGTERM drains.")
    command("check", _check, "Check a configuration and say everything that is wrong with it.")
    command("routes", _routes, "Print the routes, the most specific first.")
    _add_sessions(
        _on_a_store(commands.add_parser("sessions", help=_SESSIONS, description=_SESSIONS))
    )
    add_keys(_on_a_store(commands.add_parser("keys", help=_KEYS, description=_KEYS)))
    add_users(commands.add_parser("users", help=_USERS, description=_USERS))
    command("schema", _schema, "Print the JSON Schema of config.yaml.", config=False)
    command("version", _version, "Print the version.", config=False)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", default="config.yaml", help="the file (default: %(default)s)"
    )


def _on_a_store(parser: argparse.ArgumentParser) -> AddCommand:
    """Adds commands below one that works on the store that config.yaml names."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, work: Work, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=_perform, work=work)
        _add_config(sub)
        return sub

    return command


def _add_sessions(command: AddCommand) -> None:
    """The commands below `sessions`."""
    listing = command("list", _list, "List a subject's sessions, the one seen last first.")
    listing.add_argument("--subject", required=True, help="whose", metavar="SUBJECT")
    counting = command("count", _count, "Count all sessions, or a subject's.")
    counting.add_argument("--subject", help="whose", metavar="SUBJECT")
    revoking = command("revoke", _revoke, "End sessions, on every gateway of the store.")
    which = revoking.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", help="all of a subject's", metavar="SUBJECT")
    which.add_argument("--id", help="one; --id=… if it begins with a dash", metavar="ID")
    which.add_argument(
        "--issued-before",
        help="all that are older: a time as 2026-01-31T12:00:00Z, or UNIX seconds",
        metavar="TIME",
        type=_moment,
    )
    for each in (listing, counting, revoking):
        each.add_argument("--json", action="store_true", help="for programs")


def _moment(text: str) -> float:
    from gateway.core.timestamps import NoMoment, parse_moment

    try:
        return parse_moment(text)
    except NoMoment:
        message = f"{text!r} is no time as 2026-01-31T12:00:00Z, and no UNIX seconds"
        raise argparse.ArgumentTypeError(message) from None


def _run(options: argparse.Namespace) -> int:
    from gateway.config.load_isolated import Reading, load_apart
    from gateway.config.problems import ConfigError
    from gateway.observe.sinks import STDERR, Sink, SinkHandler
    from gateway.processes.listeners import StartError
    from gateway.processes.supervisor import Supervisor, block_signals, preload, stop_wanted

    block_signals()
    _hold_standard_streams()
    stderr = Sink(STDERR, "stderr")
    logging.basicConfig(
        level=logging.INFO,
        handlers=[SinkHandler(stderr)],
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    # aiohttp logs each request line of the in-process endpoints; the relay's log has them already.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

    def say(text: str) -> None:
        stderr.write(f"gateway: {text}\n".encode(errors="replace"))

    def read(seconds: float) -> Reading:
        return Reading(options.config, seconds=seconds)

    try:
        config = load_apart(options.config, is_interrupted=stop_wanted, meanwhile=preload)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    try:
        return Supervisor(config, read, say).run()
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
    from gateway.config.load import load_with_warnings
    from gateway.config.problems import ConfigError
    from gateway.store.embedded import EmbeddedStoreError, choose_embedded_server

    try:
        config, warnings = load_with_warnings(options.config, opens=True)
        if config.store.url == "embedded":
            choose_embedded_server(Path(config.store.data_dir))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    except EmbeddedStoreError as error:
        print(f"{options.config}: store: {error}", file=sys.stderr)
        return _EXIT_USAGE
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
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
    rows = [row for login in config.login for row in _login_rows(login)]
    if config.pages.login is not None:
        rows.append((config.pages.login, "GET,HEAD", "login", "gateway"))
    rows.append((config.logout.path, "GET,POST", "logout", "gateway"))
    if config.sessions.path is not None:
        rows.append((config.sessions.path, "GET,HEAD", "sessions", "gateway"))
        rows.append((f"{config.sessions.path}/*", "DELETE,POST", "sessions", "gateway"))
    if config.verify is not None:
        rows.append((config.verify.path, "any", "verify", "gateway"))
    routes = sorted(config.routes, key=lambda each: (each.path.endswith("*"), -len(each.path)))
    rows += [(r.path, ",".join(r.methods or ("any",)), r.auth, r.upstream or "-") for r in routes]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _login_rows(login: AnyLogin) -> Iterator[tuple[str, str, str, str]]:
    """Where one login answers: path, methods, what it is, and who answers."""
    if login.kind == "oidc":
        yield login.path, "GET", "login", "gateway"
        yield login.callback_path, "GET", "login", "gateway"
        yield login.backchannel_path, "POST", "logout", "gateway"
        return
    answers = getattr(login, "upstream", "gateway")
    yield login.path, ",".join(login.methods), "login", answers


def _perform(options: argparse.Namespace) -> int:
    from gateway.cli.session_commands import CommandFailed
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    try:
        options.work(load(options.config), options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    except CommandFailed as error:
        _say(str(error))
        return _EXIT_FAILED
    return 0


def _list(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.session_commands import perform, print_table

    found = perform(config, lambda administration: administration.listed(options.subject))
    if options.json:
        print(json.dumps({"sessions": found}))
    elif found:
        print_table(found)
    else:
        print("no sessions")


def _count(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.session_commands import perform

    count = perform(config, lambda administration: administration.count(options.subject))
    print(json.dumps({"count": count}) if options.json else count)


def _revoke(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.session_commands import perform
    from gateway.store.administration import Administration

    def work(administration: Administration) -> Awaitable[int]:
        if options.subject is not None:
            return administration.end_all_of(options.subject)
        if options.id is not None:
            return administration.end(options.id)
        return administration.end_issued_before(options.issued_before)

    count = perform(config, work)
    text = f"{count} session{'' if count == 1 else 's'} ended"
    print(json.dumps({"revoked": count}) if options.json else text)


def _schema(_options: argparse.Namespace) -> int:
    from gateway.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _version(_options: argparse.Namespace) -> int:
    print(f"latchkey-gateway {__version__}")
    return 0


def _say(text: str) -> None:
    print(f"gateway: {text}", file=sys.stderr, flush=True)

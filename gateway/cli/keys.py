"""The commands below `gateway keys`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.model import Config

# 50 years in seconds: the end of a session is kept in 32 bits, which end in the year 2106.
_LONGEST = 50 * 365 * 86_400

# What a command does with config.yaml, and what adds one by its name, its work and its help.
Work = Callable[["Config", argparse.Namespace], None]
AddCommand = Callable[[str, Work, str], argparse.ArgumentParser]


def add_keys(command: AddCommand) -> None:
    """The commands below `keys`."""
    issuing = command("issue", _issue, "Issue a key, and print it: once, and nothing else.")
    issuing.add_argument("--subject", required=True, help="whose it is", metavar="SUBJECT")
    issuing.add_argument(
        "--name", help="what it is called (default: as its subject)", metavar="NAME"
    )
    issuing.add_argument(
        "--expires",
        default="90d",
        help="how long it lasts, if its token does (default: %(default)s)",
        metavar="TIME",
        type=_duration,
    )
    issuing.add_argument(
        "--claims",
        help="what the tokens say, as JSON, that the gateway mints as its section `signing` says",
        metavar="JSON",
    )
    issuing.add_argument(
        "--token-file",
        help="where the JWT is that it stands for instead; - is stdin",
        metavar="FILE",
    )
    listing = command("list", _list, "List named keys.")
    listing.add_argument("--subject", help="whose", metavar="SUBJECT")
    revoking = command("revoke", _revoke, "End named keys, on every gateway of the store.")
    which = revoking.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", help="all of a subject's", metavar="SUBJECT")
    which.add_argument("--id", help="one; --id=… if it begins with a dash", metavar="ID")
    revoking.add_argument("--name", help="of the subject's, those of this name", metavar="NAME")
    for each in (listing, revoking):
        each.add_argument("--json", action="store_true", help="for programs")


def _duration(text: str) -> float:
    from gateway.config.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if not seconds:
        raise argparse.ArgumentTypeError("a key that lasts for no time is none")
    if seconds > _LONGEST:
        raise argparse.ArgumentTypeError("a key lasts for 18250d (50 years) at most")
    return seconds


def _issue(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.key_commands import issue, mint, read_token
    from gateway.cli.session_commands import CommandFailed
    from gateway.core.timestamps import rfc3339

    subject = options.subject
    if options.token_file is None:
        given = mint(config, subject, "{}" if options.claims is None else options.claims)
    elif options.claims is None:
        given = read_token(config, options.token_file, subject)
    else:
        raise CommandFailed("--claims and --token-file: a token has its claims already")
    name = subject if options.name is None else options.name
    issued = issue(config, subject, name, given, options.expires)
    session = issued.session
    ends = rfc3339(int(session.ends_at))
    print(f"gateway: the key's session is {session.id}, and ends at {ends}", file=sys.stderr)
    print(issued.key.reveal())


def _list(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.key_commands import COLUMNS
    from gateway.cli.session_commands import perform, print_table

    found = perform(config, lambda administration: administration.named(options.subject))
    if options.json:
        print(json.dumps({"keys": found}))
    elif found:
        print_table(found, COLUMNS)
    else:
        print("no keys")


def _revoke(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.session_commands import CommandFailed, perform
    from gateway.store.administration import Administration

    if options.name is not None and options.subject is None:
        raise CommandFailed("--name goes with --subject")

    def work(administration: Administration) -> Awaitable[int]:
        if options.subject is not None:
            return administration.end_named(options.subject, options.name)
        return administration.end(options.id)

    count = perform(config, work)
    text = f"{count} key{'' if count == 1 else 's'} ended"
    print(json.dumps({"revoked": count}) if options.json else text)

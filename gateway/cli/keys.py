"""`gateway keys …`: issue, list and end named keys, for scripts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.cli.arguments import AddCommand, counted

if TYPE_CHECKING:
    from gateway.config.model import Config

# 50 years: the store keeps the end of a session in 32 bits, which last until the year 2106.
_MAX_LIFETIME_SECONDS = 50 * 365 * 86_400


def add_keys(command: AddCommand) -> None:
    """Add the commands below `keys`."""
    issuing = command("issue", _issue, "Issue a key and print it. It is shown only once.")
    issuing.add_argument(
        "--subject", required=True, help="the subject of its session", metavar="SUBJECT"
    )
    issuing.add_argument(
        "--name", help="the name of the key (default: the subject)", metavar="NAME"
    )
    issuing.add_argument(
        "--expires",
        default="90d",
        help="how long the key lasts, if its token lasts as long (default: %(default)s)",
        metavar="TIME",
        type=_duration,
    )
    issuing.add_argument(
        "--claims",
        help="claims of the tokens that the gateway mints for the key (JSON; needs `signing`)",
        metavar="JSON",
    )
    issuing.add_argument(
        "--token-file",
        help="a file with the JWT that the key stands for; - is stdin",
        metavar="FILE",
    )
    listing = command("list", _list, "List named keys.")
    listing.add_argument("--subject", help="only this subject", metavar="SUBJECT")
    revoking = command("revoke", _revoke, "End named keys, on every gateway of the store.")
    which = revoking.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", help="all named keys of this subject", metavar="SUBJECT")
    which.add_argument("--id", help="one key; write --id=… if it begins with a dash", metavar="ID")
    revoking.add_argument("--name", help="only keys of this name", metavar="NAME")
    for parser in (listing, revoking):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _duration(text: str) -> float:
    from gateway.config.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if not seconds:
        raise argparse.ArgumentTypeError("a key must last longer than 0 seconds")
    if seconds > _MAX_LIFETIME_SECONDS:
        raise argparse.ArgumentTypeError("a key lasts at most 18250d (50 years)")
    return seconds


def _issue(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.named_keys import issue, mint, read_token
    from gateway.cli.store import CommandFailed
    from gateway.core.timestamps import rfc3339

    subject = options.subject
    if options.token_file is None:
        given = mint(config, subject, "{}" if options.claims is None else options.claims)
    elif options.claims is None:
        given = read_token(config, options.token_file, subject)
    else:
        raise CommandFailed("use --claims or --token-file, not both: the token already has claims")
    name = subject if options.name is None else options.name
    issued = issue(config, subject, name, given, options.expires)
    session = issued.session
    ends = rfc3339(int(session.ends_at))
    print(f"gateway: the session of this key is {session.id}; it ends at {ends}", file=sys.stderr)
    print(issued.key.reveal())


def _list(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.named_keys import COLUMNS
    from gateway.cli.store import perform, print_table

    found = perform(config, lambda administration: administration.named(options.subject))
    if options.json:
        print(json.dumps({"keys": found}))
    elif found:
        print_table(found, COLUMNS)
    else:
        print("no keys")


def _revoke(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.store import CommandFailed, perform
    from gateway.store.administration import Administration

    if options.name is not None and options.subject is None:
        raise CommandFailed("--name goes with --subject")

    def work(administration: Administration) -> Awaitable[int]:
        if options.subject is not None:
            return administration.end_named(options.subject, options.name)
        return administration.end(options.id)

    count = perform(config, work)
    text = f"{counted(count, 'key')} ended"
    print(json.dumps({"revoked": count}) if options.json else text)

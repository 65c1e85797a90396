"""`gateway sessions …`: list, count and end sessions in the store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.cli.arguments import AddCommand, counted

if TYPE_CHECKING:
    from gateway.config.model import Config


def add_sessions(command: AddCommand) -> None:
    """Add the commands below `sessions`."""
    listing = command("list", _list, "List the sessions of a subject, most recently seen first.")
    listing.add_argument("--subject", required=True, help="the subject", metavar="SUBJECT")
    counting = command("count", _count, "Count all sessions, or those of a subject.")
    counting.add_argument("--subject", help="only this subject", metavar="SUBJECT")
    revoking = command("revoke", _revoke, "End sessions, on every gateway of the store.")
    which = revoking.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", help="all sessions of this subject", metavar="SUBJECT")
    which.add_argument(
        "--id", help="one session; use --id=… if it begins with a dash", metavar="ID"
    )
    which.add_argument(
        "--issued-before",
        help="all sessions issued before a time: 2026-01-31T12:00:00Z or UNIX seconds",
        metavar="TIME",
        type=_time,
    )
    for parser in (listing, counting, revoking):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _time(text: str) -> float:
    from gateway.core.timestamps import BadTimestamp, parse_timestamp

    try:
        return parse_timestamp(text)
    except BadTimestamp:
        message = f"{text!r} is not a time: write 2026-01-31T12:00:00Z or UNIX seconds"
        raise argparse.ArgumentTypeError(message) from None


def _list(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.store import perform, print_table

    found = perform(config, lambda administration: administration.listed(options.subject))
    if options.json:
        print(json.dumps({"sessions": found}))
    elif found:
        print_table(found)
    else:
        print("no sessions")


def _count(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.store import perform

    count = perform(config, lambda administration: administration.count(options.subject))
    print(json.dumps({"count": count}) if options.json else count)


def _revoke(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.store import perform
    from gateway.store.administration import Administration

    def work(administration: Administration) -> Awaitable[int]:
        if options.subject is not None:
            return administration.end_all_of(options.subject)
        if options.id is not None:
            return administration.end(options.id)
        return administration.end_issued_before(options.issued_before)

    count = perform(config, work)
    text = f"{counted(count, 'session')} ended"
    print(json.dumps({"revoked": count}) if options.json else text)

"""What commands share: the option `--config`, exit codes, words, and the way they are added."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.model import Config

EXIT_FAILED = 1  # the command failed
EXIT_USAGE = 2  # the command line or config.yaml is wrong

# The work of a command on the store; and a function that adds one by name, work and help.
Work = Callable[["Config", argparse.Namespace], None]
AddCommand = Callable[[str, Work, str], argparse.ArgumentParser]


def fail(message: str, code: int) -> int:
    """Print `message` on stderr and return `code`."""
    print(f"gateway: {message}", file=sys.stderr, flush=True)
    return code


def counted(number: int, noun: str) -> str:
    """The number with its noun, as in `2 sessions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option `--config`."""
    parser.add_argument(
        "-c", "--config", default="config.yaml", help="the file (default: %(default)s)"
    )


def store_commands(parser: argparse.ArgumentParser) -> AddCommand:
    """Return a function that adds commands on the store below `parser`."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, work: Work, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=_perform, work=work)
        add_config(sub)
        return sub

    return command


def _perform(options: argparse.Namespace) -> int:
    from gateway.cli.store import CommandFailed
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    try:
        options.work(load(options.config), options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except CommandFailed as error:
        return fail(str(error), EXIT_FAILED)
    return 0

"""`gateway users …`: add, change, list and remove users of a users file.

Running gateways see the change at the next login, without a reload.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Any

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, fail


class _WrongUsage(Exception):
    """The arguments do not fit together; the message says why."""


class _Failed(Exception):
    """The command failed; the message says why."""


def add_users(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `users`."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, work: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=_run, work=work)
        where = sub.add_mutually_exclusive_group()
        where.add_argument(
            "-c",
            "--config",
            default="config.yaml",
            help="the file that names the users file (default: %(default)s)",
        )
        where.add_argument("--file", help="the users file itself", metavar="FILE")
        return sub

    asks = "The password is asked for, or read from standard input."
    adding = command("add", _add, f"Add a user. {asks}")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument(
        "--claim",
        action="append",
        default=[],
        help="a claim of the user's tokens; VALUE is JSON, or else a text",
        metavar="NAME=VALUE",
    )
    command("passwd", _passwd, f"Change the password of a user. {asks}").add_argument(
        "name", metavar="NAME"
    )
    command("remove", _remove, "Remove a user.").add_argument("name", metavar="NAME")
    command("list", _list, "List the users.").add_argument(
        "--json", action="store_true", help="print JSON"
    )


def _run(options: argparse.Namespace) -> int:
    from gateway.config.problems import ConfigError
    from gateway.config.users_file import BrokenFile, NotChanged
    from gateway.core.logins.passwords import BadPassword
    from gateway.core.logins.users import BadUsers

    try:
        path = Path(options.file) if options.file else _configured(options.config)
        options.work(path, options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except BadPassword as error:
        return fail(f"the password {error}", EXIT_USAGE)
    except (_WrongUsage, BadUsers) as error:
        return fail(str(error), EXIT_USAGE)
    except BrokenFile as error:
        return fail(f"{path}:{error.line}: {error}", EXIT_FAILED)
    except (_Failed, NotChanged) as error:
        return fail(str(error), EXIT_FAILED)
    except OSError as error:
        return fail(f"{path} cannot be written: {error.strerror}", EXIT_FAILED)
    return 0


def _configured(config: str) -> Path:
    """The one users file of a configuration. Raises `_WrongUsage`."""
    from gateway.config.load import load

    files = {login.users_file for login in load(config).login if login.users_file}
    if len(files) != 1:
        number = "no users file" if not files else "more than one users file"
        raise _WrongUsage(f"{config} names {number}: choose one with --file")
    return Path(files.pop())


def _add(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file
    from gateway.core.logins.users import check_name, folded

    name = folded(options.name)
    check_name(name)
    claims = dict(_claim(claim) for claim in options.claim)
    if path.exists() and name in users_file.read(path):
        raise _Failed(f"there is a user {name} already")
    users_file.add(path, name, _hashed(_new_password()), claims)
    print(f"{name} can log in")


def _passwd(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file
    from gateway.core.logins.users import folded

    name = folded(options.name)
    if name not in users_file.read(path):
        raise _Failed(f"there is no user {name}")
    users_file.change_hash(path, name, _hashed(_new_password()))
    print(f"the password of {name} is changed; present sessions go on until they are revoked")


def _remove(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file
    from gateway.core.logins.users import folded

    name = folded(options.name)
    users_file.remove(path, name)
    print(f"{name} is removed; present sessions end when their tokens expire")


def _list(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file

    users = users_file.read(path)
    if options.json:
        listed = [{"name": user.name, "claims": user.claims} for user in users.values()]
        print(json.dumps({"users": listed}))
        return
    for user in users.values():
        claims = json.dumps(user.claims, ensure_ascii=False) if user.claims else ""
        print(f"{user.name}  {claims}".rstrip())


def _claim(text: str) -> tuple[str, Any]:
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise _WrongUsage("a claim is NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _new_password() -> str:
    """Ask for a password.

    It is never an argument: other users and the shell's history see those.
    """
    from gateway.core.logins.passwords import check_new

    if sys.stdin.isatty():
        password = getpass("Password: ")
        check_new(password)
        if getpass("Once more: ") != password:
            raise _WrongUsage("the two passwords differ")
        return password
    try:
        password = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _WrongUsage("the password is not valid text") from None
    check_new(password)
    return password


def _hashed(password: str) -> str:
    from gateway.core.logins.passwords import SALT_BYTES, hashed

    return hashed(password, os.urandom(SALT_BYTES))

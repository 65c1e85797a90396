"""`gateway users …`: who may log in by a file of users, from the command line.

Gateways that run see the change at the next login; nothing has to be reloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Any

_EXIT_FAILED = 1
_EXIT_USAGE = 2


class _Wrong(Exception):
    """What was asked for cannot be meant; the message says why."""


class _Failed(Exception):
    """It was not done; the message says why."""


def add_users(parser: argparse.ArgumentParser) -> None:
    """The commands below `users`."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, work: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=_run, work=work)
        where = sub.add_mutually_exclusive_group()
        where.add_argument(
            "-c",
            "--config",
            default="config.yaml",
            help="what names the file of users (default: %(default)s)",
        )
        where.add_argument("--file", help="the file of users itself", metavar="FILE")
        return sub

    asks = "The password is asked for, or read from standard input."
    adding = command("add", _add, f"Add a user. {asks}")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument(
        "--claim",
        action="append",
        default=[],
        help="what tokens say of the user; the value is JSON, or else a text",
        metavar="NAME=VALUE",
    )
    command("passwd", _passwd, f"Give a user another password. {asks}").add_argument(
        "name", metavar="NAME"
    )
    command("remove", _remove, "Remove a user.").add_argument("name", metavar="NAME")
    command("list", _list, "List the users.").add_argument(
        "--json", action="store_true", help="for programs"
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
        return _EXIT_USAGE
    except BadPassword as error:
        return _say(f"the password {error}", _EXIT_USAGE)
    except (_Wrong, BadUsers) as error:
        return _say(str(error), _EXIT_USAGE)
    except BrokenFile as error:
        return _say(f"{path}:{error.line}: {error}", _EXIT_FAILED)
    except (_Failed, NotChanged) as error:
        return _say(str(error), _EXIT_FAILED)
    except OSError as error:
        return _say(f"{path} cannot be written: {error.strerror}", _EXIT_FAILED)
    return 0


def _configured(config: str) -> Path:
    """The one file of users that a configuration names."""
    from gateway.config.load import load

    files = {each.file for each in load(config).login if each.kind == "users"}
    if len(files) != 1:
        number = "no file" if not files else "more than one file"
        raise _Wrong(f"{config} names {number} of users: say which with --file")
    return Path(files.pop())


def _add(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file
    from gateway.core.logins.users import check_name, folded

    name = folded(options.name)
    check_name(name)
    claims = dict(_claim(each) for each in options.claim)
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
    print(f"{name} has another password; sessions go on until they are ended")


def _remove(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file
    from gateway.core.logins.users import folded

    name = folded(options.name)
    users_file.remove(path, name)
    print(f"{name} cannot log in any more; sessions end with their present tokens")


def _list(path: Path, options: argparse.Namespace) -> None:
    from gateway.config import users_file

    users = users_file.read(path)
    if options.json:
        listed = [{"name": each.name, "claims": each.claims} for each in users.values()]
        print(json.dumps({"users": listed}))
        return
    for user in users.values():
        claims = json.dumps(user.claims, ensure_ascii=False) if user.claims else ""
        print(f"{user.name}  {claims}".rstrip())


def _claim(text: str) -> tuple[str, Any]:
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise _Wrong("a claim is NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _new_password() -> str:
    """Never an argument: those are seen by everybody on the machine, and kept by shells."""
    from gateway.core.logins.passwords import check_new

    if sys.stdin.isatty():
        password = getpass("Password: ")
        check_new(password)
        if getpass("Once more: ") != password:
            raise _Wrong("the two passwords differ")
        return password
    try:
        password = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Wrong("the password is no text") from None
    check_new(password)
    return password


def _hashed(password: str) -> str:
    from gateway.core.logins.passwords import SALT_BYTES, hashed

    return hashed(password, os.urandom(SALT_BYTES))


def _say(text: str, code: int) -> int:
    print(f"gateway: {text}", file=sys.stderr, flush=True)
    return code

"""`gateway try login`: what a configuration makes of a real login."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gateway.cli.arguments import AddCommand

if TYPE_CHECKING:
    from gateway.cli.try_login import LoginRequest
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


def add_try(command: AddCommand) -> None:
    """Add the commands below `try`."""
    login = command(
        "login",
        _login,
        "Log in at the backend and say what the gateway makes of the reply. Nothing is kept.",
    )
    login.add_argument("--path", help="the login's path (default: the first login)", metavar="PATH")
    body = login.add_mutually_exclusive_group()
    body.add_argument("--json", help="the body as JSON; - is stdin", metavar="TEXT")
    body.add_argument("--form", help="the body as a form, as a=1&b=2; - is stdin", metavar="TEXT")
    login.add_argument("--method", help="the method (default: the login's first)", metavar="METHOD")
    login.add_argument(
        "--header",
        action="append",
        default=[],
        help="a field of the request; may be repeated",
        metavar="'NAME: VALUE'",
        type=_field,
    )
    login.add_argument(
        "--origin",
        default="http://localhost",
        help="how clients name the gateway (default: %(default)s)",
        metavar="URL",
    )


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError("write it as 'Name: value'")
    return name.strip(), value.strip()


def _login(config: Config, options: argparse.Namespace) -> None:
    from gateway.cli.login_report import report
    from gateway.cli.store import CommandFailed
    from gateway.cli.try_login import try_login

    section = _section(config, options.path)
    trial = try_login(config, _request(section, options))
    sys.stdout.write("".join(f"{line}\n" for line in report(config, section, trial)))
    if trial.issued is None:
        raise CommandFailed("the login gives no session")


def _section(config: Config, path: str | None) -> LoginSection:
    from gateway.cli.store import CommandFailed

    for login in config.login:
        if path in (None, login.path):
            if login.provider_issuer:
                raise CommandFailed(
                    f"people log in at {login.provider_issuer}: try it in a browser"
                )
            return login
    paths = ", ".join(login.path for login in config.login) or "none"
    raise CommandFailed(f"no login answers at {path}: the logins are {paths}")


def _request(section: LoginSection, options: argparse.Namespace) -> LoginRequest:
    from gateway.cli.try_login import LoginRequest

    text, media_type = (options.json, _JSON) if options.form is None else (options.form, _FORM)
    # As a page of the site sends it.
    fields = {"accept": ("Accept", "*/*"), "origin": ("Origin", options.origin)}
    if text is not None:
        fields["content-type"] = ("Content-Type", media_type)
    fields |= {name.lower(): (name, value) for name, value in options.header}
    body = sys.stdin.read().rstrip("\n") if text == "-" else text or ""
    scheme, _, host = options.origin.rpartition("://")
    return LoginRequest(
        method=options.method or section.paths[0].methods[0],
        target=section.path,
        fields=tuple(fields.values()),
        body=body.encode(),
        host=host,
        scheme=scheme or "http",
    )

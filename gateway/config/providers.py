"""What is to be said of OpenID providers: whose names are whose, and whom to trust."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.config.problems import Problem
from gateway.config.tls import client_context

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config


def check_providers(config: Config, document: Document) -> Iterator[Problem]:
    """What is wrong between a provider's login and the others, or with its files."""
    yield from _subjects(config, document)
    yield from _choice(config, document)
    for at, login in enumerate(config.login):
        if login.kind == "oidc" and login.ca_file is not None:
            try:
                client_context(login.ca_file, None, None, verify=True)
            except OSError:
                message = "cannot be read, or holds no certificate in PEM"
                yield document.problem(("login", at, "ca_file"), message)


def _subjects(config: Config, document: Document) -> Iterator[Problem]:
    """A name is one person's for the one who gave it only (Core §5.7): the same name from somebody
    else would be another person, with the sessions and at the upstreams of the first.
    """
    givers = {login.issuer if login.kind == "oidc" else "" for login in config.login}
    if len(givers) == 1:
        return
    prefixes: dict[str, str] = {}
    for at, login in enumerate(config.login):
        if login.kind != "oidc":
            continue
        prefix = login.subject_prefix
        if prefix is None:
            yield document.problem(
                ("login", at),
                "needs subject_prefix, such as google: for others here give names to people as "
                'well, and the same name need not be the same person; "" says that it is',
            )
        elif prefix and prefixes.setdefault(prefix, login.issuer) != login.issuer:
            yield document.problem(
                ("login", at, "subject_prefix"), "is that of another issuer as well"
            )


def _choice(config: Config, document: Document) -> Iterator[Problem]:
    if config.pages.login is not None and all(
        each.kind not in ("oidc", "users") for each in config.login
    ):
        yield document.problem(("pages", "login"), "has no login of kind oidc or users to show")

"""What is to be said of OpenID providers: whether people can choose them, and whom to trust."""

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
    yield from _choice(config, document)
    for at, login in enumerate(config.login):
        if login.kind == "oidc" and login.ca_file is not None:
            try:
                client_context(login.ca_file, None, None, verify=True)
            except OSError:
                message = "cannot be read, or holds no certificate in PEM"
                yield document.problem(("login", at, "ca_file"), message)


def _choice(config: Config, document: Document) -> Iterator[Problem]:
    if config.pages.login is not None and all(
        each.kind not in ("oidc", "users") for each in config.login
    ):
        yield document.problem(("pages", "login"), "has no login of kind oidc or users to show")

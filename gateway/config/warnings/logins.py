"""Warnings about logins."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document, Where
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.core.logins.token_places import Auto

_VERIFY = (
    'add verify: {secret: "${JWT_SECRET}"}, or verify: {public_key: backend.pem}, '
    'or verify: {jwks: "https://id.example/jwks.json"}'
)

_USERINFO = "add userinfo: the backend says whose token it is, at a path that is asked with it"


def login_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find logins that believe, or let through, more than they should."""
    yield from _unverified_tokens(config, document)
    yield from _unknown_refresh_paths(config, document)
    yield from _visits_from_other_sites(config, document)
    yield from _forgotten_sessions(config, document)
    yield from _uncounted_logins(config, document)


def _unverified_tokens(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if not login.believes_tokens:
            continue
        hint = _USERINFO if login.has_opaque_tokens else _VERIFY
        if isinstance(login.token_place, Auto):
            message = "believes what its backend calls a token, also one that a client wrote"
        elif login.backend_paths[0].path.rpartition("/")[2].lower() == "graphql":
            message = "believes what stands there, and GraphQL clients choose the names of fields"
        else:
            continue
        yield document.problem(("login", at, "token"), message, hint=hint)


def _visits_from_other_sites(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if any(path.may_be_led_to for path in login.paths):
            yield document.problem(
                ("login", at, "cross_site"),
                "lets another site log its visitors in as a user of its choice (login CSRF), "
                "unless the backend ties the link to the browser",
                hint="let it check a state that it has put into a cookie before (RFC 6749 §10.12)",
            )


def _unknown_refresh_paths(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if login.lacks_refresh_path:
            yield document.problem(
                ("login", at, "refresh"),
                "is on, as there is renew, but where frontends refresh is not known: "
                "those that do find no refresh token in the login's reply",
                hint="write refresh: /the/path/that/they/call, or refresh: off",
            )


def _forgotten_sessions(config: Config, document: Document) -> Iterator[Problem]:
    """Logins that remember users only until their token expires."""
    for at, login in enumerate(config.login):
        if login.remember is not None and not login.keeps_tokens_valid:
            yield document.problem(
                ("login", at, "remember"),
                "lasts no longer than a token of this login, since nothing renews it; add renew",
            )


def _uncounted_logins(config: Config, document: Document) -> Iterator[Problem]:
    where: Where
    for where in dict.fromkeys(
        ("guessing",) if login.own_throttle is None else ("login", at, "guessing")
        for at, login in enumerate(config.login)
        if login.takes_passwords and (login.own_throttle or config.guessing).is_off
    ):
        yield document.problem(
            where, "lets passwords be guessed as fast as they can be sent; set how many may fail"
        )

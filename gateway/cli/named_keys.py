"""Issuing named keys for scripts.

A named key opens a session as every key does. It has a name that an operator gave it, no idle
timeout, and ends when the operator or its token says. It is printed once and stored nowhere.
"""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.store import CommandFailed, perform
from gateway.config import own_tokens
from gateway.config.realms import realms
from gateway.core import json_text
from gateway.core.json_text import NotJson
from gateway.core.sessions.realms import Realm
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import MINTED, RENEWED_BEFORE, BadToken, Claims, read_claims
from gateway.core.tokens.minting import REGISTERED, BadClaims, check_claims
from gateway.store.administration import Administration, NamedKeyToken

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.store.issuer import Issued

COLUMNS = {
    "ID": "handle",
    "SUBJECT": "subject",
    "NAME": "name",
    "CREATED": "created",
    "LAST SEEN": "last_seen",
    "ENDS": "ends",
}

# Names are columns of a table; subjects are stored with each session.
_MAX_NAME_CHARACTERS = 64
_MAX_SUBJECT_CHARACTERS = 1024

_STDIN = "-"


def issue(config: Config, subject: str, name: str, given: NamedKeyToken, lifetime: float) -> Issued:
    """Issue a key for `lifetime` seconds, or for as long as its token lasts.

    Raises `CommandFailed`.
    """
    _check(subject, "the subject", _MAX_SUBJECT_CHARACTERS)
    _check(name, "the name", _MAX_NAME_CHARACTERS)

    async def work(administration: Administration) -> Issued:
        return await administration.issue_named(subject, name, given, lifetime)

    return perform(config, work, seals=True)


def read_token(config: Config, file: str, subject: str) -> NamedKeyToken:
    """Read the JWT from a file or stdin.

    Raises `CommandFailed`; its message has no part of the JWT.
    """
    try:
        text = sys.stdin.read() if file == _STDIN else Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} does not hold a JWT") from None
    token = jwt_text.sole(text.strip())
    try:
        claims = read_claims(token, time.time() - config.session.clock_skew)
    except BadToken as error:
        raise CommandFailed(f"the token cannot be used: {error}") from None
    if not _may_name(config, subject, claims):
        raise CommandFailed("the token names another subject")
    return NamedKeyToken(token, claims.expires)


def mint(config: Config, subject: str, claims: str) -> NamedKeyToken:
    """Mint a token, which the gateway renews for as long as the key lasts.

    claims: its claims beside the subject (a JSON object)

    Raises `CommandFailed`.
    """
    minter = own_tokens.minter(config)
    if minter is None:
        raise CommandFailed(
            "config.yaml has no section `signing`: give the key a token with --token-file"
        )
    try:
        given = json_text.value(claims)
    except NotJson:
        raise CommandFailed("the claims are not JSON") from None
    if not isinstance(given, dict):
        raise CommandFailed("the claims are not a JSON object")
    if own := sorted(given.keys() & REGISTERED):
        raise CommandFailed(f"the gateway sets {', '.join(own)} itself")
    try:
        check_claims(given)
    except BadClaims as error:
        raise CommandFailed(f"the claims cannot be used: {error}") from None
    minted = minter.mint(subject, given, now=time.time(), jti=secrets.token_hex(16))
    return NamedKeyToken(minted.token, minted.expires, MINTED, RENEWED_BEFORE)


def _may_name(config: Config, subject: str, claims: Claims) -> bool:
    """Whether a token names `subject` or none.

    It may name it by `sub`, or as any login reads it.
    """
    all_realms = realms(config)
    backends = [login for login in config.login if login.token_place is not None]
    ways = [
        (Realm(), ("sub",)),
        *((all_realms[login.path], login.subject_claims) for login in backends),
    ]
    named = [(realm, name) for realm, names in ways if (name := claims.subject(names)) is not None]
    return not named or any(
        realm.is_subject(subject, name, claims.payload) for realm, name in named
    )


def _check(text: str, what: str, max_characters: int) -> None:
    """Line breaks would be read as separators in the store and in tables."""
    if not 0 < len(text) <= max_characters or not text.isprintable():
        raise CommandFailed(f"{what} must have 1 to {max_characters} printable characters")

"""`gateway keys …`: named keys for scripts, from the command line.

A named key opens a session as any key does; but it is never idle, it ends when its operator or its
token says, and an operator has given it its name. It is told once, on stdout, and kept nowhere.
"""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.session_commands import CommandFailed, perform
from gateway.config import own_tokens
from gateway.config.realms import realms
from gateway.core import json_text
from gateway.core.json_text import NotJson
from gateway.core.sessions.realms import Realm
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import MINTED, RENEWED_BEFORE, BadToken, Claims, read_claims
from gateway.core.tokens.minting import REGISTERED, BadClaims, check_claims
from gateway.store.administration import Administration, Given

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.store.sessions import Issued

COLUMNS = {
    "ID": "handle",
    "SUBJECT": "subject",
    "NAME": "name",
    "CREATED": "created",
    "LAST SEEN": "last_seen",
    "ENDS": "ends",
}

# Names stand in lists beside others, and subjects are kept with each session.
_LONGEST_NAME = 64
_LONGEST_SUBJECT = 1024

# Where a token comes from that is piped in.
_STDIN = "-"


def issue(config: Config, subject: str, name: str, given: Given, lasts: float) -> Issued:
    """Issues a key that lasts for so many seconds, if its token does. Raises `CommandFailed`."""
    _check(subject, "the subject", _LONGEST_SUBJECT)
    _check(name, "the name", _LONGEST_NAME)

    async def work(administration: Administration) -> Issued:
        return await administration.issue_named(subject, name, given, lasts)

    return perform(config, work, seals=True)


def read_token(config: Config, file: str, subject: str) -> Given:
    """The JWT in a file, or on stdin. Raises `CommandFailed`, which repeats nothing of it."""
    try:
        text = sys.stdin.read() if file == _STDIN else Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} holds no JWT") from None
    token = jwt_text.sole(text.strip())
    try:
        claims = read_claims(token, time.time() - config.session.clock_skew)
    except BadToken as error:
        raise CommandFailed(f"the token cannot be used: {error}") from None
    if not _may_name(config, subject, claims):
        raise CommandFailed("the token names another subject")
    return Given(token, claims.expires)


def mint(config: Config, subject: str, claims: str) -> Given:
    """A token of the gateway's own, which it mints anew as long as the key lasts; `claims` is what
    it says beside the subject, as JSON. Raises `CommandFailed`.
    """
    minter = own_tokens.minter(config)
    if minter is None:
        raise CommandFailed(
            "config.yaml has no section `signing`, so the key needs a token: --token-file"
        )
    try:
        said = json_text.value(claims)
    except NotJson:
        raise CommandFailed("the claims are no JSON") from None
    if not isinstance(said, dict):
        raise CommandFailed("the claims are no JSON object")
    if own := sorted(said.keys() & REGISTERED):
        raise CommandFailed(f"the gateway itself says {', '.join(own)}")
    try:
        check_claims(said)
    except BadClaims as error:
        raise CommandFailed(f"the claims cannot be used: {error}") from None
    minted = minter.mint(subject, said, now=time.time(), jti=secrets.token_hex(16))
    return Given(minted.token, minted.expires, MINTED, RENEWED_BEFORE)


def _may_name(config: Config, subject: str, claims: Claims) -> bool:
    """Whether a token is the subject's by any login's way to tell, or by `sub`; or names none."""
    all_realms = realms(config)
    backends = [login for login in config.login if login.kind == "backend"]
    ways = [(Realm(), ("sub",)), *((all_realms[login.path], login.subject) for login in backends)]
    named = [(realm, name) for realm, names in ways if (name := claims.subject(names)) is not None]
    return not named or any(
        realm.is_subject(subject, name, claims.payload) for realm, name in named
    )


def _check(text: str, what: str, longest: int) -> None:
    """A line of it would be taken for something else in the store, and in a list."""
    if not 0 < len(text) <= longest or not text.isprintable():
        raise CommandFailed(f"{what} must have 1 to {longest} printable characters")

"""Reading and trying the keys of the sections that verify tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, get_args

from gateway.config.document import Document, Where
from gateway.config.files import read_file
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.token_sections import Verify
from gateway.core.tokens import verifying_keys
from gateway.core.tokens.verifying_keys import Algorithm, BadKey

V = TypeVar("V", bound=Verify)

# Providers publish no secrets.
_PUBLISHED = tuple(name for name in get_args(Algorithm) if not name.startswith("HS"))


def with_keys(config: Config, folder: Path, document: Document) -> tuple[Config, list[Problem]]:
    """Replace file names by the public keys in them; also return problems."""
    problems: list[Problem] = []
    logins = list(config.login)
    for at, login in enumerate(logins):
        if login.token_rules is not None:
            read = _with_key(login.token_rules, folder)
            problems += _problems(read, document, ("login", at, "verify"))
            logins[at] = login.model_copy(update={"verify": read})
    jwt = config.jwt
    if jwt is not None:
        jwt = _with_key(jwt, folder)
        problems += _problems(jwt, document, ("jwt",))
    return config.model_copy(update={"login": tuple(logins), "jwt": jwt}), problems


def _with_key(verify: V, folder: Path) -> V:
    """The section with its public key's text; unchanged for a wrong file.

    `_problems` finds that.
    """
    text = verify.public_key
    if text is None or "-----BEGIN" in text:
        return verify
    try:
        text = read_file(folder / text).decode()
    except (OSError, ValueError):
        return verify
    return verify.model_copy(update={"public_key": text})


def _problems(verify: Verify, document: Document, where: Where) -> Iterator[Problem]:
    field = "secret" if verify.secret is not None else "public_key"
    try:
        fits = _fitting(verify)
    except BadKey as error:
        yield document.problem((*where, field), str(error))
        return
    for at, algorithm in enumerate(verify.algorithms):
        if algorithm not in fits:
            message = f"does not fit this key, which is for {' or '.join(fits)}"
            yield document.problem((*where, "algorithms", at), message)


def _fitting(verify: Verify) -> tuple[str, ...]:
    """The algorithms that fit the key. Raises `BadKey`."""
    if verify.secret is not None:
        return verifying_keys.of_secret(verify.secret).algorithms
    if verify.public_key is None:
        return _PUBLISHED
    if "-----BEGIN" not in verify.public_key:
        raise BadKey("is neither a public key in PEM nor a file that holds one")
    return verifying_keys.of_pem(verify.public_key).algorithms

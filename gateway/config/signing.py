"""The section `signing`: its keys, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.files import read_file
from gateway.core.secret import Secret
from gateway.core.tokens import signing_keys
from gateway.core.tokens.signing_keys import BadSigningKey

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config
    from gateway.config.problems import Problem
    from gateway.config.token_sections import SigningKeySection


def with_signing_keys(
    config: Config, folder: Path, document: Document
) -> tuple[Config, list[Problem]]:
    """Read the key files of the section `signing`; also return problems."""
    section = config.signing
    if section is None:
        return config, []
    keys: list[SigningKeySection] = []
    problems: list[Problem] = []
    ids: dict[str | None, int] = {}
    for at, given in enumerate(section.keys):
        try:
            key = _with_file(given, folder)
            kid = signing_key(key).kid
        except BadSigningKey as error:
            where = ("signing", "keys", at, _field(given))
            problems.append(document.problem(where, str(error)))
            continue
        if kid is not None and kid in ids:
            twice = f"has the id of keys[{ids[kid]}]: each key needs its own"
            problems.append(document.problem(("signing", "keys", at, "kid"), twice))
        ids[kid] = at
        keys.append(key)
    read = section.model_copy(update={"keys": tuple(keys)})
    return config.model_copy(update={"signing": read}), problems


def _field(key: SigningKeySection) -> str:
    """The setting that holds the key."""
    if key.secret is not None:
        return "secret"
    return "private_key" if key.private_key is not None else "private_key_file"


def _with_file(key: SigningKeySection, folder: Path) -> SigningKeySection:
    if key.private_key_file is None:
        return key
    try:
        text = read_file(folder / key.private_key_file).decode()
    except OSError as error:
        raise BadSigningKey(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSigningKey("is not a private key in PEM") from None
    return key.model_copy(update={"private_key": Secret(text)})


def signing_key(given: SigningKeySection) -> signing_keys.SigningKey:
    """The signing key of a section. Raises `BadSigningKey`."""
    if given.secret is not None:
        return signing_keys.secret_key(given.secret.reveal(), given.kid)
    assert given.private_key is not None
    return signing_keys.private_key(given.algorithm, given.private_key.reveal(), given.kid)

"""The realms of a configuration, which tell the users of its logins apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.sessions.realms import Realm, realms_of

if TYPE_CHECKING:
    from gateway.config.model import Config

# For callers that bring tokens of their own; no login has this path.
CALLERS = ""


def realms(config: Config) -> dict[str, Realm]:
    """The realms by the logins' paths, and that of callers by `CALLERS`."""
    prefixes = {login.path: login.subject_prefix for login in config.login}
    if config.jwt is not None:
        prefixes[CALLERS] = config.jwt.subject_prefix
    found = realms_of(prefixes)
    if takes_own_tokens(config):
        found[CALLERS] = Realm()  # these tokens name subjects already
    return found


def takes_own_tokens(config: Config) -> bool:
    """Whether callers bring tokens that the gateway itself has minted."""
    if config.jwt is None or config.signing is None or config.jwt.subject_prefix is not None:
        return False
    return bool(config.jwt.issuer == (config.signing.issuer,))

"""What config.yaml may say of each way to log in: one file for each, as in `gateway.logins`.

The kind `ldap` is the class `LdapLogin` in `ldap.py`, a `LoginSection`, and the file of the same
name in `gateway.logins` logs people in. Both are found by their names, so adding a way to log in
touches nothing here.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from gateway.config.logins.backend import BackendLogin
    from gateway.config.logins.mint import MintLogin
    from gateway.config.logins.oidc import OidcLogin
    from gateway.config.logins.users import UsersLogin

    # Those of which others know more than what every login has.
    AnyLogin = BackendLogin | MintLogin | UsersLogin | OidcLogin
else:
    _FOUND = [
        getattr(importlib.import_module(f"{__name__}.{each.name}"), f"{each.name.title()}Login")
        for each in pkgutil.iter_modules(__path__)
    ]
    AnyLogin = Annotated[reduce(or_, _FOUND), Field(discriminator="kind")]

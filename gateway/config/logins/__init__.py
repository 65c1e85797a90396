"""Login sections of config.yaml: one file for each kind, as for logins.

The kind `ldap_bind` is the class `LdapBindSection` in `ldap_bind.py`, a `LoginSection`. The file of
the same name in `gateway.logins` logs people in. Both are found by their names, so a new kind
touches nothing else.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gateway.config.login_sections import LoginSection
from gateway.core.logins.kinds import class_name

if TYPE_CHECKING:
    AnyLogin = LoginSection
else:

    def _section(kind: str) -> type[LoginSection]:
        module = importlib.import_module(f"{__name__}.{kind}")
        return getattr(module, class_name(kind, "Section"))

    _SECTIONS = [_section(module.name) for module in pkgutil.iter_modules(__path__)]
    AnyLogin = Annotated[reduce(or_, _SECTIONS), Field(discriminator="kind")]

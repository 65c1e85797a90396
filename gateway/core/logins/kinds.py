"""The names of the classes that make a kind of login."""

from __future__ import annotations


def class_name(kind: str, role: str) -> str:
    """The class of a kind: `LdapBindSection` for `ldap_bind` and `Section`."""
    return "".join(word.title() for word in kind.split("_")) + role

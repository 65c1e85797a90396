"""Realms: the people among whom a name belongs to one person.

Two logins, or two tenants of one login, may each have a user called 1. So a subject is a realm and
a name: `staff:1` is not `customers:1`. A login's `subject_prefix` spells its realm, and may contain
the requested host and claims. Colons in names and in inserted values are escaped. So the realm
stands before the last colon, and no name reaches into another realm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.sessions import claim_names, subjects

# At most one value is inserted into a part, so that its spelling has one reading.
_PART = re.compile(
    r"(?P<before>[A-Za-z0-9._-]*)"
    r"(?:\{(?:(?P<host>host)|claim:(?P<claim>[^{}]+))\})?"
    r"(?P<after>[A-Za-z0-9._-]*):"
)


class BadPrefix(ValueError):
    """The text is no prefix; the message shows how to write one."""


class NoRealm(ValueError):
    """A login lacks the host or claim of its realm; the message names it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a prefix: text around an inserted host or claim."""

    before: str
    after: str = ""
    is_host: bool = False
    claim: str = ""  # its name

    @property
    def is_text(self) -> bool:
        return not self.is_host and not self.claim

    def spelled(self, claims: Mapping[str, Any], host: str) -> str:
        """The part with its value inserted. Raises `NoRealm` if there is none."""
        if self.is_text:
            return f"{self.before}:"
        value = host if self.is_host else subjects.name_of(claim_names.find(claims, self.claim))
        if not value:
            raise NoRealm("host" if self.is_host else f"claim {self.claim}")
        return f"{self.before}{_escaped(value)}{self.after}:"

    def may_equal(self, other: Part) -> bool:
        """Whether both can have the same spelling."""
        if self.is_text and other.is_text:
            return self.before == other.before
        begins = _is_beginning(self.before, other.before)
        mine, theirs = (part.before if part.is_text else part.after for part in (self, other))
        return begins and _is_beginning(mine[::-1], theirs[::-1])

    @property
    def pattern(self) -> str:
        """A regular expression for the part's spellings."""
        value = "" if self.is_text else "[^:]+"
        return f"{re.escape(self.before)}{value}{re.escape(self.after)}:"


@dataclass(frozen=True, slots=True)
class SubjectPrefix:
    """A `subject_prefix` of config.yaml."""

    text: str = ""
    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def has_host(self) -> bool:
        return any(part.is_host for part in self.parts)

    @property
    def claims(self) -> list[str]:
        """The names of the inserted claims."""
        return [part.claim for part in self.parts if part.claim]

    def may_equal(self, other: SubjectPrefix) -> bool:
        """Whether both can spell the same realm."""
        return len(self.parts) == len(other.parts) and all(
            mine.may_equal(theirs) for mine, theirs in zip(self.parts, other.parts, strict=True)
        )


def parse_prefix(text: str) -> SubjectPrefix:
    """Parse `staff:`, `{host}:`, `shop:{claim:tenant}:` or "".

    Raises `BadPrefix`.
    """
    parts, at = [], 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or found[0] == ":":
            raise BadPrefix(
                'is not a prefix: write a word and a colon, as in "staff:", "{host}:" or '
                '"staff:{claim:tenant}:"'
            )
        parts.append(
            Part(found["before"], found["after"], bool(found["host"]), found["claim"] or "")
        )
        at = found.end()
    return SubjectPrefix(text, tuple(parts))


class Realm:
    """Gives the users of one login their subjects, and recognizes them."""

    def __init__(self, prefix: SubjectPrefix | None = None, *, is_alone: bool = True) -> None:
        """`is_alone`: no login has a prefix, so a name is a subject as it comes."""
        self._prefix = prefix or SubjectPrefix()
        self.is_alone = is_alone
        parts = "".join(part.pattern for part in self._prefix.parts)
        self._pattern = re.compile(f"{parts}(?P<name>[^:]+)")

    def subject(self, name: str | None, claims: Mapping[str, Any], host: str = "") -> str | None:
        """The subject of the user that the login calls `name`, if it has one.

        A subject that is too long, or looks like that of a token without a name, does not count.
        `claims` and `host` come from the login. Raises `NoRealm`.
        """
        realm = "".join(part.spelled(claims, host) for part in self._prefix.parts)
        if name is None:
            return None
        subject = name if self.is_alone else realm + _escaped(name)
        is_none = len(subject) > subjects.MAX_CHARACTERS or subjects.is_unnamed(subject)
        return None if is_none else subject

    def is_subject(
        self, subject: str, name: str, claims: Mapping[str, Any], host: str | None = None
    ) -> bool:
        """Whether the login gives `subject` to `name` at `host` (None: any host)."""
        try:
            host = self.host_in(subject) if host is None else host
            return self.subject(name, claims, host) == subject
        except NoRealm:
            return False

    def name_in(self, subject: str) -> str | None:
        """The name in a subject of this realm; None if it is of another."""
        if self.is_alone:
            return subject
        found = self._pattern.fullmatch(subject)
        return None if found is None else _unescaped(found["name"])

    @property
    def has_host(self) -> bool:
        """Whether people at two hosts are told apart."""
        return self._prefix.has_host

    def host_in(self, subject: str) -> str:
        """The host in a subject of this realm; "" if there is none."""
        if self.name_in(subject) is None or subjects.is_unnamed(subject):
            return ""
        for part, spelled in zip(self._prefix.parts, subject.split(":"), strict=False):
            if part.is_host:
                end = len(spelled) - len(part.after)
                return _unescaped(spelled[len(part.before) : end])
        return ""


def realms_of(prefixes: Mapping[str, SubjectPrefix | None]) -> dict[str, Realm]:
    """The realms of all logins, by the names that `prefixes` has."""
    is_alone = not any(prefix is not None and prefix.text for prefix in prefixes.values())
    return {login: Realm(prefix, is_alone=is_alone) for login, prefix in prefixes.items()}


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A")


def _unescaped(text: str) -> str:
    return text.replace("%3A", ":").replace("%25", "%")


def _is_beginning(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)

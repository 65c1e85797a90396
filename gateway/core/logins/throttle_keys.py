"""Throttle keys: the accounts that an attempt to log in may mean.

Failures are counted by them. Only a backend knows what it reads of a request. So every text that
could be read as an account's name counts as one. If a part of the request could hold a name and
cannot be read, the attempt counts at `HIDDEN` as well: a client at one address gains nothing by
hiding a name, or by adding others. Over many addresses `HIDDEN` is not counted: if a backend calls
names otherwise than configured, all its users are `HIDDEN`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from gateway.core.http import media_types, multipart

HIDDEN = ""

# In bytes. Login forms are smaller, and other requests wait while a body is read.
_MAX_READ = 8192

# A login names one account, or one in two fields. With more, the account that is meant is hidden.
_MAX_ACCOUNTS = 4

# In other charsets, one name has many spellings.
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"})
_CHARSET = re.compile(r"charset\s*+=\s*+\"?([^\s\";]++)", re.IGNORECASE)

_FORMS = ("", media_types.FORM)
_GRAPHQL = "application/graphql"
_BYTE_ORDER_MARK = "\ufeff"

# Levels of JSON in texts of JSON or of a form, as for the variables of GraphQL.
_MAX_INSIDE = 2

# The last part of names such as `user[email]` and `user.email`.
_NAME_PARTS = re.compile(r"[^\[\].]++")

# An argument and a text or a number, as `email: "alice"` (GraphQL, October 2021, §2.6 and §2.9).
_ARGUMENT = re.compile(
    r'(?<![\w$])(\w++)[\s,]*+:[\s,]*+(?:"((?:[^"\\]++|\\.)*+)"|(-?[0-9][0-9.eE+-]*+))'
)
_COMMENT = re.compile(r"#[^\n]*+")
_BLOCK_STRING = '"""'

# Letters that some databases take for the plain ones, and that NFKD leaves as they are.
_STROKES = str.maketrans("łøđħŧı", "lodhti")


def of_request(
    names: Collection[str],
    *,
    query: str,
    content_type: str,
    content_encoding: str,
    authorization: str,
    body: bytes,
) -> Mapping[str, Collection[str]]:
    """The throttle keys of a request to log in, with the spellings of each.

    names: the names of members and fields that hold an account's name
    query: with its question mark
    content_type, content_encoding, authorization: the fields of these names, or ""

    A key is an account's name, folded (see `folded`), or `HIDDEN`.
    """
    found = _Found(frozenset(map(plain_name, names)))
    found.names += _in_basic(authorization)
    found.read_form(query[1:])
    if body and not _read_body(found, content_type, content_encoding, body):
        found.names.append(HIDDEN)
    spellings: dict[str, set[str]] = {}
    for name in found.names:
        spellings.setdefault(folded(name), set()).add(name)
    named = len(spellings.keys() - {HIDDEN})
    return spellings if 0 < named <= _MAX_ACCOUNTS else {HIDDEN: ()}


def other_texts(
    names: Collection[str], *, query: str, content_type: str, content_encoding: str, body: bytes
) -> list[tuple[str, str]] | None:
    """The texts and numbers of a request that name no account.

    They are given with the plain names of their fields. They are read as by `of_request`. None if
    the request cannot be read.
    """
    found = _Found(frozenset(map(plain_name, names)))
    found.read_form(query[1:])
    if body and not _read_body(found, content_type, content_encoding, body):
        return None
    return found.others


def folded(name: str) -> str:
    """An account's name without differences that some backends ignore.

    They ignore case, accents, width and invisible characters; a domain before a backslash; and in a
    mail address the dots, and everything from a plus on.
    """
    shown = name.partition("\0")[0]  # in C, a text ends there
    # By character: sorting a row of accents takes quadratic time.
    parts = "".join(unicodedata.normalize("NFKD", character) for character in shown).casefold()
    plain = "".join(
        character
        for character in parts.translate(_STROKES)
        if character.isprintable()
        and not character.isspace()
        and not unicodedata.combining(character)
    )
    user = plain.rpartition("\\")[2]
    local, at, domain = user.rpartition("@")
    return local.partition("+")[0].replace(".", "") + at + domain.rstrip(".") if local else user


def _in_basic(authorization: str) -> Iterator[str]:
    """The user name in Basic authentication (RFC 7617 §2)."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(credentials).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield text.partition(":")[0]


def _read_body(found: _Found, content_type: str, content_encoding: str, body: bytes) -> bool:
    """Look for names in each way of reading, whatever the body claims to be.

    Returns whether no backend can have found other names.
    """
    charsets = {charset.lower() for charset in _CHARSET.findall(content_type)}
    is_coded = content_encoding.strip().lower() not in ("", "identity")
    if len(body) > _MAX_READ or is_coded or not charsets <= _CHARSETS:
        return False
    kind = media_types.essence(content_type)
    text = body.decode("utf-8", "replace")
    is_form = found.read_form(text) and kind in _FORMS
    is_in_parts = kind.startswith("multipart/") and found.read_parts(content_type, body)
    is_json = found.read_json(body.decode(json.detect_encoding(body), "replace"))
    is_graphql = kind == _GRAPHQL and found.read_graphql(text)
    return is_form or is_in_parts or is_json or is_graphql


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object that has been read."""

    names_account: bool


class _Found:
    """The names of accounts in a request, as typed, and its other texts.

    Each method that reads returns whether the text is of its format.
    """

    def __init__(self, wanted: frozenset[str]) -> None:
        """`wanted`: the plain names of fields that hold an account's name."""
        self.names: list[str] = []
        self.others: list[tuple[str, str]] = []  # plain names, with texts and numbers
        self._wanted = wanted

    def read_form(self, text: str) -> bool:
        """A form or a query. Some backends separate fields by `;` as well."""
        pairs = parse_qsl(text, errors="replace")
        if ";" in text:
            pairs += parse_qsl(text.replace(";", "&"), errors="replace")
        for name, value in pairs:
            self._member(name, value, 0)
        return bool(pairs)

    def read_parts(self, content_type: str, body: bytes) -> bool:
        """A form in parts (RFC 7578 §4.2)."""
        pairs = list(multipart.fields(content_type, body))
        for name, value in pairs:
            self._member(name, value, 0)
        return bool(pairs)

    def read_json(self, text: str, inside: int = 0) -> bool:
        """JSON (RFC 8259). All members of one name count."""

        def read(members: list[tuple[str, Any]]) -> _Object:
            named = [self._member(*member, inside) for member in members]
            return _Object(any(named))

        try:
            json.loads(text.removeprefix(_BYTE_ORDER_MARK), object_pairs_hook=read)
        except (ValueError, RecursionError):
            return False
        return True

    def read_graphql(self, text: str) -> bool:
        """The arguments in a GraphQL document."""
        for read in {text, _COMMENT.sub("", text)}:
            for name, string, number in _ARGUMENT.findall(read):
                called = plain_name(name)
                if called in self._wanted:
                    self.names.append(_unescaped(string))
                else:
                    self.others.append((called, number or _unescaped(string)))
        return _BLOCK_STRING not in text

    def _member(self, name: str, value: Any, inside: int) -> bool:
        """Read a member; return whether it names an account.

        A value that is no text hides the name, unless it is an object that names an account itself.
        The members of an object are read before it.
        """
        called, names_account = plain_name(name), False
        is_wanted = called in self._wanted
        values = [value]
        while values:
            one = values.pop()
            if isinstance(one, list):
                values += one
            elif isinstance(one, str):
                self._document(name, one, inside + 1)
                if not is_wanted:
                    self.others.append((called, one))
                elif folded(one):
                    self.names.append(one)
                    names_account = True
            elif isinstance(one, _Object) and one.names_account:
                names_account = True
            elif is_wanted and one is not None:
                self.names.append(HIDDEN)
            elif isinstance(one, int | float) and not isinstance(one, bool):
                self.others.append((called, str(one)))
        return names_account

    def _document(self, name: str, text: str, inside: int) -> None:
        """Read a text that is itself a document."""
        if inside <= _MAX_INSIDE and text.lstrip().startswith(("{", "[")):
            self.read_json(text, inside)
        if name == "query" and not self.read_graphql(text):
            self.names.append(HIDDEN)


def plain_name(name: str) -> str:
    """The last part of a name, for comparison: `user_name` is `UserName`."""
    parts = _NAME_PARTS.findall(name.casefold())
    return "".join(filter(str.isalnum, parts[-1])) if parts else ""


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        return string

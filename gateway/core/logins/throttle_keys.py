"""Whose login a client attempts, and from where: what failed logins are counted by.

Only a backend knows what it reads of a request. So whatever could be read as an account's name
counts as one, and an attempt of which some part could hold a name and cannot be read is an attempt
at `HIDDEN` as well: hiding a name, or putting others beside it, gains a guesser at one address
nothing. Over many addresses `HIDDEN` is not counted, for it may be all users where a backend calls
names by another name than is configured.
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

# Reading takes time that others wait for; no login form is larger than this, in bytes.
_MAX_READ = 8192

# A login names one account, or one in two fields. Who names more hides which one is meant.
_MAX_ACCOUNTS = 4

# In other charsets a name can be spelled in many ways that backends read alike.
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"})
_CHARSET = re.compile(r"charset\s*+=\s*+\"?([^\s\";]++)", re.IGNORECASE)

_FORMS = ("", media_types.FORM)
_GRAPHQL = "application/graphql"
_BYTE_ORDER_MARK = "\ufeff"

# How deep JSON may stand in texts of JSON or of a form, as the variables of GraphQL do in some.
_MAX_INSIDE = 2

# The last part of names such as `user[email]` and `user.email`.
_NAME_PARTS = re.compile(r"[^\[\].]++")

# An argument and a text or a number, as `email: "alice"` (GraphQL, October 2021, §2.6 and §2.9).
_ARGUMENT = re.compile(
    r'(?<![\w$])(\w++)[\s,]*+:[\s,]*+(?:"((?:[^"\\]++|\\.)*+)"|-?[0-9][0-9.eE+-]*+)'
)
_COMMENT = re.compile(r"#[^\n]*+")
_BLOCK_STRING = '"""'

# Letters that some databases take for the plain ones, and that Unicode does not take apart.
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
    """The accounts that a request to log in may mean, folded, and the spellings of each.

    `names` are what members and fields are called that name accounts. `query` has its question
    mark; the other texts are the fields of these names, or empty.
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
    """The texts and numbers in a request that name no account, with the plain names of their
    members and fields, as `of_request` reads them; None if it cannot be read.
    """
    found = _Found(frozenset(map(plain_name, names)))
    found.read_form(query[1:])
    if body and not _read_body(found, content_type, content_encoding, body):
        return None
    return found.others


def folded(name: str) -> str:
    """An account's name without what some backend may not tell apart.

    That is case, accents, width, and what cannot be seen; a domain before a backslash; and, in a
    mail address, what providers ignore: dots, and all from a plus on.
    """
    shown = name.partition("\0")[0]  # where a text ends in C
    # Character by character: putting a row of accents in order takes time with its square.
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
    """RFC 7617 §2."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(credentials).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield text.partition(":")[0]


def _read_body(found: _Found, content_type: str, content_encoding: str, body: bytes) -> bool:
    """Looks for names by each way of reading, whatever the body claims to be. Returns whether no
    backend can have found others.
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
    """An object of JSON that has been read."""

    names_account: bool


class _Found:
    """What a request holds, and the names of accounts as they were typed.

    Each way to read returns whether it can read.
    """

    def __init__(self, wanted: frozenset[str]) -> None:
        """`wanted` are the plain names of members and fields that name accounts."""
        self.names: list[str] = []
        self.others: list[tuple[str, str]] = []  # texts and numbers with their plain names
        self._wanted = wanted

    def read_form(self, text: str) -> bool:
        """A form or a query. Some backends part fields by `;` as well."""
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
        """JSON (RFC 8259). Of members with the same name, each counts."""

        def read(members: list[tuple[str, Any]]) -> _Object:
            named = [self._member(*member, inside) for member in members]
            return _Object(any(named))

        try:
            json.loads(text.removeprefix(_BYTE_ORDER_MARK), object_pairs_hook=read)
        except (ValueError, RecursionError):
            return False
        return True

    def read_graphql(self, text: str) -> bool:
        """The arguments in a document of GraphQL."""
        for read in {text, _COMMENT.sub("", text)}:
            for name, string in _ARGUMENT.findall(read):
                if plain_name(name) in self._wanted:
                    self.names.append(_unescaped(string))
        return _BLOCK_STRING not in text

    def _member(self, name: str, value: Any, inside: int) -> bool:
        """Returns whether an account is named. What is no text in the place of a name hides one,
        but for an object that names one itself; its members have been read before it.
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
        """A text that is a document itself."""
        if inside <= _MAX_INSIDE and text.lstrip().startswith(("{", "[")):
            self.read_json(text, inside)
        if name == "query" and not self.read_graphql(text):
            self.names.append(HIDDEN)


def plain_name(name: str) -> str:
    """The last part of a member's name, as it is compared: `user_name` and `UserName` are one."""
    parts = _NAME_PARTS.findall(name.casefold())
    return "".join(filter(str.isalnum, parts[-1])) if parts else ""


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        return string

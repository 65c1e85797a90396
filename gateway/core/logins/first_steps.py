"""Logins in two steps: what the first one hands out, and what names it in the second.

Where a code is asked for after the password, the reply to the password hands out something by which
the next request is known to continue this login: a temporary token, or a cookie. That request often
names no account.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gateway.core.json_text import NotJson, pointed
from gateway.core.logins import denials
from gateway.core.logins.password_fields import is_password
from gateway.core.logins.replies import IsEcho, Reply, UnreadableReply, names
from gateway.core.logins.throttle_keys import plain_name
from gateway.core.logins.token_places import JsonPointer

# What a member is called by which a reply says that there is another step.
_ANOTHER_STEP = re.compile(
    r"mfa|[2t]fa|otp|factor|challenge|step|verif|pending|authenticator|coderequired|requirescode"
)

# What a temporary token is called, whatever it is; by other names a value must look like one.
_TOKEN = re.compile(
    r"(?:mfa|[2t]fa|otp|factor|challenge|step|pending|temp|partial|preauth|interim|ticket|transaction"
    r"|flow|logintoken|loginsession).*(?<!code)(?<!otp)(?<!pin)\Z"
)
_MIN_TOKEN = 16

# A code by its name, and one by its looks: most have six digits.
_CODE_NAME = re.compile(r"(?:code|otp|pin|mfa|[2t]fa|token)\Z")
_MAX_CODE = 16
_DIGITS = re.compile(r"[0-9]{4,8}")

# More than one, for a request may hold some that continue nothing; but no client names many.
_MAX_NAMED = 4

# A reply hands out a few.
_MAX_HANDED_OUT = 16

_Texts = Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Step:
    """Which step of a login a request may be."""

    is_first: bool  # it holds a password and no code
    continues: Collection[str]  # what a first step may have handed out
    tokens: Collection[str]  # those of them that are called temporary tokens; none if it is unclear


# Of a request that cannot be read.
NO_STEP = Step(is_first=False, continues=(), tokens=())


def step(texts: _Texts, fields: _Texts) -> Step:
    """`texts` are those of the request but for the names of accounts (see `accounts.other_texts`),
    `fields` are its header fields.
    """
    others = [(name, value) for name, value in texts if not is_password(name)]
    has_password = any(value for name, value in texts if is_password(name))
    is_first = has_password and not any(_is_code(name, value) for name, value in others)
    sent = [
        (name, value) for name, value in (*others, *_in_fields(fields)) if _is_token(name, value)
    ]
    named = {value for name, value in sent if _TOKEN.search(name)}
    is_clear = not has_password and len(named) <= _MAX_NAMED
    return Step(is_first, {value for _, value in sent}, named if is_clear else set())


def says_another(reply: Reply, failed: JsonPointer) -> bool:
    """Whether a reply without a token says that another step follows: by what `failed` points at,
    if that is called so.
    """
    try:
        return _is_called_so(failed) and denials.says_no(reply, failed)
    except UnreadableReply:
        return False


def is_clients_word(failed: JsonPointer, is_echo: IsEcho) -> bool:
    """Whether the client has chosen the name at which a reply says so, as it can in GraphQL: there,
    one field can be called like another.
    """
    return is_echo(pointed(failed.pointer)[-1])


def handed_out(reply: Reply, is_echo: IsEcho) -> list[str]:
    """What the reply to a first step gives that may name it in the second."""
    found = (value for name, value in _in_reply(reply) if _is_token(name, value))
    tokens = [value for value in dict.fromkeys(found) if not is_echo(value)]
    return tokens[:_MAX_HANDED_OUT]


def _is_called_so(failed: JsonPointer) -> bool:
    path = pointed(failed.pointer)
    return bool(path) and _ANOTHER_STEP.search(plain_name(path[-1])) is not None


def _in_reply(reply: Reply) -> Iterator[tuple[str, str]]:
    try:
        for member in reply.members():
            yield plain_name(member.name), member.value
    except (NotJson, UnreadableReply):
        pass
    for line in reply.fields:
        cookie = names(line)[1]
        if cookie:
            yield plain_name(cookie), line[1].partition("=")[2].partition(";")[0].strip(' "')


def _in_fields(fields: _Texts) -> Iterator[tuple[str, str]]:
    """What continues a login outside of the body."""
    for name, value in fields:
        match name.lower():
            case "cookie":
                for pair in value.split(";"):
                    cookie, _, content = pair.partition("=")
                    yield plain_name(cookie), content.strip(' "')
            case "authorization":
                yield "authorization", value.partition(" ")[2].strip()
            case _ if _TOKEN.search(plain_name(name)):
                yield plain_name(name), value


def _is_token(name: str, value: str) -> bool:
    """Whether this may be a temporary token: no digits alone, for these are a code."""
    if not any(map(str.isalpha, value)) or any(map(str.isspace, value)):
        return False
    looks_like_one = len(value) >= _MIN_TOKEN and any(map(str.isdigit, value))
    return looks_like_one or _TOKEN.search(name) is not None


def _is_code(name: str, value: str) -> bool:
    is_called_one = _CODE_NAME.search(name) and 0 < len(value) <= _MAX_CODE
    return bool(is_called_one or _DIGITS.fullmatch(value.strip()))

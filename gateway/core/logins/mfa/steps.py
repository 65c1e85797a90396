"""Steps of a login: texts of the first one that the second one brings.

Where a code follows the password, the reply to the password hands out something that the next
request sends back to continue this login: a temporary token, or a cookie. That request often names
no account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.core.json_text import NotJson, pointed
from gateway.core.logins.mfa import words
from gateway.core.logins.password_fields import is_password
from gateway.core.logins.replies import IsEcho, Reply, UnreadableReply, field_and_cookie
from gateway.core.logins.throttle_keys import plain_name
from gateway.core.logins.token_places import JsonPointer

# Temporary tokens in a request: the one that continues the login, and some that continue nothing.
_MAX_NAMED = 4

# Texts that are remembered of a reply; ordinary ones hand out a few.
_MAX_HANDED_OUT = 16

_Texts = Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a login that a request may be."""

    is_first: bool  # it holds a password and no code
    is_name: bool  # it holds an account's name, at most, so it cannot be a guess
    has_code: bool  # it holds what is called a code, or cannot be read
    continues: Collection[str]  # what a first step may have handed out
    tokens: Collection[str]  # those with the name of a temporary token; none if unclear


# For a request that tries neither a password nor a code.
NOTHING_TRIED = Step(is_first=False, is_name=False, has_code=False, continues=(), tokens=())

# For a request that cannot be read.
NO_STEP = Step(is_first=False, is_name=False, has_code=True, continues=(), tokens=())


def read(texts: _Texts, fields: _Texts, segments: _Texts = ()) -> Step:
    """Read which step of a login a request may be.

    texts: the texts in it that name no account (see `throttle_keys.other_texts`)
    fields: its header fields
    segments: those of its path that the client fills in; a temporary token may stand in each
    """
    others = [(name, value) for name, value in texts if not is_password(name)]
    has_password = any(value for name, value in texts if is_password(name))
    has_code = any(words.is_code(name, value) for name, value in others) or _has_code(fields)
    sent = [
        (name, value)
        for name, value in (*others, *_in_fields(fields))
        if words.is_token(name, value)
    ]
    in_path = {unquote(value) for _, value in segments if not words.is_code("", unquote(value))}
    named = {value for name, value in sent if words.names_token(name)} | in_path
    is_clear = not has_password and len(named) <= _MAX_NAMED
    return Step(
        is_first=has_password and not has_code,
        is_name=not (texts or segments or has_code),
        has_code=any(words.is_called_code(*text) for text in others) or _has_code(fields),
        continues={value for _, value in sent} | in_path,
        tokens=named if is_clear else set(),
    )


def is_named_by_client(failed: JsonPointer, is_echo: IsEcho) -> bool:
    """Whether the client may have chosen the name that announces a step.

    In GraphQL, a client can give one field the name of another.
    """
    return is_echo(pointed(failed.pointer)[-1])


def handed_out(reply: Reply, is_echo: IsEcho) -> list[str]:
    """The texts in the reply to a first step that may name it in the second."""
    found = (value for name, value in _in_reply(reply) if words.is_token(name, value))
    tokens = [value for value in dict.fromkeys(found) if not is_echo(value)]
    return tokens[:_MAX_HANDED_OUT]


def _in_reply(reply: Reply) -> Iterator[tuple[str, str]]:
    try:
        for member in reply.members():
            yield plain_name(member.name), member.value
    except (NotJson, UnreadableReply):
        pass
    for line in reply.fields:
        cookie = field_and_cookie(line)[1]
        if cookie:
            yield plain_name(cookie), line[1].partition("=")[2].partition(";")[0].strip(' "')


def _has_code(fields: _Texts) -> bool:
    """Whether a header field may hold a code, as GitHub's `X-GitHub-OTP` did."""
    return any(words.is_called_code(plain_name(name), value) for name, value in fields)


def _in_fields(fields: _Texts) -> Iterator[tuple[str, str]]:
    """The texts in header fields that may continue a login."""
    for name, value in fields:
        match name.lower():
            case "cookie":
                for pair in value.split(";"):
                    cookie, _, content = pair.partition("=")
                    yield plain_name(cookie), content.strip(' "')
            case "authorization":
                yield "authorization", value.partition(" ")[2].strip()
            case _ if words.names_token(plain_name(name)):
                yield plain_name(name), value

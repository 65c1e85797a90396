"""Lifetimes in a reply, which tell clients how long their session lasts.

A frontend that refreshes by a timer reads `expires_in`, or another name of that kind, beside the
token. Where the gateway renews tokens, the token's life means nothing to it. Each value keeps its
unit and its notation: seconds or milliseconds, from now or since 1970, a date, or a text of digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate

from gateway.core.json_text import Container, NotJson, String
from gateway.core.logins.replies import Reply, field_and_cookie
from gateway.core.sessions.session import Session

# Names of lifetimes, without case and joints: of the token, of the refresh token, or of both.
_NAME = re.compile(
    r"(?:access|refresh|auth|bearer|id|session)?(?:token|jwt|key)?"
    r"(?:expires?|expiry|expiration|exp|lifetime|ttl|maxage)(?:in|at|on)?"
    r"(?:date|datetime|time|timestamp|seconds|sec|s|ms|millis|milliseconds|minutes)?"
)
_JOINTS = re.compile(r"[-_. ]+")
_MILLISECONDS = re.compile(r"(?:ms|millis|milliseconds)$")
_MINUTES = re.compile(r"minutes$")

# The value of a member, behind its name.
_VALUE = re.compile(r'\s*:\s*(?:(?P<number>-?[0-9]+(?:\.[0-9]+)?)(?![0-9.eE])|"(?P<text>[^"\\]*)")')
_DIGITS = re.compile(r"[0-9]{1,15}")
_FRACTION = re.compile(r"\.([0-9]+)")

# A greater number is a moment and no duration: 2001 in seconds, 1973 in milliseconds.
_MIN_MOMENT = 1_000_000_000
_MIN_MOMENT_MS = 100_000_000_000

# By how much a lifetime may differ from what is left of the token's life, which tells its unit.
_TOLERANCE = 0.05

_MAX_AGE, _EXPIRES = "max-age", "expires"


@dataclass(frozen=True, slots=True)
class RemainingLife:
    """How long a session lasts, and its token (UNIX seconds)."""

    now: float
    ends_at: float
    token_expires_at: float

    @property
    def seconds(self) -> int:
        """The rest of the session's life (seconds)."""
        return max(0, int(self.ends_at - self.now))


def of(session: Session, now: float) -> RemainingLife | None:
    """The life of a session; None if it ends with its token, as replies say."""
    if math.isinf(session.renew_at) and session.ends_at >= session.expires_at:
        return None
    return RemainingLife(now, session.ends_at, session.expires_at)


def told(reply: Reply, secrets: Collection[str], life: RemainingLife) -> Reply:
    """The reply with the session's life in place of its token's.

    secrets: the token and the refresh token in it. Lifetimes stand in the objects that hold them,
        in those around these, or in the attributes of their cookies.

    Raises `UnreadableReply`.
    """
    fields = tuple(
        (name, _cookie(value, life))
        if field_and_cookie((name, value))[1] and any(secret in value for secret in secrets)
        else (name, value)
        for name, value in reply.fields
    )
    return replace(reply, fields=fields, body=_body(reply, secrets, life))


def _body(reply: Reply, secrets: Collection[str], life: RemainingLife) -> bytes:
    text, encoding = reply.text()
    try:
        strings = reply.strings()
    except NotJson:
        return reply.body
    parts, at = [], 0
    for start, end, value in _edits(text, strings, secrets, life):
        parts += [text[at:start], value]
        at = end
    return "".join([*parts, text[at:]]).encode(encoding) if parts else reply.body


def _edits(
    text: str, strings: list[String], secrets: Collection[str], life: RemainingLife
) -> Iterator[tuple[int, int, str]]:
    """The values to replace: their start, their end and the new text."""
    around = set(_around(strings, secrets))
    for string in strings:
        if not string.is_name or string.container is None:
            continue
        name = _JOINTS.sub("", string.value.lower())
        is_beside = string.container in around or string.container.depth == 0
        if not is_beside or not _NAME.fullmatch(name):
            continue
        found = _VALUE.match(text, string.end)
        if found is None:
            continue
        group = "number" if found["number"] else "text"
        value = _value(name, found[group], life)
        if value is not None:
            yield *found.span(group), value


def _around(strings: list[String], secrets: Collection[str]) -> Iterator[Container]:
    """The objects that hold a secret, and those around them."""
    for string in strings:
        container = string.container if string.value in secrets else None
        while container is not None:
            yield container
            container = container.above


def _value(name: str, text: str, life: RemainingLife) -> str | None:
    """The session's life in a value's unit and notation; None: no lifetime."""
    if _DIGITS.fullmatch(text.partition(".")[0]):
        return _number(name, float(text), life)
    return _date(text, life)


def _number(name: str, value: float, life: RemainingLife) -> str | None:
    if value <= 0:
        return None
    if value >= _MIN_MOMENT_MS:
        return str(int(life.ends_at * 1000))
    if value >= _MIN_MOMENT:
        return str(int(life.ends_at))
    return str(int(life.seconds / _unit(name, value, life)))


def _unit(name: str, value: float, life: RemainingLife) -> float:
    """The unit of a duration, in seconds.

    Its name tells it, or what is left of the token's life; else it is in seconds (RFC 6749 §5.1).
    """
    if _MILLISECONDS.search(name):
        return 0.001
    if _MINUTES.search(name):
        return 60
    left = life.token_expires_at - life.now
    for unit in (1, 0.001, 60):
        if abs(value * unit - left) <= _TOLERANCE * left:
            return unit
    return 1


def _date(text: str, life: RemainingLife) -> str | None:
    """The session's end as an ISO 8601 date like `text`."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= len("2026-01-01"):
        return None
    fraction = _FRACTION.search(text)
    digits = 0 if fraction is None else len(fraction[1])
    ends = datetime.fromtimestamp(life.ends_at, date.tzinfo or UTC).replace(tzinfo=date.tzinfo)
    spec = "seconds" if not digits else "milliseconds" if digits <= 3 else "microseconds"
    written = ends.isoformat("T" if "T" in text else " ", spec)
    return re.sub(r"\+00:00$", "Z", written) if text.endswith("Z") else written


def _cookie(value: str, life: RemainingLife) -> str:
    """A Set-Cookie value whose cookie lasts as long as the session.

    One that ends with the browser still does.
    """
    pair, *attributes = value.split(";")
    return ";".join([pair, *(_attribute(text, life) for text in attributes)])


def _attribute(text: str, life: RemainingLife) -> str:
    name = text.partition("=")[0].strip().lower()
    if name == _MAX_AGE:
        return f" Max-Age={life.seconds}"
    if name == _EXPIRES:
        return f" Expires={formatdate(life.ends_at, usegmt=True)}"
    return text

"""The report of `gateway try login`, without keys, tokens or secrets."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gateway.cli.try_login import BackendCall, Trial
from gateway.config.requirements import claims_condition, condition
from gateway.config.token_places import token_sending
from gateway.core import json_text
from gateway.core.json_text import NotJson, String
from gateway.core.logins import opaque_tokens, reply_tokens, token_hints
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie, nothing_sent
from gateway.core.logins.reply_tokens import Found, InBody, NoToken
from gateway.core.logins.token_sending import BEARER, as_it_came, put
from gateway.core.sessions import keys, subjects
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.core.sessions.refresh_keys import REFRESH_KEY_PATTERN
from gateway.core.sessions.session import Session
from gateway.core.timestamps import rfc3339
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions

# Members of a reply whose texts are secrets, or may be.
_SECRET_NAME = re.compile(r"token|secret|passw|csrf|otp|refresh|session|api_?key", re.IGNORECASE)

_MAX_BODY_CHARACTERS = 4000


def report(config: Config, section: LoginSection, trial: Trial) -> Iterator[str]:
    """Yield the lines of the report."""
    for call in trial.calls:
        yield _row("backend", f"{call.method} {call.upstream} {_path(call)} -> {call.reply.status}")
    for message in trial.messages:
        yield _row("log", _cut(message))
    if trial.issued is None:
        yield _row("session", "none: the login was refused, or the reply holds no usable token")
        yield from _places_of_jwts(trial)
    else:
        yield from _session(config, section, trial, trial.issued.session)
        yield from _routes(config, trial.issued.session)
    yield ""
    if trial.reply is not None:
        yield from _reply(trial.reply)


def _session(
    config: Config, section: LoginSection, trial: Trial, session: Session
) -> Iterator[str]:
    yield _row("token", _token(section, trial, session))
    if subjects.is_unnamed(session.subject):
        yield _row("subject", f"unknown: the token has none of {', '.join(section.subject_claims)}")
    else:
        yield _row("subject", session.subject)
    yield _row("claims", ", ".join(session.claims) or "none")
    yield _row("expiry", _time(session.expires_at, "the token has none"))
    if session.refresh:
        yield _row("renewal", f"from {_time(session.renew_at, 'never')}")
    else:
        yield _row("renewal", "none: the session ends with its token")
    idle = config.session.idle_timeout
    yield _row(
        "session", f"ends {_time(session.ends_at, 'never')}, or {idle:g} s after its last use"
    )


def _token(section: LoginSection, trial: Trial, session: Session) -> str:
    """Where the token was found, and who vouches for it."""
    token = session.token.raw.decode()
    place = next(filter(None, (_place(section, call.reply) for call in trial.calls)), None)
    origin = "minted by the gateway" if place is None else f"found at {place}"
    size = f"{len(token)} bytes"
    if place is None:
        return f"{origin}, {size}"
    if section.has_opaque_tokens:
        return f"{origin}, {size}, opaque"
    verified = "verified" if section.token_rules is not None else "not verified by the gateway"
    return f"{origin}, {size}, {verified}"


def _place(section: LoginSection, reply: Reply) -> str | None:
    place = section.token_place
    if place is None:
        return None
    try:
        if section.has_opaque_tokens:
            return _name_of(reply, opaque_tokens.find(reply, place, time.time()))
        return _name_of(reply, reply_tokens.find(reply, place, nothing_sent))
    except (NoToken, BadToken, UnreadableReply):
        return None


def _name_of(reply: Reply, found: Found) -> str:
    """The place of a token, as config.yaml spells it."""
    if isinstance(found, InBody):
        return "/" + "/".join(found.names) if found.names else "the whole body"
    name, cookie = field_and_cookie(reply.fields[found.index])
    return f"cookie:{cookie}" if cookie else f"header:{name}"


def _places_of_jwts(trial: Trial) -> Iterator[str]:
    """The places of JWTs in the backend's replies: one of these may be meant."""
    for call in trial.calls:
        if not call.reply.is_refusal:
            places = ", ".join(token_hints.places_of_jwts(call.reply))
            yield _row("JWTs", places or "none in the backend's reply")


def _routes(config: Config, session: Session) -> Iterator[str]:
    """What each route does for the session."""
    unsent: dict[str, str] = {}
    identity = IdentityHeaders(config.identity, unsent.__setitem__)(session).decode()
    for field, why in unsent.items():
        yield _row("identity", f"{field} is left out: {why}")
    fields = "; ".join(identity.split("\r\n")[:-1])
    for route in config.routes:
        if route.auth == "public" or route.upstream is None:
            continue
        unmet = ", ".join(_unmet(route, config, session))
        if unmet:
            yield _row("route", f"{route.path} -> 403: its claims are not met ({unmet})")
        else:
            line = _token_line(route, config, session)
            yield _row("route", f"{route.path} -> {route.upstream}: {line}; {fields}")


def _unmet(route: RouteOptions, config: Config, session: Session) -> Iterator[str]:
    """The claims that a session lacks for a route, and `require`."""
    for name, claim in route.claims.items():
        if not claims_condition({name: claim}).is_met(session):
            yield name
    required = route.require
    if required is not None and not condition(required, config.require_from).is_met(session):
        yield "require"


def _token_line(route: RouteOptions, config: Config, session: Session) -> str:
    """How the token goes upstream, for a request with the key in a cookie."""
    token = "<the token>" if route.token is None else "<a token of its own>"
    sending = token_sending(route, config) or as_it_came(session.sending) or BEARER
    request = put(sending, token.encode(), b"", [])
    shown = request.target or request.token_line.rstrip()
    return unquote(shown.decode())


def _reply(reply: Reply) -> Iterator[str]:
    """The reply that the frontend sees."""
    yield f"{reply.status} {reply.reason}".rstrip()
    for line in reply.fields:
        yield f"{line[0]}: {_field_value(line)}"
    yield ""
    text = _cut(_without_secrets(reply))
    yield text if len(text) <= _MAX_BODY_CHARACTERS else text[:_MAX_BODY_CHARACTERS] + "…"


def _field_value(line: tuple[str, str]) -> str:
    """The value of a field, or the cookie that it sets without its content."""
    _, cookie = field_and_cookie(line)
    if not cookie:
        return _cut(line[1])
    pair, semicolon, attributes = line[1].partition(";")
    return f"{cookie}={_short(pair)}{semicolon}{attributes}"


def _without_secrets(reply: Reply) -> str:
    """The body, with secrets in JSON members cut."""
    text, _ = reply.text()
    secrets = [
        (string, _short(string.value))
        for string in _strings(reply)
        if not string.is_name and string.value and _SECRET_NAME.search(str(string.name or ""))
    ]
    return json_text.replaced(text, secrets)


def _strings(reply: Reply) -> list[String]:
    try:
        return reply.strings()
    except (NotJson, UnreadableReply):
        return []


def _short(secret: str) -> str:
    return f"{keys.PREFIX}..." if keys.PREFIX in secret else "..."


def _cut(text: str) -> str:
    """The text without keys, refresh keys and JWTs."""
    text = jwt_text.replaced(text, lambda _token: "<JWT>")
    cut, short = text.encode(), f"{keys.PREFIX}...".encode()
    for pattern in (REFRESH_KEY_PATTERN, keys.KEY_PATTERN):
        cut = pattern.sub(short, cut)
    return cut.decode()


def _time(seconds: float, never: str) -> str:
    return never if math.isinf(seconds) else rfc3339(int(seconds))


def _path(call: BackendCall) -> str:
    """The path that was called; a query may hold a password."""
    path, mark, _ = call.target.partition("?")
    return path + "?…" if mark else path


def _row(label: str, text: str) -> str:
    return f"{label:<9}{text}"

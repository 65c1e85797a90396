"""Asking a backend, and reading its reply, for logins at a backend.

Large replies are read in a thread, beside the event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import path_shapes, refusals
from gateway.core.http.field_names import FORWARDING, FORWARDING_PREFIXES, HOSTS, fold
from gateway.core.logins import refresh_tokens, reply_lifetimes, reply_rewriting, reply_tokens
from gateway.core.logins.refresh_tokens import RefreshToken
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import Found
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import TokenPlace
from gateway.core.sessions.session import Session
from gateway.core.tokens.claims import BadToken
from gateway.logins import Attempt
from gateway.outbound.backends import BackendFailed, Backends

if TYPE_CHECKING:
    from gateway.config.login_sections import UpstreamLoginSection

_log = logging.getLogger("gateway.logins")


async def ask(backends: Backends, config: UpstreamLoginSection, attempt: Attempt) -> Reply:
    """Send the client's request to the backend, and return its reply.

    Raises `BackendFailed`.
    """
    return await backends.call(
        config.upstream,
        attempt.method,
        path_shapes.filled(config.backend_path, attempt.segments) + attempt.query,
        fields=_fields(config, attempt),
        body=attempt.body,
        timeout=config.timeout,
        max_reply=config.max_reply,
        address=attempt.address,
    )


def of_client(config: UpstreamLoginSection, attempt: Attempt) -> list[tuple[str, str]]:
    """The fields about the client: its address, and the host and the scheme.

    A backend may redirect what did not come over HTTPS, or choose the tenant by the host. Raises
    `BackendFailed`.
    """
    return [line for line in _fields(config, attempt) if _is_of_client(line[0])]


def _is_of_client(name: str) -> bool:
    folded = fold(name.encode("utf-8", "replace"))
    return folded == b"host" or folded in FORWARDING or folded.startswith(FORWARDING_PREFIXES)


def _fields(config: UpstreamLoginSection, attempt: Attempt) -> Iterable[tuple[str, str]]:
    prefix = config.subject_prefix
    has_host = prefix is not None and prefix.has_host
    return _for_one_host(attempt) if has_host else attempt.fields


def _for_one_host(attempt: Attempt) -> list[tuple[str, str]]:
    """The fields, with the realm's host in all that name one.

    By another host, a backend might let in a user of another tenant.

    Raises `BackendFailed` if the request names no plain host.
    """
    host = attempt.authority
    if not host:
        _log.error("login %s has no realm: the host is missing", attempt.request_id)
        raise BackendFailed(refusals.NO_REALM)
    kept = [
        line for line in attempt.fields if fold(line[0].encode("utf-8", "replace")) not in HOSTS
    ]
    return [*naming(host), *kept]


def naming(host: str) -> list[tuple[str, str]]:
    """The fields in which a backend may look for its tenant."""
    return [("Host", host), ("X-Forwarded-Host", host)]


async def find_token(
    reply: Reply, place: TokenPlace, sent: EchoDetector, *, is_verified: bool
) -> Found:
    """The token that a reply hands out.

    Unless its signature `is_verified`, its place must not be one that the client has named (as
    aliases of GraphQL do). Raises `NoToken`, `BadToken` and `UnreadableReply`.
    """
    is_long = reply.is_large or sent.is_large
    found = await off_loop(is_long, reply_tokens.find, reply, place, sent.is_echo)
    if not is_verified and await off_loop(
        sent.is_large, reply_tokens.is_named_by_client, found, sent.may_name
    ):
        raise BadToken("named_by_client")
    return found


async def find_refresh_token(
    reply: Reply, place: TokenPlace, sent: EchoDetector
) -> RefreshToken | None:
    """The refresh token that a reply hands out. Raises `UnreadableReply`."""
    is_long = reply.is_large or sent.is_large
    return await off_loop(is_long, refresh_tokens.find, reply, place, sent.is_echo)


async def swap(
    reply: Reply,
    found: Found,
    key: str,
    refresh: RefreshToken | None = None,
    refresh_key: str = "",
) -> Reply:
    """The reply with the key and a refresh key in place of its tokens.

    Raises `UnreadableReply`.
    """
    return await off_loop(
        reply.is_large, reply_rewriting.swap, reply, found, key, refresh, refresh_key
    )


async def tell_lifetime(reply: Reply, session: Session, secrets: Collection[str]) -> Reply:
    """The reply with the session's life in place of its token's.

    `secrets` are the tokens in it. Raises `UnreadableReply`.
    """
    life = reply_lifetimes.of(session, time.time())
    if life is None:
        return reply
    return await off_loop(reply.is_large, reply_lifetimes.told, reply, secrets, life)


async def scrub(reply: Reply) -> Reply:
    """The reply without any token. Raises `UnreadableReply`."""
    return await off_loop(reply.is_large, reply_rewriting.scrub, reply)

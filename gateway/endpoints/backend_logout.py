"""The backend's own logout, which a logout of the gateway calls."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.config.login_places import key_cookies
from gateway.config.token_places import upstream_sending
from gateway.core.http.field_names import fold
from gateway.core.logins import refresh_tokens
from gateway.core.logins.refresh_tokens import RefreshToken, Sending
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.sessions.session import Session
from gateway.endpoints.callers import with_token
from gateway.logins._asking import scrub
from gateway.outbound.backends import BackendFailed, Backends

if TYPE_CHECKING:
    from gateway.config.endpoint_sections import Logout
    from gateway.config.model import Config

_log = logging.getLogger("gateway.endpoints")

# The client's body is not for the backend, so neither are these fields.
_OF_THE_BODY = b"content-"

Fields = list[tuple[str, str]]


class BackendLogoutCaller:
    """Calls backends' logouts with the tokens of sessions that have ended."""

    def __init__(self, config: Config, backends: Backends) -> None:
        self._backends = backends
        self._sendings = {name: upstream_sending(name, config) for name in config.upstreams}
        self._own_cookies = key_cookies(config)
        # By the paths of logins: the upstreams that know their refresh tokens.
        self._issuers = {
            login.path: frozenset(asked.upstream for asked in login.backend_paths)
            for login in config.login
        }

    async def __call__(
        self, request: web.Request, config: Logout, session: Session | None
    ) -> Reply | None:
        """The backend's reply, without tokens. None if it is not called, or fails.

        The session has ended already, whatever the backend answers (wire-rules.md#E4).

        session: its refresh token is sent, if the logout sends one
        """
        if config.upstream is None or config.backend_path is None:
            return None
        sending = self._sendings[config.upstream]
        target, passed = with_token(request, config.backend_path, sending)
        fields, body = self._with_refresh_token(list(_without_body(passed)), config, session)
        try:
            reply = await self._backends.call(
                config.upstream,
                config.method,
                target,
                fields=fields,
                body=body,
                timeout=config.timeout,
                max_reply=config.max_reply,
                waits_for_restart=False,  # the client has waited for its own logout alone
            )
            shown = (await scrub(reply)).without_cookies(self._own_cookies)
        except BackendFailed as failed:
            _log.warning("the backend's logout failed: %s", failed.refusal.reason)
            return None
        except UnreadableReply:
            _log.warning("the reply of the backend's logout cannot be read")
            return None
        if reply.status >= 400:
            _log.warning("the backend's logout answered %d", reply.status)
        return shown

    def _with_refresh_token(
        self, passed: Fields, config: Logout, session: Session | None
    ) -> tuple[Fields, bytes]:
        """The fields and the body for the backend."""
        token = None if session is None else self._refresh_token(config, session)
        if token is None:
            return passed, b""
        way = config.send_refresh_token
        sending = way if isinstance(way, Sending) else None
        added, body = refresh_tokens.request(token, sending, config.body)
        return _joined(passed, added), body

    def _refresh_token(self, config: Logout, session: Session) -> RefreshToken | None:
        """The session's refresh token, for an upstream of its own login alone."""
        issuers = self._issuers.get(session.login, ())
        if config.send_refresh_token is None or config.upstream not in issuers:
            return None
        with suppress(ValueError):  # another kind of login had this path
            return refresh_tokens.load(session.refresh)
        return None


def _without_body(fields: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The fields, but for those about the client's body."""
    for name, value in fields:
        if not fold(name.encode("utf-8", "surrogateescape")).startswith(_OF_THE_BODY):
            yield name, value


def _joined(passed: Fields, added: Fields) -> Fields:
    """Fields with others that replace those of their names. Cookies join."""
    cookies = [value for name, value in passed if name.lower() == "cookie"]
    new = {name.lower() for name, _ in added}
    kept = [line for line in passed if line[0].lower() not in new]
    return kept + [
        (name, "; ".join([*cookies, value])) if name.lower() == "cookie" else (name, value)
        for name, value in added
    ]

"""`kind: users`: a login with a name and a password of a users file.

The gateway mints the token. A wrong name takes as long as a wrong password, and gets the same
answer. Threads verify passwords, a few at a time, so a flood of logins delays nothing else; and a
flood from one address, or at one account, does not keep others from logging in.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.concurrency.fair_queue import FairQueue, NoRoom
from gateway.config import users_file
from gateway.config.users_file import BrokenFile, NotChanged
from gateway.core.http import networks, refusals, return_paths
from gateway.core.logins import login_form, passwords, throttle_keys
from gateway.core.logins.login_form import BadLoginForm, LoginForm
from gateway.core.logins.replies import Reply
from gateway.core.logins.users import User, folded
from gateway.core.sessions.session import Session
from gateway.logins import Attempt, LoggedIn, Login, LoginServices
from gateway.logins._events import reporting_failures
from gateway.logins._minting import SessionMinter, response_fields, with_key
from gateway.logins._users_file import UsersFile
from gateway.outbound.backends import BackendFailed
from gateway.store.issuer import Issued
from gateway.store.renewals import RenewalFailed, RenewalRefused
from gateway.store.token_updates import Renewed

if TYPE_CHECKING:
    from gateway.config.logins.users import UsersSection

_log = logging.getLogger("gateway.logins")

# Passwords that a worker verifies at a time. Each takes 64 MiB, and up to four cores.
_MAX_VERIFYING = 2

# Logins that wait for that. Each takes a tenth of a second, so the last one waits some seconds.
_MAX_WAITING = 50

# Of all these, those of one address, and those for one account.
_MAX_OF_ONE_CLIENT = 8


class UsersLogin(Login):
    """One configured login of this kind."""

    def __init__(self, config: UsersSection, services: LoginServices) -> None:
        self._sessions = services.sessions
        self._minter = SessionMinter(config.path, services)
        self._return_origins = services.return_origins
        self._file = UsersFile(config.file)
        self.renewal = UsersRenewal(self._file, self._minter)
        self._queue = FairQueue(
            at_once=_MAX_VERIFYING, waiting=_MAX_WAITING, share=_MAX_OF_ONE_CLIENT
        )

    async def __call__(self, attempt: Attempt) -> Reply:
        """The reply for the client. Raises `BackendFailed` and `StoreUnavailable`."""
        if attempt.method == "OPTIONS":
            return Reply(204, (("Allow", "POST"),), b"")
        with reporting_failures(self._sessions, attempt):
            return await self._log_in(attempt)

    def name_in(self, attempt: Attempt) -> str:
        try:
            return _read_form(attempt).name
        except BadLoginForm:
            return ""

    async def _log_in(self, attempt: Attempt) -> Reply:
        try:
            given = _read_form(attempt)
            async with self._queue.take(_clients(attempt, given)):
                user = await asyncio.to_thread(self._verify, given)
        except NoRoom as full:
            refusal = refusals.TOO_MANY_AT_ONCE if full.of_client else refusals.BUSY
            raise BackendFailed(refusal) from None
        except BadLoginForm:
            raise BackendFailed(refusals.BAD_LOGIN) from None
        except BrokenFile:
            raise BackendFailed(refusals.NO_USERS) from None
        if user is None:
            raise BackendFailed(refusals.WRONG_LOGIN)
        issued = await self._minter.issue(attempt, user.name, user.claims)
        key = self._sessions.key_texts.of(issued.key, issued.session)
        return _reply(attempt, given, issued, key, self._return_origins)

    def _verify(self, given: LoginForm) -> User | None:
        """The user of this name and password; None if they are wrong.

        It is slow, so it runs in a thread.
        """
        user = self._file.users().get(folded(given.name))
        kept = passwords.UNUSED_HASH if user is None else user.hash
        if not passwords.is_right(given.password, kept) or user is None:
            return None
        if not passwords.is_current(kept):
            self._rehash(user, given.password)
        return user

    def _rehash(self, user: User, password: str) -> None:
        """Hash the password anew by today's parameters."""
        fresh = passwords.hashed(password, os.urandom(passwords.SALT_BYTES))
        try:
            users_file.change_hash(self._file.path, user.name, fresh, old=user.hash)
        except (BrokenFile, NotChanged, OSError) as error:
            _log.warning("a password's hash cannot be renewed: %s", type(error).__name__)


class UsersRenewal:
    """Mint a session's next token with the claims of the present users file."""

    def __init__(self, file: UsersFile, minter: SessionMinter) -> None:
        self._file = file
        self._minter = minter

    async def __call__(self, session: Session) -> Renewed:
        """Raises `RenewalRefused` for a removed user, and `RenewalFailed`."""
        realm = self._minter.realm
        try:
            users = await asyncio.to_thread(self._file.users)
        except BrokenFile:
            raise RenewalFailed from None
        user = users.get(realm.name_in(session.subject) or "")
        if user is None or not realm.is_subject(session.subject, user.name, user.claims):
            raise RenewalRefused
        return self._minter.renewed(session, user.claims)


def _read_form(attempt: Attempt) -> LoginForm:
    return login_form.read(attempt.field("content-type"), attempt.body)


def _clients(attempt: Attempt, given: LoginForm) -> list[str]:
    """The clients whose share of the queue an attempt takes, if any."""
    home = networks.network(attempt.address)
    client = networks.site(home) or home
    return [f"address {client}", f"account {throttle_keys.folded(given.name)}"] if home else []


def _reply(
    attempt: Attempt, given: LoginForm, issued: Issued, key: str, return_origins: Collection[str]
) -> Reply:
    """Hand out the key: as `key` in JSON, or for a form in a cookie.

    return_origins: the other sites to which the redirect may lead
    """
    cookie = attempt.cookie
    if cookie is None:
        body = with_key(response_fields(issued), "/token", key)
        return LoggedIn.of(Reply(200, (("Content-Type", "application/json"),), body))
    setting = ("Set-Cookie", cookie.setting(issued.key.reveal(), issued.cookie_seconds))
    if given.others is None:
        return LoggedIn.of(Reply(204, (), b""), setting)
    back = given.others.get("return_to") or dict(parse_qsl(attempt.query[1:])).get("return_to", "/")
    return LoggedIn.of(
        Reply(303, (("Location", return_paths.safe(back, return_origins)),), b""), setting
    )

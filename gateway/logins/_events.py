"""The events of logins, and one key for each browser."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.core.http import refusals
from gateway.core.sessions.realms import NoRealm, Realm
from gateway.core.sessions.session import Session
from gateway.logins import Attempt
from gateway.observe.events import Event, Kind, of_sessions
from gateway.outbound.backends import BackendFailed
from gateway.store.errors import StoreUnavailable
from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.logins")


@contextlib.contextmanager
def reporting_failures(sessions: Sessions, attempt: Attempt) -> Iterator[None]:
    """Report an attempt that ends by an error."""
    try:
        yield
    except BackendFailed as failed:
        report(sessions, "login_failed", attempt, reason=failed.refusal.reason)
        raise
    except StoreUnavailable:
        report(sessions, "login_failed", attempt, reason=refusals.STORE_DOWN.reason)
        raise


def report(
    sessions: Sessions,
    kind: Kind,
    attempt: Attempt,
    session: Session | None = None,
    reason: str = "",
) -> None:
    """Report an attempt.

    A failed one has no session: only the backend knows the user.
    """
    by = "" if attempt.parent is None else attempt.parent.subject
    sessions.report(
        Event(
            kind,
            subject="" if session is None else session.subject,
            session_id="" if session is None else session.id,
            address=attempt.address,
            device=attempt.device,
            reason=reason or ("impersonation" if by else ""),
            request_id=attempt.request_id,
            by=by,
        )
    )


def subject_of(
    realm: Realm, attempt: Attempt, name: str | None, claims: Mapping[str, Any]
) -> str | None:
    """The subject of a `name` and claims of a login; None without a usable name.

    Raises `BackendFailed` if what the realm is spelled with is missing.
    """
    try:
        return realm.subject(name, claims, attempt.host)
    except NoRealm as missing:
        _log.error("login %s has no realm: the %s is missing", attempt.request_id, missing)
        raise BackendFailed(refusals.NO_REALM) from None


async def end_replaced(sessions: Sessions, attempt: Attempt) -> None:
    """End the sessions of the browser that logs in again (wire-rules.md#E5).

    Raises `StoreUnavailable`.
    """
    ended = await sessions.revoke(*attempt.replaces)
    request_id = attempt.request_id
    for event in of_sessions("revoke", ended, reason="replaced", request_id=request_id):
        sessions.report(event)

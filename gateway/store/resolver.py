"""Resolving a key to its session, also during an outage of the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.core.sessions import keys, records
from gateway.core.sessions.keys import Key
from gateway.core.sessions.records import Foreign, NewerVersion, Records
from gateway.core.sessions.sealing import Unsealable
from gateway.core.sessions.session import Lifetimes, Session, UnreadableSession
from gateway.core.tokens import jwt_text
from gateway.store.errors import NewerSession, StoreUnavailable
from gateway.store.lookups import Lookups
from gateway.store.near_cache import NearCache
from gateway.store.renewals import Renewals
from gateway.store.resolved_session import ResolvedSession

# How often a session in use is looked up in its idle timeout, at the least: one that is remembered
# is not touched, and must not become idle by that.
LOOKS_PER_IDLE_TIMEOUT = 4

_log = logging.getLogger("gateway.store")


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The presented key names no living session, or one that cannot be read."""

    reason: Literal["not_a_key", "token_not_key", "invalid_key", "unreadable_session"]


_UNKNOWN = Unresolved("invalid_key")
_UNREADABLE = Unresolved("unreadable_session")


class Resolver:
    """Resolves the keys of requests that the near cache does not know."""

    def __init__(
        self,
        *,
        near: NearCache,
        lookups: Lookups,
        untouching: Lookups,
        records: Records,
        renewals: Renewals,
        render: Callable[[Session], bytes],
        is_available: Callable[[], bool],
        is_gone: Callable[[str], bool],
        is_named: Callable[[Session], bool],
        lifetimes: Lifetimes,
    ) -> None:
        """The parts that take part in resolving.

        untouching: look-ups that leave a session as idle as it was
        render: makes the fields that upstreams get for a session
        is_available: whether the store answers, as far as its tracking knows
        is_gone: whether a session was ended here; a new primary may not know that yet
        is_named: whether its login would still give a session's subject
        lifetimes: of sessions without their own
        """
        self._near = near
        self._lookups = lookups
        self._untouching = untouching
        self._records = records
        self._renewals = renewals
        self._render = render
        self._is_available = is_available
        self._is_gone = is_gone
        self._is_named = is_named
        self._lifetimes = lifetimes
        self._answers = True  # the store answered the last look-up

    async def resolve(
        self, presented_key: bytes, *, renew: bool = True, extend: bool = True
    ) -> ResolvedSession | Unresolved:
        """The session that a presented key opens.

        Raises `StoreUnavailable` and `RenewalFailed`.

        renew: whether its token has to be valid
        extend: whether this keeps the session from being idle
        """
        key = keys.parse_key(presented_key)
        if key is None:
            return _no_key(presented_key)
        session_id = keys.session_id(key)
        if self._near.is_unknown(session_id, time.time()) or self._is_gone(session_id):
            return _UNKNOWN
        left = None if self._answers or self._is_available() else self._left(session_id)
        if left is None and not extend:
            left = self._near.untouched(session_id, time.time())
        if left is not None:
            return left
        self._near.expects(session_id)
        lookups = self._lookups if extend else self._untouching
        try:
            record = await lookups.get(session_id)
            session = self._opened(key, session_id, record)
            if isinstance(session, Session) and session.parent:
                session = await self._with_parent(session, lookups)
            if isinstance(session, Session) and renew and session.renew_at <= time.time():
                session = await self._renewals.current(key, session) or _UNKNOWN
            found = self._resolved(session) if isinstance(session, Session) else session
        except BaseException as error:
            self._near.gave_up(session_id)
            if isinstance(error, StoreUnavailable):
                return self._left_or(error, session_id)
            raise
        self._answers = True
        if found is _UNREADABLE:
            self._near.gave_up(session_id)  # so that the next request is told the same
        else:
            resolved = found if isinstance(found, ResolvedSession) else None
            if not extend and resolved is not None and record is not None:
                idle_end = records.idle_end(record, self._lifetimes.idle_timeout)
                resolved.expires = min(resolved.expires, idle_end)
            self._near.learned(presented_key, resolved, session_id, time.time(), touched=extend)
        return found

    async def replaced(
        self,
        presented_key: bytes,
        resolved: ResolvedSession,
        *,
        renew: bool = True,
        extend: bool = True,
    ) -> ResolvedSession | None:
        """The session with a new token after an upstream refused the present one.

        None when no other token can be had. Without `renew`, only a token counts that the store has
        already.
        """
        key = keys.parse_key(presented_key)
        if key is None:
            return None
        session_id = resolved.session.id
        lookups = self._lookups if extend else self._untouching
        try:
            record = await lookups.get(session_id)
            session = self._opened(key, session_id, record)
            if isinstance(session, Session) and session.parent:
                session = await self._with_parent(session, lookups)
        except StoreUnavailable:
            return None
        if isinstance(session, Session) and session.token == resolved.session.token:
            renewed = await self._renewals.replaced(key, session) if renew else None
            session = renewed or _UNKNOWN
        found = self._resolved(session) if isinstance(session, Session) else session
        return found if isinstance(found, ResolvedSession) else None

    async def _with_parent(self, session: Session, lookups: Lookups) -> Session | Unresolved:
        """An impersonation, if its parent lives. Using it touches the parent, too."""
        self._near.ends_with(session.id, session.parent_id)
        record = await lookups.get(session.parent_id)
        if record is None or self._is_gone(session.parent_id):
            return _UNKNOWN
        return session if records.read_info(record).ends_at > time.time() else _UNKNOWN

    def _opened(self, key: Key, session_id: str, record: bytes | None) -> Session | Unresolved:
        """The session of a record, if it lives. Raises `NewerSession`."""
        if record is None:
            return _UNKNOWN
        try:
            session = self._records.open(key, session_id, record)
        except NewerVersion:
            _log.error("session %s is of a newer version", session_id[:12])
            raise NewerSession from None
        except (Foreign, Unsealable, UnreadableSession) as error:
            _log.error("session %s cannot be opened: %s", session_id[:12], type(error).__name__)
            return _UNREADABLE
        has_ended = session.ends_at <= time.time() or self._is_gone(session_id)
        # A subject of before a prefix was changed may be another person's by now.
        return _UNKNOWN if has_ended or not self._is_named(session) else session

    def _resolved(self, session: Session) -> ResolvedSession | Unresolved:
        """The session as requests need it, and until when to remember it."""
        now = time.time()
        until = (
            session.renew_at if session.renew_at > now else self._renewals.retry_at(session, now)
        )
        if session.life.idle_timeout:
            # For all others, the near cache's own lifetime sees to it.
            until = min(until, now + session.life.idle_timeout / LOOKS_PER_IDLE_TIMEOUT)
        try:
            return ResolvedSession(session, self._render(session), session.token.raw, until)
        except (ValueError, IndexError) as error:
            _log.error("session %s cannot be used: %s", session.id[:12], type(error).__name__)
            return _UNREADABLE

    def _left_or(self, error: StoreUnavailable, session_id: str) -> ResolvedSession:
        """The session from before an outage. Raises `error` if it may not serve."""
        if isinstance(error, NewerSession):
            raise error
        self._answers = False
        left = self._left(session_id)
        if left is None:
            raise error
        return left

    def _left(self, session_id: str) -> ResolvedSession | None:
        """The session as it was before the outage, if it may still be used."""
        return self._near.before_outage(session_id, time.time())


def _no_key(presented_key: bytes) -> Unresolved:
    """The reason why what was presented is no key.

    A JWT in its place is a common mistake, with a reason of its own.
    """
    token = jwt_text.sole(presented_key.decode("latin-1"))
    return Unresolved("token_not_key" if token else "not_a_key")

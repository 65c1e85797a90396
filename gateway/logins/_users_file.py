"""The users file of a login: it is read again whenever it has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from gateway.config import users_file
from gateway.config.users_file import BrokenFile
from gateway.core.logins.users import User

_log = logging.getLogger("gateway.users")


class UsersFile:
    """The users of a file, as it is now. Threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._seen: object = None  # the file's time, size and inode when it was read
        self._users: Mapping[str, User] | None = None

    def users(self) -> Mapping[str, User]:
        """The users by name. A broken or missing file leaves the former users.

        Raises `BrokenFile` if it could never be read.
        """
        with self._lock:
            seen = self._state()
            if seen != self._seen:
                self._seen = seen
                self._read()
            if self._users is None:
                raise BrokenFile("could never be read")
            return self._users

    def _state(self) -> object:
        try:
            found = self.path.stat()
        except OSError as error:
            return error.errno
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        try:
            self._users = users_file.read(self.path)
        except BrokenFile as error:
            _log.error(
                "the file of users cannot be used, what was read before stays: line %d: %s",
                error.line,
                error,
            )
        else:
            _log.info("%d users read", len(self._users))

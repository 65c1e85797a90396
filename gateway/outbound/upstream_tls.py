"""The TLS context of an upstream, made anew when one of its files changes."""

from __future__ import annotations

import logging
import ssl
import time
from typing import TYPE_CHECKING

from gateway.config import files
from gateway.config.files import Mark
from gateway.config.tls import client_context
from gateway.observe import causes

if TYPE_CHECKING:
    from gateway.config.upstream_sections import UpstreamTls
    from gateway.core.http.addresses import ServerUrl

# The files are looked at so often, in seconds, and only while connections are opened.
_SECONDS_BETWEEN_LOOKS = 1.0


class UpstreamContext:
    """Gives new connections the context of the files as they are now.

    Files that cannot be used leave the context as it was, with a warning.
    """

    def __init__(self, upstream: str, tls: UpstreamTls) -> None:
        """`upstream` is its name, for the log."""
        self.reloads = 0  # changed files that are in use now
        self.failures = 0  # changed files that could not be used: the old ones stay in use
        self._upstream = upstream
        self._tls = tls
        named = (tls.ca_file, tls.cert_file, tls.key_file)
        self._files = tuple(file for file in named if file is not None)
        self._context: ssl.SSLContext | None = None
        self._marks: tuple[Mark, ...] = ()
        self._due = 0.0  # the next look at the files (monotonic seconds)

    def of(self, url: ServerUrl) -> tuple[ssl.SSLContext | None, str | None]:
        """The context for a connection now, and the name for SNI and for the check.

        Nothing for a server without TLS.
        """
        if not url.tls:
            return None, None
        if self._context is None:
            self._marks = self._look()
            self._context = self._made()
        elif self._files and (now := time.monotonic()) >= self._due:
            self._due = now + _SECONDS_BETWEEN_LOOKS
            self._reload()
        return self._context, self._tls.server_name or url.host

    def _reload(self) -> None:
        marks = self._look()
        if marks == self._marks:
            return
        self._marks = marks
        log = logging.getLogger(f"gateway.upstreams.{self._upstream}")
        try:
            self._context = self._made()
        except OSError as error:
            self.failures += 1
            log.warning(
                "upstream %s: the files of its tls cannot be used, the old ones stay: %s",
                self._upstream,
                causes.cause(error),
            )
            return
        self.reloads += 1
        log.info("upstream %s: the files of its tls are read again", self._upstream)

    def _made(self) -> ssl.SSLContext:
        tls = self._tls
        return client_context(tls.ca_file, tls.cert_file, tls.key_file, verify=tls.verify)

    def _look(self) -> tuple[Mark, ...]:
        return tuple(files.mark(file) for file in self._files)

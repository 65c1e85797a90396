"""`gateway sessions …`: what operators do with sessions, from the command line.

It talks to the store that config.yaml names, so it needs no running gateway; but the embedded store
runs only as long as its gateway does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from gateway.observe.audit_log import AuditLog, open_audit_log
from gateway.store.administration import Administration
from gateway.store.embedded import EmbeddedStore, embedded_socket, unix_url
from gateway.store.errors import StoreUnavailable
from gateway.store.sessions import open_sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_BY = "command line"

# Opening a seal takes a client's key, and nobody here has one.
_OPENS_NO_SEAL = ("nothing is sealed or opened here",)

_STDERR = 2

# What a list shows of each session: the titles, and the names in `Administration.listed`.
COLUMNS = {
    "ID": "handle",
    "DEVICE": "device",
    "ADDRESS": "address",
    "CREATED": "created",
    "LAST SEEN": "last_seen",
    "ENDS": "ends",
}

T = TypeVar("T")


class CommandFailed(Exception):
    """It was not done, or not all of it; the message says why and what would help."""


def perform(
    config: Config, work: Callable[[Administration], Awaitable[T]], *, seals: bool = False
) -> T:
    """Has some work done on the store of a configuration; `seals` if it issues sessions. Raises
    `CommandFailed`.
    """
    return asyncio.run(_perform(config, work, seals=seals))


async def _perform(
    config: Config, work: Callable[[Administration], Awaitable[T]], *, seals: bool
) -> T:
    sessions = open_sessions(
        config,
        url=_store_url(config),
        secrets=_secrets(config) if seals else _OPENS_NO_SEAL,
        render=lambda _session: b"",
        report=_audit_log(config).write,
    )
    try:
        return await work(Administration(sessions, _BY))
    except StoreUnavailable:
        raise CommandFailed("the store does not answer, or refuses: see above") from None
    finally:
        await sessions.close()


def _store_url(config: Config) -> str:
    """Where the store is; of the embedded one, whether it runs is found out."""
    if config.store.url != "embedded":
        return config.store.url
    path = embedded_socket(config.store.data_dir)
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise CommandFailed(
                f"no gateway runs on {config.store.data_dir}, and the embedded store runs only "
                "while its gateway does: start that with `gateway run`, and ask again"
            ) from None
        except OSError as error:
            raise CommandFailed(f"{path} cannot be reached: {error.strerror or error}") from None
    return unix_url(path)


def _secrets(config: Config) -> tuple[str, ...]:
    """What the gateway seals with."""
    configured = tuple(each.reveal() for each in config.session.secrets)
    try:
        return configured or (EmbeddedStore(config.store.data_dir).pepper(),)
    except OSError as error:
        folder = config.store.data_dir
        raise CommandFailed(f"the secret in {folder} cannot be read: {error.strerror}") from None


def _audit_log(config: Config) -> AuditLog:
    """The gateway's own, if it is a file; what would go to stdout goes to stderr, since stdout is
    for what the command has to say.
    """
    if config.audit_log == "stdout":
        return AuditLog(_STDERR)
    try:
        return open_audit_log(config.audit_log)
    except OSError as error:
        raise CommandFailed(
            f"the audit log {config.audit_log} cannot be written: {error.strerror}"
        ) from None


def print_table(
    sessions: Sequence[Mapping[str, str]], columns: Mapping[str, str] = COLUMNS
) -> None:
    """A list of sessions for people."""
    rows = [list(columns)]
    rows += [[_printable(each[name]) for name in columns.values()] for each in sessions]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _printable(text: str) -> str:
    """Without what could move a terminal's cursor: a record in Redis may be anybody's work."""
    return "".join(each if each.isprintable() else "?" for each in text)

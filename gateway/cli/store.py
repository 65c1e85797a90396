"""Commands on the store that config.yaml names.

They need no running gateway, except on the embedded store, which runs only while its gateway does.
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

# Opening a seal takes the client's key, which the command line does not have.
_NO_SECRETS = ("nothing is sealed or opened here",)

_STDERR = 2

# A command waits at least so long for each of the store's answers: it keeps no client waiting.
_MIN_TIMEOUT_SECONDS = 10.0

# The columns of a list of sessions: title, and name in `Administration.listed`.
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
    """The command failed, perhaps half-way. The message says what helps."""


def perform(
    config: Config, work: Callable[[Administration], Awaitable[T]], *, seals: bool = False
) -> T:
    """Do `work` on the store of a configuration. Raises `CommandFailed`.

    seals: whether the work issues sessions, which needs the secrets
    """
    return asyncio.run(_perform(config, work, seals=seals))


async def _perform(
    config: Config, work: Callable[[Administration], Awaitable[T]], *, seals: bool
) -> T:
    store = config.store.model_copy(
        update={"timeout": max(config.store.timeout, _MIN_TIMEOUT_SECONDS)}
    )
    sessions = open_sessions(
        config.model_copy(update={"store": store}),
        url=_store_url(config),
        secrets=_secrets(config) if seals else _NO_SECRETS,
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
    """The URL of the store.

    Raises `CommandFailed` if the embedded store does not run.
    """
    if config.store.url != "embedded":
        return config.store.url
    path = embedded_socket(config.store.data_dir)
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise CommandFailed(
                f"no gateway runs on {config.store.data_dir}: the embedded store runs only "
                "while its gateway does. Start `gateway run` and try again"
            ) from None
        except OSError as error:
            raise CommandFailed(f"{path} cannot be reached: {error.strerror or error}") from None
    return unix_url(path)


def _secrets(config: Config) -> tuple[str, ...]:
    """The secrets that sessions are sealed with."""
    configured = tuple(secret.reveal() for secret in config.session.secrets)
    try:
        return configured or (EmbeddedStore(config.store.data_dir).pepper(),)
    except OSError as error:
        folder = config.store.data_dir
        raise CommandFailed(f"the secret in {folder} cannot be read: {error.strerror}") from None


def _audit_log(config: Config) -> AuditLog:
    """The audit log of the gateway; stderr if that is stdout.

    A command prints its result on stdout.
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
    """Print a table of sessions."""
    rows = [list(columns)]
    rows += [[_printable(session[name]) for name in columns.values()] for session in sessions]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _printable(text: str) -> str:
    """Replace characters that could move the terminal's cursor.

    Any program that writes to the Redis chooses the texts of records.
    """
    return "".join(character if character.isprintable() else "?" for character in text)

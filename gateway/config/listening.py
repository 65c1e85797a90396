"""The files of listeners, and checks of what goes with an address."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.config.document import Document, Where
from gateway.config.files import read_file
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.core.http.addresses import (
    PLAIN,
    Address,
    CertificateFiles,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
    are_one,
    overlap,
)
from gateway.core.http.server_certificates import why_no_pair


def with_certificates(
    config: Config, folder: Path, document: Document
) -> tuple[Config, list[Problem]]:
    """Make the paths of certificates absolute, and try each pair."""
    listen = tuple(
        replace(
            address,
            entrance=replace(
                address.entrance,
                certificates=tuple(
                    CertificateFiles(
                        str((folder / files.cert_file).absolute()),
                        str((folder / files.key_file).absolute()),
                    )
                    for files in address.entrance.certificates
                ),
            ),
        )
        for address in config.listen
    )
    config = config.model_copy(update={"listen": listen})
    return config, list(_unusable(config, document))


def check_listeners(config: Config, document: Document) -> Iterator[Problem]:
    """Find addresses that stand twice, and settings that need others."""
    yield from _addresses(config, document)
    yield from _entrances(config, document)


def _addresses(config: Config, document: Document) -> Iterator[Problem]:
    """Addresses that stand twice in `listen`, or in both listeners.

    The kernel would hand the admin listener some of the public connections. `systemd` is all of
    its sockets, those with a name among them.
    """
    for where, addresses in (
        (("listen",), config.listen),
        (("admin", "listen"), config.admin.listen),
    ):
        for at, address in enumerate(addresses):
            for before, other in enumerate(addresses[:at]):
                if are_one(address, other):
                    yield _twice((*where, at), address, (*where, before), other, document)
                    break
    for admin in config.admin.listen:
        for public in config.listen:
            if overlap(admin, public):
                yield document.problem(("admin", "listen"), f"{admin} is in listen too: {public}")


def _twice(
    where: Where, address: Address, before: Where, other: Address, document: Document
) -> Problem:
    line = document.problem(before, "").line
    if str(address) == str(other):
        what = f"{address} stands twice, first in line {line}"
    elif isinstance(address, SystemdAddress):
        what = (
            f"systemd is all of its sockets, also those in line {line}: give each a name, or none"
        )
    else:
        what = f"{address} takes the connections of {other} in line {line}: remove one of them"
    return document.problem(where, what)


def _entrances(config: Config, document: Document) -> Iterator[Problem]:
    """Settings of listeners that need others, or that only `listen` takes."""
    for at, address in enumerate(config.listen):
        if address.entrance.proxy_protocol and not _has_proxy(address, config):
            proxies = (
                "unix"
                if isinstance(address, UnixAddress)
                else "the addresses of the proxies that send the header"
            )
            yield document.problem(
                ("listen", at, "proxy_protocol"),
                f"needs trusted_proxies: {proxies}",
            )
    for at, address in enumerate(config.admin.listen):
        if address.entrance != PLAIN:
            yield document.problem(
                ("admin", "listen", at),
                "takes no tls, redirect or proxy_protocol: they are for listen",
            )


def _has_proxy(address: Address, config: Config) -> bool:
    """Whether a trusted proxy can connect to an address."""
    proxies = config.trusted_proxies
    match address:
        case UnixAddress():
            return "unix" in proxies
        case TcpAddress():
            return any(proxy != "unix" for proxy in proxies)
        case SystemdAddress():
            return bool(proxies)


def _unusable(config: Config, document: Document) -> Iterator[Problem]:
    """Certificates that cannot be read, or do not fit their keys."""
    for at, address in enumerate(config.listen):
        for number, files in enumerate(address.entrance.certificates):
            where = place_of_pair(at, number, document)
            unread = [
                document.problem((*where, name), f"cannot be read: {error.strerror}")
                for name in ("cert_file", "key_file")
                if (error := _unreadable(getattr(files, name))) is not None
            ]
            yield from unread
            if not unread and (why := _why_no_pair(files)):
                yield document.problem((*where, "cert_file"), f"cannot be used: {why}")


def place_of_pair(at: int, number: int, document: Document) -> Where:
    """Where a pair stands: in `certificates`, or in `tls` itself."""
    listed: Where = ("listen", at, "tls", "certificates", number)
    return listed if document.written(listed) in document.values else ("listen", at, "tls")


def _unreadable(file: str) -> OSError | None:
    try:
        read_file(Path(file))
    except OSError as error:
        return error
    return None


def _why_no_pair(files: CertificateFiles) -> str:
    """Why a pair cannot be used; empty if it can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            files.cert_file, files.key_file, password=""
        )
    except ssl.SSLError as error:
        return why_no_pair(error.reason)
    return ""

"""The certificates of a TLS listener, read again when their files change."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography import x509

from gateway.core.http.addresses import Address, CertificateFiles, Entrance

_log = logging.getLogger("gateway.tls")

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# For TLS 1.2: forward secrecy and authenticated encryption alone (RFC 9325 §4.2). The suites of
# TLS 1.3 all are so.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

Stamp = tuple[tuple[int, int, int], ...]


@dataclass
class CertificateCounts:
    """Plain integers, since the start of the worker."""

    reloads: int = 0  # changed files that are in use now
    failures: int = 0  # changed files that could not be used: the old ones stay in use


class Certificates:
    """The TLS contexts of one listener: one for each certificate.

    The supervisor makes them, and workers inherit them: so a worker that is replaced while the
    files are broken still has what the others have, and a client resumes its session at any worker
    (the keys of session tickets belong to the context).
    """

    def __init__(self, entrance: Entrance) -> None:
        """Read the files. Raises as `server_context` does."""
        self.counts = CertificateCounts()
        self._entrance = entrance
        self._stamp = self._stamp_now()
        self.context = server_context(entrance)

    def look_for_changes(self) -> None:
        """Read the files again if they have changed.

        A pair that cannot be used leaves the old one in use: certificate and key are seldom
        replaced in one moment.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context = server_context(self._entrance)
        except (OSError, ValueError) as error:
            self.counts.failures += 1
            file = self._entrance.certificates[0].cert_file
            _log.warning("%s: the old certificate stays in use: %s", file, _reason(error))
        else:
            self.counts.reloads += 1
            _log.info("%s: the new certificate is in use", self._entrance.certificates[0].cert_file)

    def _stamp_now(self) -> Stamp:
        """What changes with the files; zeros for one that is missing."""
        return tuple(
            _stamp(file)
            for files in self._entrance.certificates
            for file in (files.cert_file, files.key_file)
        )


def all_certificates(addresses: Iterable[Address]) -> dict[Entrance, Certificates]:
    """The certificates of all listeners with TLS. Raises as `server_context` does."""
    return {
        address.entrance: Certificates(address.entrance)
        for address in addresses
        if address.entrance.certificates
    }


def server_context(entrance: Entrance) -> ssl.SSLContext:
    """Create a context for the first certificate, which hands over to those of the others.

    Raises `OSError` (`ssl.SSLError` is a subclass), and `ValueError` for a certificate whose names
    cannot be read.
    """
    contexts = [_context(files, entrance.min_version) for files in entrance.certificates]
    if len(contexts) > 1:
        by_name: dict[str, ssl.SSLContext] = {}
        for files, context in zip(entrance.certificates, contexts, strict=True):
            for name in _names(files.cert_file):
                by_name.setdefault(name, context)
        contexts[0].sni_callback = _chooser(by_name)
    return contexts[0]


def ignore_unreadable_names() -> None:
    """Log nothing of a client that asks for a name with bytes beyond ASCII.

    Its handshake is refused before `_chooser` is called. Python would print a traceback with the
    client's bytes each time.
    """
    report = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not UnicodeDecodeError or type(unraisable.object) is not bytes:
            report(unraisable)

    sys.unraisablehook = hook


def _context(files: CertificateFiles, min_version: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without a password OpenSSL would ask on the terminal for that of an encrypted key.
    context.load_cert_chain(files.cert_file, files.key_file, password="")
    context.minimum_version = _VERSIONS[min_version]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _chooser(by_name: dict[str, ssl.SSLContext]) -> Callable[..., None]:
    def choose(
        connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _first: ssl.SSLContext
    ) -> None:
        """Choose by the exact name, or by a wildcard for its first label (RFC 6125 §6.4.3)."""
        if name is None:
            return
        asked = name.lower().rstrip(".")
        found = by_name.get(asked) or by_name.get("*." + asked.partition(".")[2])
        if found is not None:
            connection.context = found

    return choose


def _names(cert_file: str) -> Iterable[str]:
    """The DNS names of a certificate. Raises `OSError` and `ValueError`."""
    with open(cert_file, "rb") as file:
        certificate = x509.load_pem_x509_certificates(file.read())[0]
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _stamp(file: str) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__

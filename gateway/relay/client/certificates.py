"""The certificates of a TLS listener, read again when their files change."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.config import files
from gateway.config.files import Mark
from gateway.core.http.addresses import Address, CertificateFiles, Entrance
from gateway.core.http.server_certificates import server_certificate, why_no_pair

_log = logging.getLogger("gateway.tls")

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# For TLS 1.2: forward secrecy and authenticated encryption alone (RFC 9325 §4.2). The suites of
# TLS 1.3 all are so.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class UnusableCertificate(ValueError):
    """A certificate that cannot be used. The message says which and why."""

    def __init__(self, message: str, *, is_early: bool = False) -> None:
        """`is_early`: it can be used later, since it is not valid yet."""
        super().__init__(message)
        self.is_early = is_early


@dataclass
class CertificateCounts:
    """Plain integers, since the start of the worker."""

    reloads: int = 0  # changed pairs that are in use now
    failures: int = 0  # changed pairs that could not be used: the old ones stay in use


@dataclass(frozen=True)
class _Pair:
    """A certificate with its key, as they were read."""

    context: ssl.SSLContext
    names: tuple[str, ...]


class Certificates:
    """The TLS contexts of one listener: one for each certificate.

    The supervisor makes them, and workers inherit them: so a worker that is replaced while the
    files are broken still has what the others have. A client resumes its session at any worker,
    since the keys of session tickets belong to the context; once its files have changed, at the
    same worker alone, until a reload.
    """

    def __init__(self, entrance: Entrance) -> None:
        """Read the files. Raises `UnusableCertificate`."""
        self.counts = CertificateCounts()
        self._entrance = entrance
        self._seen = [_marks(pair) for pair in entrance.certificates]
        self._early: set[int] = set()  # pairs whose files are not valid yet
        self._pairs = [_read(pair, entrance.min_version) for pair in entrance.certificates]
        self._choose()

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the first certificate, which hands over to the others by name."""
        return self._pairs[0].context

    def look_for_changes(self) -> None:
        """Read the pairs again whose files have changed.

        A pair that cannot be used leaves the old one in use: certificate and key are seldom
        replaced in one moment. So does one that has expired, and one that is not valid yet, until
        it is. Each goes its own way, so that one that stays broken keeps no other from being
        renewed.
        """
        for at, pair in enumerate(self._entrance.certificates):
            marks = _marks(pair)
            is_new = marks != self._seen[at]
            if not is_new and at not in self._early:
                continue
            self._seen[at] = marks
            self._early.discard(at)
            try:
                self._pairs[at] = _read(pair, self._entrance.min_version, dt.datetime.now(dt.UTC))
            except UnusableCertificate as error:
                if error.is_early:
                    self._early.add(at)
                if is_new:
                    self.counts.failures += 1
                    _log.warning("the old certificate stays in use: %s", error)
            else:
                self.counts.reloads += 1
                _log.info("%s: the new certificate is in use", pair.cert_file)
                self._choose()

    def _choose(self) -> None:
        """Let the first context choose by name, if there are several."""
        if len(self._pairs) > 1:
            by_name: dict[str, ssl.SSLContext] = {}
            for pair in self._pairs:
                for name in pair.names:
                    by_name.setdefault(name, pair.context)
            self.context.sni_callback = _chooser(by_name)


def all_certificates(addresses: Iterable[Address]) -> dict[Entrance, Certificates]:
    """The certificates of all listeners with TLS. Raises `UnusableCertificate`."""
    return {
        address.entrance: Certificates(address.entrance)
        for address in addresses
        if address.entrance.certificates
    }


def _read(pair: CertificateFiles, min_version: str, now: dt.datetime | None = None) -> _Pair:
    """Read a pair; one that is not valid at `now` is refused. Raises `UnusableCertificate`."""
    try:
        context = _context(pair, min_version)
        certificate = server_certificate(files.read_file(Path(pair.cert_file)))
    except (OSError, ValueError) as error:
        raise UnusableCertificate(f"{pair.cert_file}, {pair.key_file}: {_why(error)}") from None
    if now is not None and (why := certificate.why_invalid(now)):
        is_early = now < certificate.begins
        raise UnusableCertificate(f"{pair.cert_file}: {why}", is_early=is_early)
    return _Pair(context, certificate.names)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return why_no_pair(error.reason)
    return getattr(error, "strerror", None) or type(error).__name__


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


def _context(pair: CertificateFiles, min_version: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without a password OpenSSL would ask on the terminal for that of an encrypted key.
    context.load_cert_chain(pair.cert_file, pair.key_file, password="")
    context.minimum_version = _VERSIONS[min_version]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _chooser(by_name: dict[str, ssl.SSLContext]) -> Callable[..., None]:
    def choose(
        connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _first: ssl.SSLContext
    ) -> None:
        """Choose by the exact name, or by a wildcard for its first label (RFC 9525 §6.3)."""
        if name is None:
            return
        asked = name.lower().rstrip(".")
        found = by_name.get(asked) or by_name.get("*." + asked.partition(".")[2])
        if found is not None:
            connection.context = found

    return choose


def _marks(pair: CertificateFiles) -> tuple[Mark, Mark]:
    """The marks of both files of a pair."""
    return files.mark(pair.cert_file), files.mark(pair.key_file)

"""What a certificate says: the names it is for, and from when until when it is valid."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography import x509

# What OpenSSL says of a key that is not the certificate's (`ssl.SSLError.reason`).
_OTHER_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The first certificate of a chain.

    names: its DNS names in lower case; a wildcard stands for one label (RFC 9525 §6.3)
    begins, ends: when it is valid
    """

    names: tuple[str, ...]
    begins: dt.datetime
    ends: dt.datetime

    def why_invalid(self, now: dt.datetime) -> str:
        """Why no client accepts it now; empty if one may."""
        if now < self.begins:
            return f"it is not valid before {self.begins:%Y-%m-%d %H:%M} UTC"
        if now > self.ends:
            return f"it has expired on {self.ends:%Y-%m-%d %H:%M} UTC"
        return ""


def server_certificate(pem: bytes) -> ServerCertificate:
    """Read the first certificate of a chain in PEM. Raises `ValueError`."""
    certificate = x509.load_pem_x509_certificates(pem)[0]
    return ServerCertificate(
        _names(certificate), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    )


def why_no_pair(reason: str | None) -> str:
    """Why a certificate and a key cannot be used together.

    reason: OpenSSL's own (`ssl.SSLError.reason`); it says little about files in another format
    """
    if reason in _OTHER_KEY:
        return "the key belongs to another certificate"
    return "needs a certificate in PEM and its unencrypted key"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))

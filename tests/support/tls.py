"""Certificates for tests, and a client that speaks TLS."""

import datetime as dt
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.raw import Client

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Certificates:
    """The files of an authority, and of a server on 127.0.0.1 and a client that it vouches for."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def trusting_all(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A context of a client that takes any certificate; `version` is the newest that it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


class TlsClient(Client):
    """A client over TLS. `first` leaves in the open, before the handshake."""

    def __init__(
        self,
        port: int,
        *,
        name: str | None = "shop.example",
        by: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        source: str = "127.0.0.1",
        first: bytes = b"",
    ) -> None:
        super().__init__(port, source)
        self.sock.sendall(first)
        by = by or trusting_all()
        self.tls = self.sock = by.wrap_socket(self.sock, server_hostname=name, session=session)

    def shown(self) -> str:
        """The subject of the server's certificate."""
        found = self.tls.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found).subject.rfc4514_string()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("backend", key, "backend", key, ca=True)
    file = folder / "backend.pem"
    file.write_bytes(_private(key) + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def named(folder: Path, *names: str, days: float = 0) -> dict[str, str]:
    """The files of a certificate for DNS names, which is its own authority.

    days: from now to the middle of the two days for which it is valid
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(names[0], key, names[0], key, ca=True, names=names, days=days)
    file = folder / f"{names[0].replace('*', 'any')}.pem"
    file.write_bytes(_private(key) + certificate.public_bytes(serialization.Encoding.PEM))
    return {"cert_file": str(file), "key_file": str(file)}


def certificates(folder: Path, *, days: float = 0) -> Certificates:
    """An authority with a server and a client; `days` as for `named`."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    made: dict[str, Path] = {}
    for name in ("ca", "server", "client"):
        key = authority if name == "ca" else ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, "ca", authority, ca=name == "ca", days=days)
        made[name] = folder / f"{name}.pem"
        made[name].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made[f"{name}_key"] = folder / f"{name}.key"
        made[f"{name}_key"].write_bytes(_private(key))
    del made["ca_key"]
    return Certificates(**made)


def _certificate(
    name: str,
    key: Key,
    issuer: str,
    by: Key,
    *,
    ca: bool,
    names: Sequence[str] = (),
    days: float = 0,
) -> x509.Certificate:
    """A certificate for DNS names, or else for 127.0.0.1 and a name below `internal`."""
    middle = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    alternative: list[x509.GeneralName] = [x509.DNSName(dns) for dns in names]
    alternative = alternative or [
        x509.IPAddress(IPv4Address("127.0.0.1")),
        x509.DNSName(f"{name}.internal"),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(middle - dt.timedelta(days=1))
        .not_valid_after(middle + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(by, hashes.SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _private(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

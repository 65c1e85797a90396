"""The sections of listeners: addresses, and what connections to them begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from gateway.config.address_values import Group, ListenAddress, RedirectPort, SocketMode
from gateway.config.base import Model, Shorthand
from gateway.config.values import OneOrMany, SecretText
from gateway.core.http.addresses import (
    Address,
    CertificateFiles,
    Entrance,
    UnixAddress,
    parse_address,
)


class CertificatePair(Model):
    """A certificate with its chain, and its key, in PEM."""

    cert_file: Annotated[str, Field(min_length=1)]
    key_file: Annotated[str, Field(min_length=1)]


class ListenTls(Model):
    """The certificates of a listener, and the oldest version of TLS."""

    cert_file: Annotated[str, Field(min_length=1)] | None = None
    key_file: Annotated[str, Field(min_length=1)] | None = None
    certificates: Annotated[tuple[CertificatePair, ...], Field(min_length=1)] | None = None
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(str)] = "1.2"

    @model_validator(mode="after")
    def _has_one_way(self) -> ListenTls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if (self.cert_file is None) == (self.certificates is None):
            raise ValueError("needs cert_file and key_file, or certificates")
        return self

    @property
    def files(self) -> tuple[CertificateFiles, ...]:
        """The files of all certificates, the first one for unknown names."""
        if self.cert_file is not None and self.key_file is not None:
            return (CertificateFiles(self.cert_file, self.key_file),)
        return tuple(
            CertificateFiles(pair.cert_file, pair.key_file) for pair in self.certificates or ()
        )


class Listen(Shorthand):
    """An address to listen on. A text is short for its `address`."""

    _short_for = "address"

    address: ListenAddress
    mode: SocketMode = 0o600
    group: Group | None = None
    tls: ListenTls | None = None
    redirect: RedirectPort = 0
    proxy_protocol: bool = False

    def as_address(self) -> Address:
        """The address with all that goes with it. Raises `ValueError`."""
        entrance = Entrance(
            certificates=() if self.tls is None else self.tls.files,
            min_version="1.2" if self.tls is None else self.tls.min_version,
            redirect=self.redirect,
            proxy_protocol=self.proxy_protocol,
        )
        if entrance.certificates and entrance.redirect:
            raise ValueError("redirect is for plain HTTP: it cannot stand beside tls")
        if isinstance(self.address, UnixAddress):
            return UnixAddress(self.address.path, self.mode, self.group, entrance)
        if self.model_fields_set & {"mode", "group"}:
            raise ValueError("mode and group go with a unix socket")
        return replace(self.address, entrance=entrance)


if TYPE_CHECKING:
    Listens = tuple[Address, ...]  # the value after validation
else:
    Listens = Annotated[
        tuple[Annotated[Listen, AfterValidator(Listen.as_address), PlainSerializer(str)], ...],
        OneOrMany(),
        Field(min_length=1),
    ]


class Admin(Model):
    """The listener for operators. Keep it away from the public."""

    listen: Listens = (parse_address("127.0.0.1:8081"),)
    secret: SecretText | None = None

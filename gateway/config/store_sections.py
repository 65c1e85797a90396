"""The sections of config.yaml about the store."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from gateway.config.base import Model, Shorthand
from gateway.config.units import Duration
from gateway.config.values import SecretText, StoreUrlText
from gateway.core.store_urls import StoreUrl, parse_store_url


class NearCacheSettings(Model):
    """The sessions that each worker remembers."""

    entries: Annotated[int, Field(ge=0)] = 20_000
    ttl: Duration = 30.0


class StoreTls(Model):
    """TLS to the store: the authorities to trust, and a client certificate."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _fits(self) -> StoreTls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file goes with a cert_file")
        return self


class Account(Model):
    """The gateway's user name and password at a server."""

    username: str | None = None
    password: SecretText | None = None

    @model_validator(mode="after")
    def _needs_password(self) -> Self:
        if self.username is not None and self.password is None:
            raise ValueError("username goes with a password")
        return self


class Store(Account, Shorthand):
    """Where sessions are stored. A text is short for its `url`."""

    _short_for = "url"

    url: StoreUrlText = StoreUrl("embedded")
    sentinel: Account = Account()
    tls: StoreTls = StoreTls()
    data_dir: str = ".latchkey"
    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    replicas: Annotated[int, Field(ge=0)] = 0
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]*$")] = "latchkey:"
    near_cache: NearCacheSettings = NearCacheSettings()

    @model_validator(mode="after")
    def _fits(self) -> Store:
        place = None if self.url == "embedded" else parse_store_url(self.url)
        if place is None and (self.password is not None or self.replicas):
            raise ValueError("password and replicas go with a Redis, not with the embedded store")
        if self.tls != StoreTls() and not (place and place.tls):
            raise ValueError("tls goes with a URL that begins with rediss")
        if self.sentinel != Account() and not (place and place.kind == "sentinel"):
            raise ValueError("sentinel goes with a redis+sentinel:// URL")
        return self


class StoreOutage(Model):
    """What happens to requests while the store cannot be reached."""

    serve_cached: Duration = 0.0

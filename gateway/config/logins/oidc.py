"""The section of a login of `kind: oidc`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from gateway.config.document import Document, Where
from gateway.config.login_sections import LoginSection
from gateway.config.path_values import ExactPath, is_plain_path
from gateway.config.problems import Problem
from gateway.config.tls import client_context
from gateway.config.token_values import ClaimAddress, Issuer, PublishedAlgorithm, Scope
from gateway.config.units import Duration
from gateway.config.values import OneOrMany, SecretText, SiteOrigin
from gateway.core.http.origins import authority
from gateway.core.logins.authorization_code import PARAMETERS
from gateway.core.logins.login_paths import LoginPath

# A form with a logout token is smaller.
_MAX_FORM_BYTES = 64 * 1024


class OidcSection(LoginSection):
    """A login at an OpenID provider, to which browsers go, and come back."""

    FILES: ClassVar[tuple[str, ...]] = ("ca_file",)

    kind: Literal["oidc"]
    callback_path: ExactPath = ""
    backchannel_path: ExactPath = ""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    issuer: Issuer
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretText | None = None
    client_auth: Literal["auto", "client_secret_basic", "client_secret_post", "none"] = "auto"
    scopes: Annotated[tuple[Scope, ...], OneOrMany()] = ("openid",)
    parameters: dict[str, str] = {}
    token: Literal["access_token", "id_token"] = "access_token"  # noqa: S105 (which, not what)
    subject: Annotated[tuple[ClaimAddress, ...], OneOrMany(), Field(min_length=1)] = ("sub",)
    algorithms: Annotated[tuple[PublishedAlgorithm, ...], OneOrMany()] = ()
    origin: SiteOrigin | None = None
    after_logout: ExactPath = "/"
    renew_before: Annotated[Duration, Field(gt=0)] = 60.0
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    ca_file: str | None = None

    @property
    def paths(self) -> tuple[LoginPath, ...]:
        """Browsers leave by the first path and come back by the second one.

        At the third one, the provider asks to end sessions.
        """
        browser = LoginPath(
            "path",
            self.path,
            ("GET", "HEAD"),
            max_body=0,
            carrier="cookie",
            skips_origin_check=True,
        )
        return (
            browser,
            replace(browser, setting="callback_path", path=self.callback_path, methods=("GET",)),
            LoginPath(
                "backchannel_path",
                self.backchannel_path,
                ("POST",),
                _MAX_FORM_BYTES,
                carrier="reply",
                action="logout",
                skips_origin_check=True,
            ),
        )

    @property
    def subject_claims(self) -> tuple[str, ...]:
        return self.subject

    @property
    def provider_name(self) -> str:
        return self.name or authority(self.issuer)

    @property
    def provider_issuer(self) -> str:
        return self.issuer

    @property
    def namespace(self) -> tuple[object, ...]:
        """One issuer, by the same claims: each `sub` is one person's (Core §5.7)."""
        return "issuer", self.issuer, self.subject

    def file_problems(self, where: Where, document: Document) -> Iterator[Problem]:
        if self.ca_file is None:
            return
        try:
            client_context(self.ca_file, None, None, verify=True)
        except OSError:
            message = "cannot be read, or holds no certificate in PEM"
            yield document.problem((*where, "ca_file"), message)

    @model_validator(mode="before")
    @classmethod
    def _paths_below(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not is_plain_path(value.get("path")):
            return value
        path = value["path"].removesuffix("*").rstrip("/")
        below = {"callback_path": f"{path}/callback", "backchannel_path": f"{path}/backchannel"}
        return {**below, **value}

    @model_validator(mode="after")
    def _fits(self) -> OidcSection:
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid: without it, a provider gives no ID token")
        for name in self.parameters:
            if name in PARAMETERS:
                raise ValueError(f"parameters cannot hold {name}, which the gateway itself says")
        needs_secret = self.client_auth.startswith("client_secret")
        if needs_secret and self.client_secret is None:
            raise ValueError(f"client_auth: {self.client_auth} needs a client_secret")
        if self.client_auth == "none" and self.client_secret is not None:
            raise ValueError("client_auth: none has no use for a client_secret")
        return self

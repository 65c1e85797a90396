"""The section of a login of `kind: backend`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.login_sections import UpstreamLoginSection
from gateway.config.token_sections import (
    Refresh,
    RefreshOrOff,
    Renew,
    UserinfoSection,
    Verify,
)
from gateway.config.token_values import ClaimPlaceText, LifetimeText, TokenPlaceText
from gateway.config.values import OneOrMany
from gateway.core.logins.login_paths import BackendPath, LoginPath
from gateway.core.logins.refresh_calls import MAX_BODY
from gateway.core.logins.token_places import Auto, TokenPlace, parse_token_place
from gateway.core.sessions.subjects import SUBJECT_CLAIMS


class BackendSection(UpstreamLoginSection):
    """A login at the backend's own login; a key takes the token's place."""

    kind: Literal["backend"]
    token: TokenPlaceText = parse_token_place("auto")
    token_kind: Literal["jwt", "opaque"] = "jwt"  # noqa: S105 (which, not what)
    subject: Annotated[tuple[ClaimPlaceText, ...], OneOrMany(), Field(min_length=1)] = (
        SUBJECT_CLAIMS
    )
    userinfo: UserinfoSection | None = None
    claims: Annotated[tuple[ClaimPlaceText, ...], OneOrMany()] = ()
    lifetime: LifetimeText = None
    renew: Renew | None = None
    refresh: RefreshOrOff = Refresh()
    verify: Verify | None = None

    @property
    def backend_paths(self) -> tuple[BackendPath, ...]:
        renew = self.renew
        if renew is None:
            return super().backend_paths
        return (
            *super().backend_paths,
            BackendPath(renew.upstream, renew.path, renews=True),
        )

    @property
    def refresh_path(self) -> LoginPath | None:
        refresh, renew = self.refresh, self.renew
        if refresh is None or renew is None or refresh.path is None:
            return None
        return LoginPath(
            setting="refresh",
            path=refresh.path,
            methods=refresh.methods or (renew.method,),
            max_body=MAX_BODY,
            body_timeout=self.body_timeout,
            carrier=self.carrier,
            action="refresh",
            upstream=renew.upstream,
        )

    @property
    def token_place(self) -> TokenPlace:
        return self.token

    @property
    def has_opaque_tokens(self) -> bool:
        return self.token_kind != "jwt"  # noqa: S105 (which, not what)

    @property
    def token_rules(self) -> Verify | None:
        return self.verify

    @property
    def believes_tokens(self) -> bool:
        return self.verify is None and self.userinfo is None

    @property
    def userinfo_upstream(self) -> str | None:
        return None if self.userinfo is None else self.userinfo.upstream

    @property
    def keeps_tokens_valid(self) -> bool:
        return self.renew is not None

    @property
    def subject_claims(self) -> tuple[str, ...]:
        return self.subject

    @property
    def namespace(self) -> tuple[object, ...]:
        """One path of a backend, by the same claims of its tokens."""
        return "backend", self.upstream, self.backend_path, self.subject

    @model_validator(mode="after")
    def _fits_kind_of_token(self) -> Self:
        if not self.has_opaque_tokens:
            for name in ("userinfo", "claims", "lifetime"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} goes with token_kind: opaque; a JWT says it itself")
            return self
        if isinstance(self.token, Auto):
            raise ValueError(  # noqa: TRY004 (pydantic takes no other)
                "token_kind: opaque needs the token's place, as in token: /token, header:X-Token "
                "or cookie:sid: no sign tells an opaque token from another text"
            )
        if self.verify is not None:
            raise ValueError("verify is for JWTs: an opaque token has no signature")
        return self

    def with_renewal(self, renew: Renew | None) -> Self:
        return self.model_copy(update={"renew": self.renew or renew})

    def with_refresh(self, taken: Collection[str]) -> Self:
        refresh, renew = self.refresh, self.renew
        if refresh is None or renew is None or refresh.path is not None:
            return self
        path = self._usual_refresh_path(renew)
        decided = None if path in taken else refresh.model_copy(update={"path": path})
        return self.model_copy(update={"refresh": decided})

    @property
    def lacks_refresh_path(self) -> bool:
        refresh, renew = self.refresh, self.renew
        return refresh is not None and renew is not None and refresh.path is None

    def _usual_refresh_path(self, renew: Renew) -> str | None:
        """The public path of `renew.backend_path`, by the rule of the login's own.

        What stands in `path` before `backend_path` stands before it, too.
        """
        if renew.upstream != self.upstream or not self.path.endswith(self.backend_path):
            return None
        return self.path.removesuffix(self.backend_path) + renew.path

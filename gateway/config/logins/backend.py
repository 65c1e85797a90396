"""The section of a login of `kind: backend`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gateway.config.login_sections import UpstreamLoginSection
from gateway.config.token_sections import Renew, Verify
from gateway.config.values import ClaimAddress, OneOrMany, TokenPlaceText
from gateway.core.logins.login_paths import BackendPath
from gateway.core.logins.token_places import TokenPlace, parse_token_place
from gateway.core.sessions.subjects import SUBJECT_CLAIMS


class BackendSection(UpstreamLoginSection):
    """A login at the backend's own login; a key takes the token's place."""

    kind: Literal["backend"]
    token: TokenPlaceText = parse_token_place("auto")
    subject: Annotated[tuple[ClaimAddress, ...], OneOrMany(), Field(min_length=1)] = SUBJECT_CLAIMS
    renew: Renew | None = None
    verify: Verify | None = None

    @property
    def backend_paths(self) -> tuple[BackendPath, ...]:
        renew = self.renew
        if renew is None:
            return super().backend_paths
        return (
            *super().backend_paths,
            BackendPath(renew.upstream, renew.backend_path, renews=True),
        )

    @property
    def token_place(self) -> TokenPlace:
        return self.token

    @property
    def token_rules(self) -> Verify | None:
        return self.verify

    @property
    def believes_tokens(self) -> bool:
        return self.verify is None

    @property
    def subject_claims(self) -> tuple[str, ...]:
        return self.subject

    @property
    def namespace(self) -> tuple[object, ...]:
        """One path of a backend, by the same claims of its tokens."""
        return "backend", self.upstream, self.backend_path, self.subject

    def with_renewal(self, renew: Renew | None) -> Self:
        return self.model_copy(update={"renew": self.renew or renew})

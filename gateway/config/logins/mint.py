"""The section of a login of `kind: mint`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from gateway.config.base import Shorthand
from gateway.config.login_sections import UpstreamLoginSection
from gateway.config.token_values import ClaimAt, PointerText
from gateway.core.logins.token_places import parse_pointer
from gateway.core.tokens.minting import REGISTERED


class Claim(Shorthand):
    """The place of a claim in a backend's reply. A text is short for `at`."""

    _short_for = "at"

    at: ClaimAt
    required: bool = True


class MintSection(UpstreamLoginSection):
    """A login at a backend that only names the user.

    The gateway mints the token.
    """

    kind: Literal["mint"]
    claims: dict[str, Claim]
    reply: PointerText = parse_pointer("/token")

    @property
    def mints(self) -> bool:
        return True

    @property
    def namespace(self) -> tuple[object, ...]:
        """One path of a backend, by the same place in its reply."""
        return "mint", self.upstream, self.backend_path, self.claims["sub"].at

    @model_validator(mode="after")
    def _fits(self) -> MintSection:
        if "sub" not in self.claims or not self.claims["sub"].required:
            raise ValueError("claims must say where sub is: whom a token is for")
        for name in self.claims:
            if name != "sub" and name in REGISTERED:
                raise ValueError(f"claims cannot hold {name}, which the gateway itself makes")
        for name in self.subject_prefix.claims if self.subject_prefix else ():
            if name not in self.claims:
                raise ValueError(f"claims must say where {name} is, which subject_prefix holds")
        return self

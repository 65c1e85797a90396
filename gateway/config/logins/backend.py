"""What a login of kind `backend` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.login_sections import AskingLogin, Renew, Verify
from gateway.config.values import OneOrMany, Place
from gateway.core.logins.token_places import parse_token_place


class BackendLogin(AskingLogin):
    """A login by the backend's own login: its reply's token becomes a key."""

    kind: Literal["backend"]
    token: Place = parse_token_place("auto")
    subject: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)] = (
        "sub",
        "user_id",
        "uid",
        "username",
        "email",
    )
    renew: Renew | None = None
    verify: Verify | None = None

    @property
    def giver(self) -> tuple[object, ...]:
        """One path of a backend, by the same claims of its tokens."""
        return "backend", self.upstream, self.backend_path, self.subject

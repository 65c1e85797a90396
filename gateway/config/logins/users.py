"""What a login of kind `users` may say."""

from __future__ import annotations

from typing import ClassVar, Literal

from gateway.config.login_sections import AnsweringLogin
from gateway.config.units import Size


class UsersLogin(AnsweringLogin):
    """A login by a file of users, whose tokens the gateway mints."""

    FILES: ClassVar[tuple[str, ...]] = ("file",)
    MINTS: ClassVar[bool] = True

    kind: Literal["users"]
    file: str
    methods: tuple[Literal["POST"]] = ("POST",)
    max_body: Size = 16 * 1024

    @property
    def giver(self) -> tuple[object, ...]:
        """One file."""
        return "file", self.file

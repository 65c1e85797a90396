"""The section of a login of `kind: users`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from gateway.config import users_file
from gateway.config.document import Document, Where
from gateway.config.login_sections import PasswordLoginSection
from gateway.config.problems import Problem
from gateway.config.units import Size
from gateway.config.users_file import BrokenFile


class UsersSection(PasswordLoginSection):
    """A login by a users file; the gateway mints the token."""

    FILES: ClassVar[tuple[str, ...]] = ("file",)

    kind: Literal["users"]
    file: str
    methods: tuple[Literal["POST"]] = ("POST",)
    max_body: Size = 16 * 1024

    @property
    def mints(self) -> bool:
        return True

    @property
    def has_form(self) -> bool:
        return True

    @property
    def users_file(self) -> str:
        return self.file

    @property
    def namespace(self) -> tuple[object, ...]:
        """One users file."""
        return "file", self.file

    def file_problems(self, where: Where, document: Document) -> Iterator[Problem]:
        """A users file that exists must be valid; a missing one has no users."""
        if not Path(self.file).exists():
            return
        try:
            users_file.read(Path(self.file))
        except BrokenFile as error:
            yield Problem(self.file, error.line, 1, "", str(error))

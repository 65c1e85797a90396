"""Users files: how one is read, checked and written.

It is YAML, or JSON by its name's ending: a mapping of names to `{hash: …, claims: {…}}`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.config.files import read_file
from gateway.core import json_text
from gateway.core.json_text import NotJson
from gateway.core.logins.users import BadUsers, User, read_users


class BrokenFile(Exception):
    """The file cannot be read; the message says why, and shows nothing of it."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


class NotChanged(Exception):
    """The user exists already, or does not exist; the message says which."""


class _Loader(yaml.SafeLoader):
    """YAML in which no name stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        names = set()
        for key, _ in node.value:
            if str(key.value) in names:
                raise BrokenFile("a name stands twice", key.start_mark.line + 1)
            names.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read(path: Path) -> dict[str, User]:
    """The users of a file. Raises `BrokenFile`."""
    return _parsed(path, _text(path))


def add(path: Path, name: str, kept: str, claims: Mapping[str, Any]) -> None:
    """Add a user. Raises `BrokenFile`, `NotChanged`, `BadUsers` and `OSError`."""
    with _locked(path):
        users = read(path) if path.exists() else {}
        if name in users:
            raise NotChanged(f"there is a user {name} already")
        data = {**_plain(users), name: _entry(kept, claims)}
        read_users(data)
        _write(path, _dumped(path, data))


def change_hash(path: Path, name: str, kept: str, *, old: str | None = None) -> None:
    """Replace a user's hash, and nothing else in the file.

    With `old`, only if that is still the hash. Raises `BrokenFile`, `NotChanged` and `OSError`.
    """
    with _locked(path):
        text = _text(path)
        users = _parsed(path, text)
        if name not in users:
            raise NotChanged(f"there is no user {name}")
        present = users[name].hash
        if old is not None and present != old:
            return
        data = _plain(users)
        data[name]["hash"] = kept
        # A salted hash stands in the text once, unless it is written in escapes.
        changed = text.replace(present, kept)
        _write(path, changed if _says(path, changed, data) else _dumped(path, data))


def remove(path: Path, name: str) -> None:
    """Remove a user. Raises `BrokenFile`, `NotChanged` and `OSError`."""
    with _locked(path):
        data = _plain(read(path))
        if data.pop(name, None) is None:
            raise NotChanged(f"there is no user {name}")
        _write(path, _dumped(path, data))


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except OSError as error:
        raise BrokenFile(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BrokenFile("is not UTF-8 text") from None


def _parsed(path: Path, text: str) -> dict[str, User]:
    try:
        return read_users(_from_json(text) if _is_json(path) else _from_yaml(text))
    except BadUsers as error:
        raise BrokenFile(str(error)) from None


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _from_json(text: str) -> Any:
    try:
        return json_text.value(text)
    except NotJson:
        raise BrokenFile("is no JSON, or a name stands twice") from None


def _from_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (it is the safe one)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BrokenFile("is not YAML", line) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise BrokenFile("is not YAML") from None


def _plain(users: Mapping[str, User]) -> dict[str, dict[str, Any]]:
    return {name: _entry(user.hash, user.claims) for name, user in users.items()}


def _entry(kept: str, claims: Mapping[str, Any]) -> dict[str, Any]:
    return {"hash": kept, **({"claims": dict(claims)} if claims else {})}


def _says(path: Path, text: str, data: Mapping[str, Any]) -> bool:
    try:
        return _plain(_parsed(path, text)) == data
    except BrokenFile:
        return False


def _dumped(path: Path, data: Mapping[str, Any]) -> str:
    if _is_json(path):
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the file.

    The lock is on its folder, since the file is replaced.
    """
    folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, readable for its owner alone."""
    path = path.resolve()  # a link stays a link
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # the file stays the gateway's if root changes it
                owner = path.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise

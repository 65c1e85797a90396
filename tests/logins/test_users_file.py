"""logins/_users_file: a file is read again when it changes, and kept while it is broken."""

import logging
from pathlib import Path

import pytest

from gateway.config.users_file import BrokenFile
from gateway.logins._users_file import UsersFile
from tests.support.users import user, write


def test_a_file_is_read_again_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is broken, or gone, leaves what was there, and is logged once."""
    path = write(tmp_path / "users.json", alice=user())
    file = UsersFile(str(path))
    first = file.users()
    assert list(first) == ["alice"]
    assert file.users() is first
    write(path, alice=user(), bob=user())
    assert list(file.users()) == ["alice", "bob"]
    path.write_text('{"alice": ')
    for _ in range(3):
        assert list(file.users()) == ["alice", "bob"]
    path.unlink()
    assert list(file.users()) == ["alice", "bob"]
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 2
    assert "line 1: is no JSON" in logged[0]
    assert "No such file" in logged[1]
    write(path, carol=user())
    assert list(file.users()) == ["carol"]
    assert "$argon2id" not in caplog.text


def test_a_file_that_could_never_be_read(tmp_path: Path) -> None:
    """Then no user is called unknown."""
    file = UsersFile(str(tmp_path / "users.yaml"))
    with pytest.raises(BrokenFile):
        file.users()
    (tmp_path / "users.yaml").write_text("")
    assert file.users() == {}

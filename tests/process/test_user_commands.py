"""`gateway users …`: the file of users from the command line."""

import json
import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest
import yaml

from gateway.config import users_file
from gateway.core.logins import passwords
from tests.support import command_line
from tests.support.gateway import environment
from tests.support.processes import HANG
from tests.support.signing_keys import signing_key

PASSWORD = "a password of the tests"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a configuration says that the users are; there are none yet."""
    config = {
        "version": 1,
        "upstreams": {"shop": "http://127.0.0.1:9000"},
        "routes": [],
        "login": {"kind": "users", "path": "/login", "file": "users.yaml"},
        "signing": {"issuer": "g", "keys": signing_key("HS256")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "users.yaml"


def run(
    file: Path, *arguments: str, password: bytes = PASSWORD.encode() + b"\n"
) -> tuple[int, str, str]:
    """Runs a command beside the file, with a password on its standard input."""
    done = command_line.run("users", *arguments, stdin=password, cwd=file.parent)
    return done.returncode, done.stdout, done.stderr


def test_a_users_life(file: Path) -> None:
    """Added, given another password, listed, removed; the password is in no output."""
    outputs = [
        run(file, "add", "alice", "--claim", "role=admin", "--claim", "n=[1, true]"),
        run(file, "add", "홍길동"),
    ]
    users = users_file.read(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert users["alice"].claims == {"role": "admin", "n": [1, True]}
    assert passwords.is_right(PASSWORD, users["alice"].hash)
    outputs.append(run(file, "passwd", "alice", password=b"another password\r\n"))
    changed = users_file.read(file)["alice"]
    assert passwords.is_right("another password", changed.hash)
    assert changed.claims == users["alice"].claims
    code, listed, _ = run(file, "list")
    assert (code, listed) == (0, 'alice  {"role": "admin", "n": [1, true]}\n홍길동\n')
    code, listed, _ = run(file, "list", "--json")
    assert json.loads(listed)["users"][1] == {"name": "홍길동", "claims": {}}
    outputs.append(run(file, "remove", "alice"))
    assert list(users_file.read(file)) == ["홍길동"]
    assert [code for code, _, _ in outputs] == [0, 0, 0, 0]
    assert PASSWORD not in str(outputs)
    assert "$argon2id" not in str(outputs) + listed


@pytest.mark.parametrize(
    ("arguments", "password", "code", "message"),
    [
        (["add", "a b"], b"x", 2, "a name cannot hold spaces or what cannot be seen"),
        (["add", ""], b"x", 2, "a name has 1 to 128 characters"),
        (["add", "bob"], b"short\n", 2, "the password is too short: at least 8 characters"),
        (["add", "bob"], b"", 2, "the password is too short: at least 8 characters"),
        (["add", "bob"], b"\xff\xfe" * 8, 2, "the password is not valid text"),
        (["add", "bob", "--claim", "role"], b"long enough", 2, "a claim is NAME=VALUE"),
        (
            ["add", "bob", "--claim", "sub=root"],
            b"long enough",
            2,
            "bob: claims cannot hold sub, which the gateway itself makes",
        ),
        (["add", "alice"], b"long enough", 1, "there is a user alice already"),
        (["passwd", "bob"], b"long enough", 1, "there is no user bob"),
        (["remove", "bob"], b"", 1, "there is no user bob"),
    ],
)
def test_what_cannot_be_done(
    file: Path, arguments: list[str], password: bytes, code: int, message: str
) -> None:
    """One line, an exit code, and the file as it was."""
    assert run(file, "add", "alice")[0] == 0
    before = file.read_text()
    assert run(file, *arguments, password=password) == (code, "", f"gateway: {message}\n")
    assert file.read_text() == before


def test_which_file(file: Path, tmp_path: Path) -> None:
    """The one that the configuration names, or the one that is said."""
    other = tmp_path / "other.json"
    assert run(file, "add", "alice", "--file", str(other))[0] == 0
    assert json.loads(other.read_text())["alice"]["hash"].startswith("$argon2id$")
    assert not file.exists()
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del config["login"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, error = run(file, "list")
    assert (code, error) == (
        2,
        "gateway: config.yaml names no users file: choose one with --file\n",
    )
    code, _, error = run(file, "list", "--config", "nowhere.yaml")
    assert code == 2
    assert "cannot be read" in error


def test_broken_files(file: Path) -> None:
    """Where the fault is; and nothing is written over it."""
    file.write_text("alice:\n  hash: oops\n")
    code, _, error = run(file, "add", "bob")
    assert (code, "users.yaml:1:1: alice: hash is no argon2id hash" in error) == (2, True)
    code, _, error = run(file, "add", "bob", "--file", str(file))
    assert (code, error) == (1, f"gateway: {file}:1: alice: hash is no argon2id hash\n")
    assert file.read_text() == "alice:\n  hash: oops\n"
    code, _, error = run(file, "list", "--file", "nowhere.yaml")
    assert (code, "cannot be read" in error) == (1, True)
    code, _, error = run(file, "add", "bob", "--file", "no/such/folder.yaml")
    assert (code, "cannot be written" in error) == (1, True)


def on_a_terminal(file: Path, *typed: str) -> tuple[int, str]:
    """Types at the prompts of `users add carol`; returns the exit code and all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(file.parent)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "gateway", "users", "add", "carol"],
            dict(environment()),
        )
    shown, waiting = b"", list(typed)
    until = time.monotonic() + HANG
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if not ready:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says so at the end
            break
        shown += piece
        if not piece:
            break
        if waiting and shown.rstrip().endswith(b":"):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
            shown += b"<typed>"
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_on_a_terminal_it_is_typed_twice(file: Path) -> None:
    """And not shown; two that differ are refused."""
    code, shown = on_a_terminal(file, PASSWORD, PASSWORD)
    assert code == 0, shown
    assert shown.count("<typed>") == 2
    assert PASSWORD not in shown
    assert passwords.is_right(PASSWORD, users_file.read(file)["carol"].hash)
    users_file.remove(file, "carol")
    code, shown = on_a_terminal(file, PASSWORD, PASSWORD + "!")
    assert (code, "the two passwords differ" in shown) == (2, True)
    assert list(users_file.read(file)) == []
